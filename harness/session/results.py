"""What a session gives back: records that print as tables, in a terminal and in a notebook, and become data frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import unknown_name
from harness.serial import to_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pandas as pd
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

    from harness.evaluation.runner import SuiteRun
    from harness.promotion.difference import Difference, MetricDifference
    from harness.reading.recipe import Recipe
    from harness.store.workspace import Workspace
    from harness.training.runner import StageResult
    from harness.training.then import Outcome
    from harness.types import AdapterSpec, Check, Decision, Estimate, OverallStatus, RunRecord, SampleRecord


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
        return _frame(to_plain(estimate) for estimate in self.record.estimates)

    def renderables(self) -> Iterator[RenderableType]:
        """Yield the metrics, and the gates where there are any."""
        from harness.tables import checks_table, estimates_table, heading

        run = self.record
        yield heading(f"{run.suite}: {run.samples} samples of {run.candidate.label}, {self.status} ({run.id})")
        yield estimates_table(run, self.baselines.get("promoted"))
        if run.checks:
            yield checks_table((run.suite, check) for check in run.checks)


@dataclass(frozen=True, kw_only=True)
class DecisionResult(Shown):
    """A decision with the runs it rests on."""

    decision: Decision
    outcomes: tuple[SuiteRun, ...]

    @property
    def status(self) -> OverallStatus:
        """`passed` alone can be promoted."""
        return self.decision.status

    @property
    def sentence(self) -> str:
        """Why, in one sentence."""
        return self.decision.sentence

    def to_pandas(self) -> pd.DataFrame:
        """Return one row for each gate: suite, metric, kind, status, difference, low, high, p, sentence."""
        return _frame(
            {
                "suite": suite, "metric": check.gate.metric, "kind": check.gate.kind, "status": check.status,
                "value": None if check.estimate is None else check.estimate.value, "difference": check.difference,
                "low": check.low, "high": check.high, "p": check.p, "sentence": check.sentence,
            }
            for suite, check in self.decision.checks
        )  # fmt: skip

    def renderables(self) -> Iterator[RenderableType]:
        """Yield the gates and the sentence."""
        from harness.tables import checks_table, heading

        yield checks_table(self.decision.checks)
        yield heading(f"decision {self.decision.id}: {self.decision.sentence}")


@dataclass(frozen=True, kw_only=True)
class TrainingResult(Shown):
    """What became of a recipe."""

    recipe: Recipe
    stages: tuple[StageResult, ...]
    outcome: Outcome | None
    """What followed the training; None where the recipe asks for nothing."""

    @property
    def adapter(self) -> AdapterSpec | None:
        """What was trained last."""
        return self.stages[-1].adapter

    def to_pandas(self) -> pd.DataFrame:
        """Return one row for each stage: stage, outcome, adapter and its figures."""
        return _frame(
            {
                "stage": stage.stage, "outcome": stage.word,
                "adapter": None if stage.adapter is None else stage.adapter.id,
                **({} if stage.record is None else stage.record.figures),
            }
            for stage in self.stages
        )  # fmt: skip

    def renderables(self) -> Iterator[RenderableType]:
        """Yield the stages."""
        yield stages_table(self.recipe, self.stages)


@dataclass(frozen=True, kw_only=True)
class ComparisonResult(Shown):
    """Two runs compared: everything reads as the candidate's change from the baseline."""

    difference: Difference
    confidence: float

    def to_pandas(self) -> pd.DataFrame:
        """Return one row for each metric: baseline, candidate, difference, low, high, p, verdict."""
        return _frame(self.difference.plain(0)["metrics"])

    def flips(self) -> pd.DataFrame:
        """Return the samples whose score changed, the worse first."""
        return _frame(self.difference.plain(len(self.difference.flips))["flips"])

    def renderables(self) -> Iterator[RenderableType]:
        """Yield the metrics' differences."""
        yield differences_table(self.difference, self.confidence)


def stages_table(recipe: Recipe, stages: Iterable[StageResult]) -> Table:
    """Return what became of each stage: loss, steps, seconds, memory, adapter."""
    from harness.tables import plain_table

    columns = ("stage", "outcome", "loss", "steps", "seconds", "threads", "memory", "adapter")
    return plain_table(columns, [_stage_row(stage) for stage in stages], title=f"{recipe.id} on {recipe.base}")


def _stage_row(stage: StageResult) -> tuple[str, ...]:
    figures = {} if stage.record is None else stage.record.figures

    def shown(name: str, form: str) -> str:
        return form.format(figures[name]) if name in figures else "—"

    loss = "—"
    if "loss_first" in figures and "loss_last" in figures:
        loss = f"{figures['loss_first']:.2f} → {figures['loss_last']:.2f}"
    memory = figures.get("peak_memory_bytes")
    return (
        stage.stage, stage.word, loss, shown("steps", "{:.0f}"), shown("seconds", "{:.0f}"),
        shown("threads", "{:.0f}"), "—" if memory is None else f"{memory / 2**30:.1f} GiB",
        "—" if stage.adapter is None else stage.adapter.id,
    )  # fmt: skip


def differences_table(found: Difference, confidence: float) -> Table:
    """Return every metric's difference with its interval and verdict."""
    from harness.tables import plain_table

    columns = ("metric", "baseline", "candidate", "change", f"{100 * confidence:g} % interval", "p", "verdict")
    return plain_table(columns, [_difference_row(row) for row in found.rows], whole=columns[:4])


def _difference_row(row: MetricDifference) -> tuple[str, ...]:
    """Write one metric's comparison; proportions in percent, and their differences in points."""
    from harness.stats.kinds import kind_of

    found, percent = row.comparison, kind_of(row.metric).shares

    def write(value: float | None, sign: str = "") -> str:
        if value is None:
            return "—"
        unit = "" if sign else " %"  # a difference of percentages is in points
        return f"{100 * value:{sign}.1f}{unit}" if percent else f"{value:{sign}.4g}"

    interval = "—"
    if found.low is not None and found.high is not None:
        interval = f"[{write(found.low, '+')}, {write(found.high, '+')}]"
    p = "—" if found.p is None else "<0.001" if found.p < 0.001 else f"{found.p:.3f}"
    return (
        row.metric.name, write(found.baseline), write(found.candidate), write(found.difference, "+"), interval, p,
        row.verdict,
    )  # fmt: skip


def run_id(run: str | RunResult) -> str:
    """Return the id of a run, whichever way it is given."""
    return run.record.id if isinstance(run, RunResult) else run


def _frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    try:
        import pandas as pd
    except ImportError as error:
        from harness.errors import InputError

        raise InputError("pandas is not installed", hint="pip install 'harness[metrics]'") from error
    return pd.DataFrame(list(rows))
