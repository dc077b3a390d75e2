"""What a plugin's page of the report is handed: records read from the workspace, never the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.types import RunRecord


@dataclass(frozen=True, kw_only=True)
class ReportSection:
    """A section below a run's page.

    `render` is called with the run's record and its folder and draws with streamlit, which it imports itself. Text
    from models goes through `st.text` or `st.code`, never through markup.
    """

    title: str
    render: Callable[[RunRecord, Path], None]
