"""The source `template`: the samples of a bank, the same for the same file and seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from harness.api import InputError, Message, Sample, StrictModel, read_options, sha256_json, sha256_text
from harness_banks.bank import read_bank
from harness_banks.filling import fillings
from harness_banks.rules import Tally, problem_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.api import SourceInput
    from harness_banks.bank import Bank, Form, Template
    from harness_banks.filling import Filling


class TemplateOptions(StrictModel):
    """What a suite may say under `samples` besides source and path."""

    items: Annotated[int, Field(ge=1, le=1000)] = 12
    """Most fillings of each template; each makes one sample of every form."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Draws the fillings. It is the suite's and not the run's: a bank stays the same from run to run."""


def read_template(source: SourceInput) -> Iterator[Sample]:
    """Yield the samples of a bank, template by template, each template one cluster.

    Samples that come of one filling, such as a harmful request and its benign twin, name it in `metadata.filling`.

    Raises:
        InputError: naming file, line and template, for what `read_bank` refuses, for an item that breaks a rule of
            sense, and at the end for classes that are out of balance.
    """
    options = read_options(TemplateOptions, source.options, "samples", at=("samples",), file=source.suite_path)
    if source.path is None or not source.path.is_file():
        raise InputError(
            "the source template needs its bank, a YAML file", file=source.path or source.suite_path,
            key="samples.path", hint="name it as samples.path, or pass --data FILE",
        )  # fmt: skip
    bank = read_bank(source.path)
    seen: dict[str, str] = {}
    tally = Tally(bank)
    for index, template in enumerate(bank.file.templates):
        for sample in _items(bank, template, index, options):
            other = seen.setdefault(sample.prompt, sample.cluster or "")
            if other != template.id:
                raise bank.document.error(
                    f"{template.id} and {other} make the same prompt {sample.prompt[:60]!r}", ("templates", index),
                    hint="reword one of them: items of two clusters shall differ",
                )  # fmt: skip
            tally.add(sample)
            yield sample
    tally.check()


def _items(bank: Bank, template: Template, index: int, options: TemplateOptions) -> Iterator[Sample]:
    made, prompts = 0, set[str]()
    start = int(sha256_text(template.id)[:8], 16)
    for filling in fillings(bank, template, options.seed):
        samples = [
            _sample(bank, template, filling, named, start + made + place)
            for place, named in enumerate(bank.forms(template).items())
        ]
        if prompts & {sample.prompt for sample in samples}:
            continue  # two fillings that differ only in what no prompt says
        prompts |= {sample.prompt for sample in samples}
        for sample in samples:
            problem = problem_of(sample, bank.file.words)
            if problem:
                raise bank.document.error(
                    f"the template {template.id} makes {sample.prompt[:100]!r}: {problem}", ("templates", index),
                    hint="reword it, or change the fillers of its slots",
                )  # fmt: skip
            yield sample
        made += 1
        if made == options.items:
            return
    if not made:
        raise bank.document.error(
            f"the template {template.id} makes no item: its slots have too few fillers", ("templates", index),
            hint="add fillers",
        )  # fmt: skip


def _sample(bank: Bank, template: Template, filling: Filling, named: tuple[str, Form], turn: int) -> Sample:
    name, form = named
    choices = [str(one) for text in form.choices for one in _listed(filling.whole(text))]
    answer = None if form.answer is None else filling.text(form.answer)
    if len(set(choices)) != len(choices) or (answer is not None and answer not in choices):
        cause = "two choices that are the same" if answer in choices else f"no choice that is its answer {answer!r}"
        raise bank.document.error(
            f"the template {template.id} has {cause}", ("templates", bank.file.templates.index(template)),
            hint="change its choices or fillers",
        )  # fmt: skip
    choices = _turned(choices, answer, turn)
    prompt = filling.text(form.prompt, choices).strip()
    key = sha256_json([filling.wording, dict(filling.values)])[:8]
    return Sample(
        id=f"{template.id}-{key}-{name}", messages=(Message(role="user", content=prompt[:1].upper() + prompt[1:]),),
        target=tuple(str(one) for one in _listed(filling.whole(form.target))), choices=tuple(choices),
        answer=None if answer is None else choices.index(answer),
        tags=tuple(filling.text(tag) for tag in form.tags), cluster=template.id,
        metadata={**_metadata(filling, form, choices), "filling": f"{template.id}-{key}"},
    )  # fmt: skip


def _metadata(filling: Filling, form: Form, choices: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in form.metadata.items():
        whole = filling.whole(value)
        if isinstance(whole, dict) and set(whole) == {"index_of"}:
            whole = choices.index(str(whole["index_of"]))
        found[key] = whole
    return found


def _turned(choices: Sequence[str], answer: str | None, turn: int) -> list[str]:
    """Return the choices in the order of this turn: the right one goes from place to place, the others around it."""
    rest = [choice for choice in choices if choice != answer]
    at = turn // max(len(choices), 1) % max(len(rest), 1)
    rest = [*rest[at:], *rest[:at]]
    return rest if answer is None else [*rest[: (p := turn % len(choices))], answer, *rest[p:]]


def _listed(value: object) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
