"""A forecast as text: a row for each arm, and the run as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.evaluation.forecast import Forecast

FORECAST_COLUMNS = ("suite", "arm", "requests", "known", "tokens, about", "new tokens, at most", "time, about")
FORECAST_WHOLE = ("suite", "arm", "requests", "known")
"""Columns that are never wrapped: a name or a figure each."""


def forecast_rows(rows: Sequence[Forecast]) -> list[tuple[str, ...]]:
    """Return one row of `FORECAST_COLUMNS` for each arm."""
    return [
        (row.suite, row.arm, f"{row.generate + row.score + row.judge:,}", f"{row.known:,}", f"{row.tokens:,}",
         f"{row.generate_most:,}", _time(row.seconds))
        for row in rows
    ]  # fmt: skip


def forecast_line(rows: Sequence[Forecast]) -> str:
    """Say how long the run takes, and what that rests on."""
    known = [row.seconds for row in rows if row.seconds is not None]
    if len(known) < len(rows):
        return "how long it takes is unknown: no earlier run in this workspace asked these models"
    return f"about {_time(sum(known))} in all, at the pace of earlier runs in this workspace"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
