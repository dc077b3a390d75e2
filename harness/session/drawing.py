"""How runs and decisions are drawn, in a terminal as in a notebook: what commands print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.terminal import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType
    from rich.text import Text

    from harness.promotion.policy_run import PolicyRun
    from harness.types import Decision, RunRecord


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


def decision_parts(found: PolicyRun) -> Iterator[RenderableType]:
    """Yield every run's metrics, all gates, the decision and the next step."""
    from harness.tables import checks_table, estimates_table, status_text

    decision = found.decision
    for outcome in found.outcomes:
        run = outcome.run
        yield line(f"\n{run.suite}: {run.samples} samples, run {run.id}")
        yield estimates_table(run, outcome.baselines.get("promoted"))
        for note in run.notes:
            yield line(f"note: {note}", "dim")
    yield line(f"\ncandidate {decision.candidate.label}")
    yield line(f"baseline  {decision.baseline.label}")
    yield checks_table(decision.checks)
    for veto in decision.vetoes:
        yield line(f"veto by {veto.owner}: {safe_text(veto.reason, one_line=True)}", "red")
    if found.reused:
        yield line(f"{found.reused} of {len(found.outcomes)} runs were stored already", "dim")
    for text in decision.left_out:
        yield line(f"not asked for: {text}", "dim")
    if found.replay:
        yield line(f"attempt {decision.attempt} was made before: the same again spends nothing", "dim")
    for before in found.earlier:
        yield line(f"look {before.look}: {before.sentence}", "dim", whole=True)
    yield line(f"decision {decision.id}: ").append_text(status_text(decision.status))
    yield line(decision.sentence, whole=True)
    if decision.status == "passed":
        yield line(f"next: {next_step(decision)}", "dim", whole=True)


def next_step(decision: Decision) -> str:
    """Return the command that a decision that passed waits for."""
    if decision.review == "manual":
        return f'harness approve {decision.id} --reason "…", then harness promote {decision.id}'
    return f"harness promote {decision.id}"
