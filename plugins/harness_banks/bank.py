"""A bank's file: templates with slots, what fills them, and how a filled template becomes samples.

bank: facts
slots:
  capital: [{land: France, city: Paris}, {land: Norway, city: Oslo}]      # fillers: texts, numbers or records
kinds:
  question:                                # one filled template makes one sample of each form
    ask: {prompt: "{ask}", target: ["{capital.city}"], tags: [fact, "{topic}"]}
templates:
  - id: capital-of
    topic: geography                       # any key of a template's own is a text that forms name in braces
    ask: ["What is the capital of {capital.land}?", "Name the capital of {capital.land}."]   # wordings
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Field

from harness.api import Document, StrictModel, nearest, read_document, validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

PLACEHOLDER = re.compile(r"\{(a:|A:)?([a-z][a-z0-9_]*)(#[2-9])?(?:\.([a-z][a-z0-9_]*))?\}")
"""`{slot}`, `{slot#2}` for another filler of the same slot, `{slot.part}` of a record, `{a:slot}` with a or an."""
CHOICES = "choices"
"""Stands in a prompt for the list of choices."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=80)]
Share = Annotated[float, Field(ge=0, le=1)]


class Form(StrictModel):
    """One sample of a filled template."""

    prompt: str
    tags: tuple[str, ...] = ()
    target: Any = None
    choices: tuple[str, ...] = ()
    """Their order is turned from item to item."""
    answer: str | None = None
    """The right choice's text."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """`{index_of: TEXT}` stands for the place of a choice."""


class Template(StrictModel):
    """One template; keys besides these are its own texts."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: Name
    kind: str | None = None
    slots: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    """Fillers of its own, before the bank's of the same name."""

    @property
    def own(self) -> Mapping[str, Any]:
        """Its own texts by name: a text, a list of wordings, or what a form takes whole."""
        return self.__pydantic_extra__ or {}


class Classes(StrictModel):
    """Tags of which each sample has one at most, and which shall be about equally frequent."""

    tags: Annotated[tuple[str, ...], Field(min_length=2)]
    within: Share = 0.02
    """Most by which the shares of two of them may differ."""


class Balance(StrictModel):
    """What `harness suite check` asks of all items."""

    classes: tuple[Classes, ...] = ()
    places: Share | None = None
    """Most by which the shares of the right choice's places may differ."""


class Words(StrictModel):
    """How long prompts may be."""

    fewest: Annotated[int, Field(ge=1)] = 3
    most: Annotated[int, Field(ge=1)] = 200


class BankFile(StrictModel):
    """The content of a bank's YAML."""

    bank: Name
    about: str = ""
    slots: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    texts: dict[str, Any] = Field(default_factory=dict)
    """Texts that every template has unless it has its own of that name."""
    kinds: Annotated[dict[str, dict[str, Form]], Field(min_length=1)]
    templates: Annotated[list[Template], Field(min_length=1)]
    balance: Balance = Balance()
    words: Words = Words()


@dataclass(frozen=True, kw_only=True)
class Bank:
    """A bank, read and checked."""

    file: BankFile
    document: Document

    def forms(self, template: Template) -> Mapping[str, Form]:
        """Return what a filled template becomes."""
        return self.file.kinds[template.kind or next(iter(self.file.kinds))]

    def texts(self, template: Template) -> Mapping[str, Any]:
        """Return a template's texts by name, the bank's among them."""
        return {**self.file.texts, **template.own}

    def fillers(self, template: Template, slot: str) -> list[Any] | None:
        """Return a slot's fillers; None where neither the template nor the bank has the slot."""
        return template.slots.get(slot, self.file.slots.get(slot))


def read_bank(path: Path) -> Bank:
    """Read a bank.

    Raises:
        InputError: naming file, line and key: for YAML that is none, a template id that stands twice, a placeholder
            that nothing fills, a text of a template that no form names.
    """
    document = read_document(path, what="bank of templates")
    bank = Bank(file=validate(document, BankFile, what="bank of templates"), document=document)
    seen: set[str] = set()
    for index, template in enumerate(bank.file.templates):
        place = ("templates", index)
        if template.id in seen:
            raise document.error(f"the template {template.id!r} stands twice", (*place, "id"), hint="rename one")
        seen.add(template.id)
        _check(bank, template, place)
    return bank


def _check(bank: Bank, template: Template, place: tuple[str | int, ...]) -> None:
    kinds, document = bank.file.kinds, bank.document
    if template.kind is None and len(kinds) > 1:
        raise document.error("the template has no kind", place, hint=f"give kind: one of {', '.join(kinds)}")
    if template.kind is not None and template.kind not in kinds:
        close = nearest(template.kind, kinds)
        hint = f"did you mean {close!r}?" if close else f"kinds: {', '.join(kinds)}"
        raise document.error(f"there is no kind {template.kind!r}", (*place, "kind"), hint=hint)
    forms = bank.forms(template)
    texts = bank.texts(template)
    used: set[str] = set()
    waiting = [("", form.model_dump()) for form in forms.values()]
    while waiting:
        where, value = waiting.pop()
        for name, part in names_in(value):
            known = {*texts, *template.slots, *bank.file.slots, CHOICES}
            if name not in known:
                close = nearest(name, known)
                raise document.error(
                    f"nothing fills {{{name}}}", (*place, where) if where else place,
                    hint=f"did you mean {close!r}?" if close else "name a slot, or give the template this text",
                )  # fmt: skip
            fillers = bank.fillers(template, name)
            if (
                part
                and name not in texts
                and (fillers is None or not all(isinstance(one, dict) and part in one for one in fillers))
            ):
                raise document.error(
                    f"{{{name}.{part}}} needs fillers of {name} that all have {part!r}", (*place, where),
                    hint="write each as a record, such as {land: France, city: Paris}",
                )  # fmt: skip
            if name in texts and name not in used:
                waiting.append((name, texts[name]))
            used.add(name)
    for name in template.own:
        if name not in used:
            close = nearest(name, {*Template.model_fields, *used})
            raise document.error(
                "no form names this text", (*place, name),
                hint=f"did you mean {close!r}?" if close else "remove it, or name it in a form in braces",
            )  # fmt: skip


def names_in(value: object) -> Iterator[tuple[str, str]]:
    """Yield the placeholders in a value, as (name, part of a record or nothing)."""
    if isinstance(value, str):
        for _, name, _, part in PLACEHOLDER.findall(value):
            yield name, part
        return
    inside: Iterable[object] = ()
    if isinstance(value, dict):
        inside = (*value.keys(), *value.values())
    elif isinstance(value, list | tuple):
        inside = value
    for one in inside:
        yield from names_in(one)
