"""What a plugin's page of the report is handed: records read from the workspace, never the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.types import RunRecord


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of a section; cells are shown as text."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


Shown = str | Mapping[str, object] | Table
"""What a section shows: text, facts by name, or a table."""


@dataclass(frozen=True, kw_only=True)
class ReportSection:
    """A section below a run, on its page and in the exported file.

    `render` is called with the run's record and its folder, and returns what is shown, all of it as text. It may draw
    with streamlit instead and return None; such a section stands on the page alone.
    """

    title: str
    render: Callable[[RunRecord, Path], Shown | Iterable[Shown] | None]
