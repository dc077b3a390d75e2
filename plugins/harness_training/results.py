"""What became of a recipe's stages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.api import AdapterSpec, Artifact


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An artifact in its place."""

    artifact: Artifact
    path: Path
    """What is handed on: a file, or the folder."""


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What became of one stage."""

    stage: str
    name: str
    """In the recipe."""
    reads: Mapping[str, str]
    """The name of the stage whose artifact it reads, by role."""
    writes: tuple[str, ...]
    """Kinds."""
    reused: bool = False
    trained: bool = False
    """Neither reused nor trained: a dry run."""
    kept: Mapping[str, Kept] = field(default_factory=dict)
    """What it wrote, by kind; empty in a dry run where it would be made."""
    note: str = ""

    @property
    def adapter(self) -> AdapterSpec | None:
        """The adapter that it wrote."""
        kept = self.kept.get("adapter")
        if kept is None:
            return None
        return AdapterSpec(id=kept.artifact.id, path=str(kept.path), reference=kept.artifact.id)

    @property
    def dataset(self) -> Path | None:
        """The file of the dataset that it wrote."""
        kept = self.kept.get("dataset")
        return None if kept is None else kept.path

    @property
    def record(self) -> Artifact | None:
        """What its artifacts came from; None in a dry run where they would be made."""
        return next((kept.artifact for kept in self.kept.values()), None)

    @property
    def word(self) -> str:
        """What became of it, in words."""
        made = "trained" if "adapter" in self.writes else "made"
        return made if self.trained else "reused" if self.reused else f"would be {made}"


def plain_result(result: StageResult) -> Mapping[str, Any]:
    """Return a result as JSON values."""
    kept = {kind: {"id": one.artifact.id, "path": str(one.path)} for kind, one in result.kept.items()}
    return {
        "stage": result.stage,
        "name": result.name,
        "from": dict(result.reads),
        "reused": result.reused,
        "trained": result.trained,
        "adapter": kept.get("adapter"),
        "dataset": None if result.dataset is None else str(result.dataset),
        "artifacts": kept,
        "figures": {} if result.record is None else dict(result.record.figures),
        "record": None if result.record is None else asdict(result.record),
        "note": result.note,
    }


def cautions(results: Iterable[StageResult]) -> Iterator[str]:
    """Yield what a person should know of the stages, such as answers that were cut."""
    for result in results:
        if result.note:
            yield result.note
        cut = 0 if result.record is None else int(result.record.figures.get("truncated_rows", 0))
        if cut:
            yield f"{cut} answers were cut at max_length; raise it to learn them whole"
