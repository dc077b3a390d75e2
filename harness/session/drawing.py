"""How runs and decisions are drawn, in a terminal as in a notebook: what commands print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.terminal import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType
    from rich.text import Text

    from harness.types import RunRecord


def line(text: str, style: str = "", *, whole: bool = False) -> Text:
    """Return a line of safe text; `whole` ones are never wrapped, so that they can be copied."""
    from rich.text import Text

    return Text(safe_text(text), style=style, no_wrap=whole or None, overflow="ignore" if whole else None)


def run_parts(run: RunRecord, baselines: Mapping[str, RunRecord]) -> Iterator[RenderableType]:
    """Yield a run: metrics beside the baseline's, gates, notes, and what it took."""
    from harness.tables import (
        PRECISION_COLUMNS,
        checks_table,
        dtype_of,
        estimates_table,
        plain_table,
        precision_line,
        precision_rows,
        status_text,
    )

    arms = sorted(baselines.items(), key=lambda arm: arm[0] != "promoted")
    baseline = next((other for _, other in arms if other.id != run.id), None)
    yield line(f"\n{run.suite}: {run.samples} samples of {run.candidate.label}", "bold")
    if baseline is not None:
        yield line(f"baseline: {baseline.candidate.label}", "dim")
    yield estimates_table(run, baseline)
    if run.checks:
        yield checks_table((run.suite, check) for check in run.checks)
        yield line("gates: ").append_text(status_text(run.status))
    else:
        yield line("no gates were checked", "dim")
    if run.precision is not None:
        yield line(precision_line(run.precision))
        if rows := precision_rows(run):
            yield plain_table(PRECISION_COLUMNS, rows)
    for note in run.notes:
        yield line(f"note: {note}", "dim")
    computed = f", {dtype}" if (dtype := dtype_of(run)) else ""
    yield line(
        f"run {run.id}: {run.model_calls} of {run.requests} requests asked, {run.seconds:.1f} s{computed}", "dim"
    )
