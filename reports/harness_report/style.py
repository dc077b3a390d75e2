"""The style sheet of pages and of the exported file."""

from __future__ import annotations

from pathlib import Path

from harness_report import plots, trend


def style_sheet() -> str:
    """Return it: it needs neither inline style nor script."""
    return (Path(__file__).parent / "style.css").read_text(encoding="utf-8") + plots.PLACES + trend.PLACES
