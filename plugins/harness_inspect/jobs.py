"""The jobs `session.compare`, `session.runs` and `session.stored`, and how a comparison is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import RunResult, Shown, frame
from harness.api.workspace import list_runs, read_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from rich.console import RenderableType

    from harness.api import RunRecord, Session
    from harness_inspect.difference import Difference, MetricDifference


@dataclass(frozen=True, kw_only=True)
class ComparisonResult(Shown):
    """Two runs compared: everything reads as the candidate's change from the baseline."""

    difference: Difference
    confidence: float

    def to_pandas(self) -> pd.DataFrame:
        """Return one row for each metric: baseline, candidate, difference, low, high, p, verdict."""
        return frame(self.difference.plain(0)["metrics"])

    def flips(self) -> pd.DataFrame:
        """Return the samples whose score changed, the worse first."""
        return frame(self.difference.plain(len(self.difference.flips))["flips"])

    def renderables(self) -> Iterator[RenderableType]:
        """Yield the metrics' differences."""
        yield differences_table(self.difference, self.confidence)


def compare(
    session: Session, baseline: str | RunResult, candidate: str | RunResult, *, confidence: float = 0.90
) -> ComparisonResult:
    """Compare two stored runs sample by sample.

    Args:
        session: in whose workspace they are.
        baseline: the first run, or its id.
        candidate: the second.
        confidence: two-sided, of the intervals: 0.5 to 0.999.

    Raises:
        InputError: when a run is unknown, or their samples differ.
        BrokenRunError: when a file of a run is not what it was.
    """
    from harness_inspect.difference import difference

    names = [run if isinstance(run, str) else run.record.id for run in (baseline, candidate)]
    found = difference(session.workspace, session.plugins.registries, *names, alpha=(1 - confidence) / 2)
    return ComparisonResult(difference=found, confidence=confidence)


def differences_table(found: Difference, confidence: float) -> RenderableType:
    """Return every metric's difference with its interval and verdict."""
    from harness.api.commands import named_table

    columns = ("metric", "baseline,\ncandidate", f"change,\n{100 * confidence:g} % interval", "p", "verdict")
    return named_table(columns, [_difference_row(row, found) for row in found.rows])


def _difference_row(row: MetricDifference, runs: Difference) -> tuple[str, ...]:
    """Write one metric's comparison; proportions in percent, and their differences in points."""
    from harness.api.commands import headline
    from harness.api.stats import metric_kind

    found, percent = row.comparison, metric_kind(row.metric).shares

    def write(value: float | None, sign: str = "") -> str:
        if value is None:
            return "—"
        unit = "" if sign else " %"  # a difference of percentages is in points
        return f"{100 * value:{sign}.1f}{unit}" if percent else f"{value:{sign}.4g}"

    def value(run: RunRecord, compared: float | None) -> str:
        gaps = [one for one in run.estimates if one.metric == row.metric.name and one.unscored]
        return headline(gaps[0]) if gaps else write(compared)

    interval = "—"
    if found.low is not None and found.high is not None:
        interval = f"[{write(found.low, '+')}, {write(found.high, '+')}]"
    p = "—" if found.p is None else "<0.001" if found.p < 0.001 else f"{found.p:.3f}"
    return (
        row.metric.name, f"{value(runs.baseline, found.baseline)}\n{value(runs.candidate, found.candidate)}",
        f"{write(found.difference, '+')}\n{interval}", p, row.verdict,
    )  # fmt: skip


def runs(session: Session, suite: str | None = None) -> list[RunResult]:
    """Return the stored runs, the oldest first, of one suite or of all."""
    return [
        RunResult(record=record, baselines={}, workspace=session.workspace)
        for record in list_runs(session.workspace, problems=[])
        if suite in {None, record.suite}
    ]


def stored(session: Session, run: str = "latest") -> RunResult:
    """Return a stored run by its id, the beginning of one, or `latest`.

    Raises:
        InputError: when none or several are meant.
    """
    return RunResult(record=read_run(session.workspace, run), baselines={}, workspace=session.workspace)
