"""Suites: where samples come from, what is asked, what is measured, and the gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from harness.errors import InputError
from harness.hashing import sha256_file, sha256_json
from harness.reading.changes import apply_changes, as_set
from harness.reading.conversation import ConversationSection
from harness.reading.gates import GateSection
from harness.reading.roles import RolesSection, role_refs
from harness.reading.strict import Document, StrictModel, read_document, validate
from harness.types import Decoding, Gate, RoleRef


class SamplesSection(StrictModel):
    """Where samples come from; keys besides these are the source's own options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    source: str = "jsonl"
    path: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The source's own options."""
        return dict(self.__pydantic_extra__ or {})


class AskSection(StrictModel):
    """How completions are asked for."""

    max_new_tokens: Annotated[int, Field(ge=1, le=32768)] = 64
    temperature: Annotated[float, Field(ge=0, le=5)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()


class ClassifierSection(StrictModel):
    """Options of one classifier, and whether the suite can do without it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    optional: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """The classifier's own options."""
        return dict(self.__pydantic_extra__ or {})


class PickSection(StrictModel):
    """Which of the samples are asked."""

    ids: tuple[str, ...] = ()
    """Only these; empty is all."""
    tags: tuple[str, ...] = ()
    """Only samples that have one of these."""
    exclude_tags: tuple[str, ...] = ()
    shuffle: bool = False
    """Ask in an order drawn from the seed."""


Split = Annotated[str, Field(min_length=1)]


class FewShotSection(StrictModel):
    """Solved examples before each question."""

    n: Annotated[int, Field(ge=0, le=100)] = 0
    split: Split | tuple[Split, ...] | None = None
    """Where they are taken from, an option of the source; None is the suite's own data without the sample itself. Of
    several the first whose file is there, where `own` stands for the suite's own data."""
    seed: Annotated[int, Field(ge=0)] | None = 0
    """Draws them; None takes the first ones in the file's order."""
    style: Annotated[Literal["text", "turns"], Field(alias="as")] = "turns"
    """`turns`: questions and answers as a conversation; `text`: all in the user's turn."""


class SuiteFile(StrictModel):
    """The content of a suite's YAML."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=100)]
    version: Annotated[int, Field(ge=1)] = 1
    about: str = ""
    limitations: str = ""
    detects: str = ""
    """How many samples detect what difference, in words."""
    samples: SamplesSection
    ask: AskSection = AskSection()
    pick: PickSection = PickSection()
    few_shot: FewShotSection = FewShotSection()
    epochs: Annotated[int, Field(ge=1, le=1000)] = 1
    """Draws of each sample."""
    epochs_reducer: Annotated[str, Field(pattern=r"^(mean|worst|best|pass@[1-9][0-9]{0,2})$")] = "mean"
    """What becomes of the draws of one sample."""
    conversation: ConversationSection | None = None
    roles: RolesSection = {}
    classifiers: dict[str, ClassifierSection] = {}
    critics: dict[str, dict[str, Any]] = {}
    measure: Annotated[list[str | dict[str, dict[str, Any] | None]], Field(min_length=1)]
    gates: list[GateSection] = []


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A suite, read and checked as far as it can be without plugins."""

    id: str
    version: int
    about: str
    limitations: str
    detects: str
    path: Path
    source: str
    data_path: Path | None
    source_options: Mapping[str, Any]
    ask: Decoding
    pick: PickSection
    few_shot: FewShotSection
    epochs: int
    epochs_reducer: str
    conversation: ConversationSection | None
    roles: Mapping[str, RoleRef]
    classifiers: Mapping[str, ClassifierSection]
    critics: Mapping[str, Mapping[str, Any]]
    measure: tuple[tuple[str, Mapping[str, Any]], ...]
    """(metric factory, options) in order."""
    gates: tuple[Gate, ...]
    document: Document
    changes: Mapping[str, Any]
    """What was set for this run, by dotted key."""

    def fingerprint(self) -> str:
        """Return the SHA-256 of all that decides scores: everything but gates and prose, and the data's bytes."""
        data = sha256_file(self.data_path) if self.data_path is not None and self.data_path.is_file() else ""
        return sha256_json(
            {
                "id": self.id, "version": self.version, "source": self.source, "data": data,
                "options": dict(self.source_options),
                "ask": [self.ask.max_new_tokens, self.ask.temperature, self.ask.top_p, self.ask.stop],
                "classifiers": {name: section.model_dump() for name, section in self.classifiers.items()},
                "critics": {name: dict(options) for name, options in self.critics.items()},
                "measure": [[name, dict(options)] for name, options in self.measure],
                **({} if self.conversation is None else {"conversation": self.conversation.content()}),
                **({} if self.pick == PickSection() else {"pick": self.pick.model_dump()}),
                **({"epochs": self.epochs} if self.epochs > 1 else {}),
                **({} if self.epochs_reducer == "mean" else {"epochs_reducer": self.epochs_reducer}),
                **({"few_shot": self.few_shot.model_dump()} if self.few_shot.n else {}),
            }
        )  # fmt: skip


def read_suite(
    path: Path, *, alpha: float = 0.05, data: Path | None = None, seed: int = 0,
    changes: Mapping[str, Any] | None = None,
) -> Suite:  # fmt: skip
    """Read a suite.

    Args:
        path: the YAML file.
        alpha: level of its gates.
        data: replaces the suite's own data file.
        seed: for sampled decoding.
        changes: replace values of the file, by dotted key, as `harness.reading.changes` reads them.

    Raises:
        InputError: naming file, line, key and cause.
    """
    changes = changes or {}
    document = apply_changes(read_document(path, what="suite"), changes)
    try:
        file = validate(document, SuiteFile, what="suite")
    except InputError as error:
        raise as_set(error, changes) from error
    if file.epochs > 1 and not file.ask.temperature:
        useless = document.error(
            f"{file.epochs} draws of each sample would all be the same at temperature 0", ("epochs",),
            hint="draw with a temperature, such as ask.temperature=0.7 (--temperature 0.7)",
        )  # fmt: skip
        raise as_set(useless, changes)
    needed = 2 if file.epochs_reducer in {"worst", "best"} else int(file.epochs_reducer.partition("@")[2] or 1)
    if file.epochs < needed:
        few = document.error(
            f"{file.epochs_reducer} needs {needed} draws of each sample, and there are {file.epochs}",
            ("epochs_reducer",), hint=f"draw more: epochs: {needed} (--epochs {needed}) with a temperature",
        )  # fmt: skip
        raise as_set(few, changes)
    measure: list[tuple[str, Mapping[str, Any]]] = []
    for index, entry in enumerate(file.measure):
        if isinstance(entry, str):
            measure.append((entry, {}))
        elif len(entry) == 1:
            ((name, options),) = entry.items()
            measure.append((name, options or {}))
        else:
            raise document.error(
                f"one entry names {len(entry)} metrics", ("measure", index), hint="give each metric its own '- ' item"
            )
    data_path = data
    if data_path is None and file.samples.path is not None:
        data_path = (path.parent / file.samples.path).resolve()
    return Suite(
        id=file.id, version=file.version, about=file.about.strip(), limitations=file.limitations.strip(),
        detects=file.detects.strip(), path=path, source=file.samples.source, data_path=data_path,
        source_options=file.samples.options,
        ask=Decoding(
            max_new_tokens=file.ask.max_new_tokens, temperature=file.ask.temperature, top_p=file.ask.top_p,
            stop=file.ask.stop, seed=seed,
        ),
        conversation=file.conversation, roles=role_refs(file.roles, by=f"the suite {file.id}", folder=path.parent),
        classifiers=file.classifiers, critics=file.critics, measure=tuple(measure),
        gates=tuple(section.gate(alpha) for section in file.gates), document=document,
        pick=file.pick, few_shot=file.few_shot, epochs=file.epochs, epochs_reducer=file.epochs_reducer,
        changes=changes,
    )  # fmt: skip
