"""`harness ladder`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.api import CandidateOptions, RunOptions
from harness.api.commands import (
    EXIT_GATE,
    EXIT_PASSED,
    App,
    candidate_options,
    common_options,
    gathered,
    role_option,
    seed_option,
)
from harness_ladder import looking

if TYPE_CHECKING:
    from harness_ladder.looking import Look

_EPILOG = """\b
Examples:
  harness ladder --adapter ./a --policy hidden
  harness ladder --adapter ./b --policy hidden --metric harmful_compliance
  harness ladder --adapter ./c --policy hidden --step 0.05

For samples that are used again and must stay hidden: it asks them, stores no run, and tells one bit: whether the
candidate beats the best so far by the step (Blum and Hardt 2015). What is compared with stands at 0. Each look halves
the level of later attempts that decide by these samples, so that alpha holds whatever is made of what it told; the same
candidate again costs nothing.
Exit codes: 0 it rose, 1 it did not, 2 input error, 3 asking broke."""


@click.command(epilog=_EPILOG)
@candidate_options
@click.option("--policy", metavar="NAME", help="Whose hidden samples.  [default: harness.yaml's, else demo]")
@click.option("--metric", metavar="NAME", help="Of which of its comparisons.  [default: the only one]")
@click.option(
    "--step", type=float, default=looking.STEP, show_default=True, metavar="X",
    help="By how much the best must be beaten, in the metric's unit.",
)  # fmt: skip
@gathered(
    RunOptions, "options",
    click.option("--judge", metavar="REF", help="The model that critics ask: short for --role judge=REF."),
    role_option,
)  # fmt: skip
@seed_option
@common_options
def ladder(
    app: App, who: CandidateOptions, policy: str | None, metric: str | None, step: float, options: RunOptions, seed: int
) -> int:  # fmt: skip
    """Tell whether a candidate beats the best so far on hidden samples, and nothing else."""
    from harness.api import to_plain

    session = app.bind(seed=seed)
    found: Look = looking.ladder(
        session, session.candidate(who), policy=policy, metric=metric, step=step, options=options
    )  # fmt: skip
    if app.json:
        app.print_json({**to_plain(found), "sentence": found.sentence})
    else:
        app.show(found.renderables())
    return EXIT_PASSED if found.rose else EXIT_GATE
