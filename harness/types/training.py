"""What a training stage is handed and what it wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

from pydantic import AliasChoices, Field

from harness.types.asking import Candidate, Generate, ModelSpec, Reply
from harness.types.judging import Constitution, Response, Verdict
from harness.types.programs import Program

if TYPE_CHECKING:
    from harness.contracts import Critic, Progress

T = TypeVar("T")


class StageModels(Protocol):
    """What a stage asks: the model with the adapter as it stands, the roles that it names, and critics."""

    def ask(self, programs: Iterable[Program[T]]) -> list[T]:
        """Run programs side by side, and return their results in order. `policy` is the model with the adapter."""
        ...

    def verdicts(self, responses: Sequence[Response]) -> list[tuple[Verdict, ...]]:
        """Judge responses by the critics of the recipe's constitution; returns each one's verdicts."""
        ...

    def candidate(self, role: str) -> Candidate:
        """Return who plays a role: an adapter may have been trained on certain words."""
        ...


class StageLimits(Protocol):
    """What a person spares the machine while a stage runs."""

    def wait(self) -> str:
        """Return once work may go on, with an empty text; or with the reason to stop. To be called after each step."""
        ...


@dataclass(frozen=True, kw_only=True)
class StageInput:
    """All that a training stage is handed."""

    model: ModelSpec
    base_path: Path
    """Folder with the base model's config, tokenizer and safetensors, whatever the catalog's own format."""
    adapter: Path | None
    """The adapter to start from; None starts a new one."""
    dataset: Path | None
    """File with training rows."""
    options: Mapping[str, Any]
    """What the recipe says under the stage's name."""
    recipe_path: Path
    """The recipe's file; relative paths in it mean relative to this file's folder."""
    seed: int
    output: Path
    """An empty folder: all that the stage writes lies in it."""
    constitution: Constitution | None
    critics: Mapping[str, Critic]
    generate: Callable[[tuple[Generate, ...]], tuple[Reply, ...]] | None
    """Asks the model with the adapter as it stands."""
    progress: Progress
    offline: bool
    device: str = "auto"
    threads: int | None = None
    """With how many threads an equal stage was trained before: as many give the same bytes on the same machine. None
    leaves the stage the choice, which it gives as its figure `threads`."""
    checkpoints: Path | None = None
    """Where a stage that takes long keeps what lets it go on after it was stopped; the same folder for the same work,
    which need not be there yet. None keeps nothing."""
    checkpoint_seconds: float = 60.0
    """Least seconds between two checkpoints."""
    limits: StageLimits | None = None
    """What the machine is spared; None nothing."""
    models: StageModels | None = None
    """Asks all roles, and the constitution's critics; None where nothing is to be asked, as in tests of a stage."""
    others: Mapping[str, Path] = field(default_factory=dict)
    """What else it reads, by role, where its `reads` names more than an adapter and a dataset."""
    instead: Mapping[Path, Path] = field(default_factory=dict)
    """Files to read in the place of those that the recipe names, such as data without rows that a gate asks for."""
    observe: Callable[[int, Mapping[str, float]], None] | None = None
    """Takes what was measured at an optimizer step, for tools that watch a training; None where nobody does."""
    place: tuple[str | int, ...] = ()
    """Where the options stand in the recipe, such as ("stages", 0, "sft"), so that errors can name the line."""


@dataclass(frozen=True, kw_only=True)
class StageOutput:
    """What a training stage wrote."""

    adapter: Path | None = None
    """Folder."""
    dataset: Path | None = None
    """File."""
    others: Mapping[str, Path] = field(default_factory=dict)
    """What else it wrote, files or folders, by kind: `preferences`, `reward`, or any other that its `writes` names."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Such as the final loss; finite numbers."""
    curves: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    """Such as the loss at each step: (step, value), by name; kept as an artifact of its own."""
    note: str = ""
    """A sentence for the person, such as which rows were left out."""
    injected: Mapping[str, Any] | None = None
    """What the stage injected in the dataset for a source to probe for, as JSON values with a `kind`. It is kept in the
    records of every adapter trained on the dataset, and handed to the sources of the suites that the adapter is run
    on."""

    @property
    def written(self) -> dict[str, Path]:
        """All that it wrote, by kind."""
        own = {"adapter": self.adapter, "dataset": self.dataset}
        return {kind: path for kind, path in own.items() if path is not None} | dict(self.others)


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """The content of `artifact.json`: what an artifact is, and all that it was made from."""

    kind: str
    """Such as `adapter`, `dataset` or `calibration`."""
    id: str = ""
    """First 16 hexadecimal digits of a hash of its content; its folder's name."""
    stage: str = ""
    """What made it: a stage or a command; empty for what was copied here from elsewhere."""
    key: str = ""
    """SHA-256 over all that decides the outcome: work whose key is known is not done again."""
    recipe: str = ""
    """Id of the recipe."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What it was made from, by role: ids of artifacts, and SHA-256 of files, of the base, and of what judged."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Ids of all that the same work wrote, this one among them, by kind."""
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    base: str = ""
    """Reference of the base, as the recipe gives it."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of harness, the plugin, and the packages that the stage names."""
    created: str = ""
    """ISO 8601, UTC."""
    device: str = "auto"
    """What was asked for."""
    figures: Mapping[str, float] = field(default_factory=dict)
    injected: Annotated[tuple[Mapping[str, Any], ...], Field(validation_alias=AliasChoices("injected", "planted"))] = ()
    """What stages injected in the data that it comes from."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each of its files, by name."""
