"""`harness decide`: run what a policy needs, and decide on promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness.cli.context import (
    App,
    WholeRange,
    candidate_options,
    common_options,
    drift_check_option,
    gathered,
    remote_options,
    role_option,
    seed_option,
)
from harness.cli.outputs import Checked, Outputs, output_options
from harness.errors import EXIT_GATE, EXIT_PASSED
from harness.session.options import CandidateOptions, RunOptions

if TYPE_CHECKING:
    from harness.promotion.policy_run import PolicyRun
    from harness.types import Decision

_EPILOG = """\b
Examples:
  harness decide --adapter ./my-adapter
  harness decide --adapter ./my-adapter --policy strict
  harness decide --adapter promoted --adapter ./patch --system "Answer briefly."
  harness decide --adapter ./my-adapter && harness promote latest

Runs that are stored already and would say the same are used as they are; --fresh makes them anew.
Each new candidate, suite or policy is an attempt, and attempt j is checked at 6/(π² j²) of the policy's alpha, so that
trying until it passes does not pay; the same again is no new attempt. A policy may declare looks at rising sizes
(`samples: [100, 300]`): they are taken in order until one decides.
Exit codes: 0 the candidate may be promoted, 1 it may not, 2 input error, 3 a run broke."""


@click.command(epilog=_EPILOG)
@candidate_options
@click.option("--policy", metavar="NAME", help="Which policy decides.  [default: harness.yaml's, else demo]")
@gathered(
    RunOptions, "options",
    click.option("--judge", metavar="REF", help="The model that critics ask: short for --role judge=REF."),
    role_option,
    drift_check_option,
)  # fmt: skip
@seed_option
@gathered(
    dict, "looks",
    click.option("--fresh", is_flag=True, help="Use no stored run; replies still come from the cache."),
    click.option(
        "--samples", type=WholeRange(min=1), metavar="N",
        help="Look at N samples a suite alone; a size that the policy does not declare is exploratory.",
    ),
)  # fmt: skip
@common_options
@remote_options
@output_options
def decide(
    app: App, who: CandidateOptions, policy: str | None, options: RunOptions, seed: int, looks: dict[str, Any],
    outputs: Outputs,
) -> int:  # fmt: skip
    """Run what a policy needs and is not stored yet, and decide on promotion."""
    app.require_plugins()
    session = app.bind(seed=seed)
    chosen = session.policy(policy)
    found = session.decide_candidate(chosen, session.candidate(who), options, **looks)
    if app.json:
        from harness.serial import to_plain

        app.print_json({"decision": to_plain(found.decision), "reused_runs": found.reused, "replay": found.replay})
    else:
        show_decision(app, found)
    checked = [Checked(run=outcome.run, checks=outcome.run.checks) for outcome in found.outcomes]
    outputs.write(checked, found.decision)
    return EXIT_PASSED if found.decision.status == "passed" else EXIT_GATE


def show_decision(app: App, found: PolicyRun) -> None:
    """Print every run's metrics, all gates, the decision and the next step."""
    from harness.tables import checks_table, estimates_table, status_text
    from harness.terminal import safe_text

    decision, console = found.decision, app.console
    for outcome in found.outcomes:
        run = outcome.run
        console.print(f"\n{run.suite}: {run.samples} samples, run {run.id}", markup=False)
        console.print(estimates_table(run, outcome.baselines.get("promoted")))
        for note in run.notes:
            console.print(f"note: {safe_text(note)}", style="dim", markup=False)
    console.print(f"\ncandidate {safe_text(decision.candidate.label)}", markup=False)
    console.print(f"baseline  {safe_text(decision.baseline.label)}", markup=False)
    console.print(checks_table(decision.checks))
    for veto in decision.vetoes:
        said = f"veto by {safe_text(veto.owner)}: {safe_text(veto.reason, one_line=True)}"
        console.print(said, style="red", markup=False)
    if found.reused:
        console.print(f"{found.reused} of {len(found.outcomes)} runs were stored already", style="dim")
    for text in decision.left_out:
        console.print(f"not asked for: {safe_text(text)}", style="dim", markup=False)
    if found.replay:
        console.print(f"attempt {decision.attempt} was made before: the same again spends nothing", style="dim")
    for before in found.earlier:
        console.print(f"look {before.look}: {safe_text(before.sentence)}", style="dim", markup=False, soft_wrap=True)
    console.print(f"decision {decision.id}: ", status_text(decision.status), sep="")
    console.print(safe_text(decision.sentence), markup=False, soft_wrap=True)
    if decision.status == "passed":
        console.print(f"next: {next_step(decision)}", style="dim", markup=False, soft_wrap=True)


def next_step(decision: Decision) -> str:
    """Return the command that a decision that passed waits for."""
    if decision.review == "manual":
        return f'harness approve {decision.id} --reason "…", then harness promote {decision.id}'
    return f"harness promote {decision.id}"
