"""A decision with the runs it rests on, and how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import Decision, OverallStatus, Shown, frame
from harness.api.commands import checks_table, estimates_table, line, safe_text, status_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from rich.console import RenderableType

    from harness.api.workspace import SuiteRun


@dataclass(frozen=True, kw_only=True)
class DecisionResult(Shown):
    """A decision with the runs it rests on."""

    decision: Decision
    outcomes: tuple[SuiteRun, ...]
    """In the policy's order."""
    reused: int
    """How many of them were stored already."""
    replay: bool
    """Whether the attempt was in the ledger before."""
    earlier: tuple[Decision, ...] = ()
    """Of earlier looks, which were inconclusive."""

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
        return frame(
            {
                "suite": suite, "metric": check.gate.metric, "kind": check.gate.kind, "status": check.status,
                "value": None if check.estimate is None else check.estimate.value, "difference": check.difference,
                "low": check.low, "high": check.high, "p": check.p, "sentence": check.sentence,
            }
            for suite, check in self.decision.checks
        )  # fmt: skip

    def renderables(self) -> Iterator[RenderableType]:
        """Yield every run's metrics, all gates, the decision and the next step: what `harness decide` prints."""
        decision = self.decision
        for outcome in self.outcomes:
            run = outcome.run
            yield line(f"\n{run.suite}: {run.samples} samples, run {run.id}")
            yield estimates_table(run, outcome.baselines.get("promoted"))
            yield from (line(f"note: {note}", "dim") for note in run.notes if note not in decision.drawn)
        yield line(f"\ncandidate {decision.candidate.label}")
        yield line(f"baseline  {decision.baseline.label}")
        if not decision.verifiable:
            yield line("note: the candidate is served elsewhere: its weights cannot be verified", "yellow")
        yield checks_table(decision.checks)
        for veto in decision.vetoes:
            yield line(f"veto by {veto.owner}: {safe_text(veto.reason, one_line=True)}", "red")
        if self.reused:
            yield line(f"{self.reused} of {len(self.outcomes)} runs were stored already", "dim")
        yield from (line(f"decided by {text}", whole=True) for text in decision.drawn)
        for text in decision.left_out:
            yield line(f"not asked for: {text}", "dim")
        if self.replay:
            yield line(f"attempt {decision.attempt} was made before: the same again spends nothing", "dim")
        for before in self.earlier:
            yield line(f"look {before.look}: {before.sentence}", "dim", whole=True)
        yield line(f"decision {decision.id}: ").append_text(status_text(decision.status))
        yield line(decision.sentence, whole=True)
        if decision.status == "passed":
            yield line(f"next: {next_step(decision)}", "dim", whole=True)
        if decision.status == "inconclusive":
            plan = f"harness plan --policy {safe_text(decision.policy)}"
            yield line(f"how often an equal candidate passes, and which gate costs most: {plan}", "dim", whole=True)


def next_step(decision: Decision) -> str:
    """Return the command that a decision that passed waits for."""
    if decision.review == "manual":
        return f'harness approve {decision.id} --reason "…", then harness promote {decision.id}'
    return f"harness promote {decision.id}"
