"""`harness decide`: run what a policy needs, and decide on promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness.api import CandidateOptions, InputError, RunOptions
from harness.api.commands import (
    EXIT_GATE,
    EXIT_PASSED,
    App,
    Checked,
    Outputs,
    WholeRange,
    candidate_options,
    common_options,
    gathered,
    output_options,
    precision_check_option,
    remote_options,
    role_option,
    seed_option,
)

if TYPE_CHECKING:
    from harness.api import Policy
    from harness.api.stats import Design

_EPILOG = """\b
Examples:
  harness decide --adapter ./my-adapter
  harness decide --adapter ./my-adapter --policy strict
  harness decide --adapter ./my-adapter --sequential
      (stop early where it is clear)
  harness decide --adapter promoted --adapter ./patch
  harness decide --model ./my-full-fine-tune --baseline smollm2-135m
  harness decide --model openai:ft-x@http://localhost:8000/v1 \\
      --baseline openai:base@http://localhost:8000/v1
  harness decide --system "Answer briefly."
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
    click.option("--baseline", metavar="MODEL", help="What counts as the base, and as promoted while nothing is."
                 "  [default: the base under adapters, prompt or template; of a whole model harness.yaml's]"),
    click.option("--judge", metavar="REF", help="The model that critics ask: short for --role judge=REF."),
    role_option,
    precision_check_option,
)  # fmt: skip
@seed_option
@gathered(
    dict, "looks",
    click.option("--fresh", is_flag=True, help="Use no stored run; replies still come from the cache."),
    click.option(
        "--samples", type=WholeRange(min=1), metavar="N",
        help="Look at N samples a suite alone; a size that the policy does not declare is exploratory.",
    ),
    click.option(
        "--sequential", is_flag=True,
        help="Look at a quarter of the samples, then half, then all, and stop as soon as it is clear.",
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
    from harness.api import to_plain
    from harness_promotion.jobs import decide_candidate

    app.require_plugins()
    session = app.bind(seed=seed)
    chosen = session.policy(policy)
    found = decide_candidate(session, chosen, session.candidate(who), options, design=_design(chosen, **looks))
    if app.json:
        app.print_json({"decision": to_plain(found.decision), "reused_runs": found.reused, "replay": found.replay})
    else:
        app.show(found.renderables())
    checked = [Checked(run=outcome.run, checks=outcome.run.checks) for outcome in found.outcomes]
    outputs.write(checked, found.decision)
    return EXIT_PASSED if found.decision.status == "passed" else EXIT_GATE


def _design(policy: Policy, *, fresh: bool, samples: int | None, sequential: bool) -> Design:
    """Return what the options ask of a decision."""
    from harness.api.stats import SEQUENTIAL, Design

    if not sequential:
        return Design(fresh=fresh, samples=samples)
    if samples is not None:
        raise InputError("--sequential looks at rising sizes, and --samples at one", hint="give one of them")
    declared = policy.looks or any(section.samples for section in policy.suites)
    if declared or policy.fdr:
        what = "declares its own looks" if declared else "has `fdr`, of which each attempt is one look"
        raise InputError(f"the policy {policy.id} {what}", hint="leave --sequential out")
    return Design(fresh=fresh, looks=SEQUENTIAL)
