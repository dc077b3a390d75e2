"""What plugins are handed: progress, where they run, and what a source reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from harness.engine.spending import Spending


class Progress(Protocol):
    """Shows how far a long step has come. Every task must be finished or the bar stays open."""

    def start(self, description: str, total: int | None, *, unit: str = "it") -> ProgressTask:
        """Open a bar; `total` is None where it is not known."""
        ...


class ProgressTask(Protocol):
    """One bar."""

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Move on by `steps`; `note` replaces the text at the bar's end, such as the current loss."""
        ...

    def finish(self) -> None:
        """Close the bar."""
        ...


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What any plugin may know of where it runs."""

    offline: bool = False
    """No socket may be opened."""
    weights: Path
    """Folder of the weights' store (see `harness.weights`)."""
    seed: int = 0
    concurrency: int = 8
    """Most requests at once to a remote server, 1 or more."""
    timeout: float = 300.0
    """Seconds that a remote server has for one answer."""
    spending: Spending | None = field(default=None, compare=False, repr=False)
    """Counts what is asked of models against the command's limits; None where there is none."""


Surroundings = RunContext
"""Deprecated: the old name of `RunContext`."""


@dataclass(frozen=True, kw_only=True)
class SourceInput:
    """What a source is handed."""

    path: Path | None
    """The resolved file or folder; None for sources that have none, such as a hub id."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The rest of the suite's `samples` section, such as `columns`."""
    suite_path: Path | None = None
    """The suite's file, for error messages."""
    offline: bool = False
    seed: int = 0
    injected: tuple[Mapping[str, Any], ...] = ()
    """What training stages injected in the data of the candidate's adapters (`StageOutput.injected`)."""
