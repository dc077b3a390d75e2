"""The job `session.forecast`: what a run would ask, and how long that takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.api import Shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from harness.api import Candidate, RunOptions, Session
    from harness_planning.forecast import Forecast

_COLUMNS = ("suite", "arm", "requests", "known", "tokens, about", "new tokens, at most", "time, about")
_WHOLE = ("suite", "arm", "requests", "known")
"""Columns that are never wrapped: a name or a figure each."""


@dataclass(frozen=True, kw_only=True)
class ForecastResult(Shown):
    """What every arm would do, suite by suite."""

    rows: tuple[Forecast, ...]
    gated: bool
    """Whether some suite has gates, all of which can be passed at this size."""

    def plain(self) -> Mapping[str, Any]:
        """Return JSON values."""
        return {"forecast": [asdict(row) for row in self.rows]}

    def renderables(self) -> Iterator[RenderableType]:
        """Yield a row for each arm, and the run as a whole."""
        from rich.text import Text

        from harness.api.commands import plain_table

        yield plain_table(_COLUMNS, [_cells(row) for row in self.rows], title="would ask", whole=_WHOLE)
        yield Text(self.sentence)
        yield Text(f"nothing was asked{'; gates can be passed at this size' if self.gated else ''}", style="dim")

    @property
    def sentence(self) -> str:
        """How long the run takes, and what that rests on."""
        known = [row.seconds for row in self.rows if row.seconds is not None]
        if len(known) < len(self.rows):
            return "how long it takes is unknown: no earlier run in this workspace asked these models"
        return f"about {_time(sum(known))} in all, at the pace of earlier runs in this workspace"


def forecast(session: Session, suites: Sequence[str], candidate: Candidate, options: RunOptions) -> ForecastResult:
    """Count what `session.run_suites` would ask, after the same refusals; no model is loaded."""
    from harness_planning.forecast import forecast as count

    prepared = session.prepare(suites, candidate, options, open_only=True)
    with session.setting(session.spec(suites, candidate, options)) as setting:
        rows = count(prepared, candidate, setting, baseline=options.baseline)
    return ForecastResult(rows=tuple(rows), gated=any(suite.gates for suite in prepared))


def _cells(row: Forecast) -> tuple[str, ...]:
    return (
        row.suite, row.arm, f"{row.generate + row.score + row.judge:,}", f"{row.known:,}", f"{row.tokens:,}",
        f"{row.generate_most:,}", _time(row.seconds),
    )  # fmt: skip


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
