"""A forecast as text: a row for each arm, and the run as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.quantities import size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.evaluation.forecast import Forecast

FORECAST_COLUMNS = ("suite", "arm", "requests", "known", "tokens", "new tokens", "time", "memory")
FORECAST_WHOLE = ("suite", "arm", "requests", "known", "tokens")
"""Columns that are never wrapped: a name or a figure each."""


def forecast_rows(rows: Sequence[Forecast]) -> list[tuple[str, ...]]:
    """Return one row of `FORECAST_COLUMNS` for each arm; loading models is in the time of the whole alone."""
    return [
        (row.suite, row.arm, f"{row.generate + row.score + row.judge:,}", f"{row.known:,}", *_figures(row))
        for row in rows
    ]


def _figures(row: Forecast) -> tuple[str, ...]:
    work = row.work
    if work is None:
        return "unknown", "unknown", "unknown", "unknown"
    return (
        f"{work.tokens:,}", _span(f"{work.generate_expected:,}", f"{work.generate_most:,}"),
        _span(_time(work.seconds_expected), _time(work.seconds_most)), _bytes(work.memory),
    )  # fmt: skip


def forecast_line(rows: Sequence[Forecast]) -> str:
    """Say how long the run takes and how much memory it needs, and what that rests on."""
    works = [row.work for row in rows if row.work is not None]
    if not works or len(works) < len(rows):
        return "how long a model takes that cannot tell, such as one behind a server, is unknown"
    start = sum(work.start_seconds for work in works)
    expected = _sum([start, *(work.seconds_expected for work in works)])
    most = _sum([start, *(work.seconds_most for work in works)])
    memory = _bytes(max((work.memory for work in works if work.memory is not None), default=None))
    basis = "; ".join(dict.fromkeys(part for work in works for part in work.basis.split("; ") if part))
    text = f"in all {_span(_time(expected), _time(most))}, {start:.0f} s of it to load models; {memory} of memory"
    return text + (f" ({basis}, or as long as they may be)" if basis else "")


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _span(expected: str, most: str) -> str:
    return expected if expected == most else f"{expected} to {most}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return (
        f"{seconds:.1f} s"
        if seconds < 90
        else f"{seconds / 60:.1f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )


def _bytes(count: int | None) -> str:
    return "unknown" if count is None else size_text(count)
