"""What a session gives back: records that print as tables, in a terminal and in a notebook, and become data frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import unknown_name
from harness.serial import to_plain
from harness.session.drawing import run_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pandas as pd
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from harness.store.workspace import Workspace
    from harness.types import Check, Estimate, OverallStatus, RunRecord, SampleRecord


class Shown:
    """Draws itself by rich in a terminal, and as the same table in HTML in a notebook."""

    def renderables(self) -> Iterator[RenderableType]:
        """Yield what is drawn, from top to bottom."""
        raise NotImplementedError

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw for rich's `print`."""
        yield from self.renderables()

    def _repr_html_(self) -> str:
        """Draw for a notebook; text from models is escaped."""
        from io import StringIO

        from rich.console import Console
        from rich.terminal_theme import DEFAULT_TERMINAL_THEME

        console = Console(record=True, width=110, file=StringIO(), highlight=False, force_jupyter=False)
        for part in self.renderables():
            console.print(part)
        return console.export_html(
            inline_styles=True, theme=DEFAULT_TERMINAL_THEME, code_format="<pre style='line-height:1.3'>{code}</pre>"
        )


@dataclass(frozen=True, kw_only=True)
class RunResult(Shown):
    """A run: `run["exact_match"].low`, `run.status`, `run.to_pandas()`."""

    record: RunRecord
    baselines: Mapping[str, RunRecord]
    """By what the gates call them."""
    workspace: Workspace

    @property
    def id(self) -> str:
        """The run's id."""
        return self.record.id

    @property
    def status(self) -> OverallStatus:
        """`passed`, `failed`, `inconclusive`, or `ungated` where no gate was checked."""
        return self.record.status

    @property
    def checks(self) -> tuple[Check, ...]:
        """The gates' verdicts."""
        return self.record.checks

    def __getitem__(self, metric: str) -> Estimate:
        """Return a metric's estimate with its interval.

        Raises:
            InputError: when the run has no such metric.
        """
        for estimate in self.record.estimates:
            if estimate.metric == metric:
                return estimate
        raise unknown_name("metric", metric, [estimate.metric for estimate in self.record.estimates])

    def samples(self) -> Iterator[SampleRecord]:
        """Yield the samples with their replies, findings, verdicts and rows, a batch in memory at a time."""
        from harness.store.runs import read_samples

        return read_samples(self.workspace, self.record.id)

    def to_pandas(self) -> pd.DataFrame:
        """Return one row for each metric: value, low, high, confidence, n, unscored, unit, method."""
        return frame(to_plain(estimate) for estimate in self.record.estimates)

    def renderables(self) -> Iterator[RenderableType]:
        """Yield what `harness run` prints."""
        return run_parts(self.record, self.baselines)


def frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a data frame; raises InputError where pandas is not installed."""
    try:
        import pandas as pd
    except ImportError as error:
        from harness.errors import InputError

        raise InputError("pandas is not installed", hint="pip install 'harness[metrics]'") from error
    return pd.DataFrame(list(rows))
