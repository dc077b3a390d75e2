"""`harness tournament`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.api import RunOptions
from harness.api.commands import EXIT_GATE, EXIT_PASSED, App, common_options, gathered, role_option, seed_option
from harness_tournament.entered import Entered

if TYPE_CHECKING:
    from harness_tournament.playing import TournamentResult

_EPILOG = """\b
Examples:
  harness tournament --adapter ./a --adapter ./b --adapter ./c
  harness tournament --adapter ./a --adapter ./b --policy strict
  harness tournament --adapter ./a --adapter ./b --dry-run
      (who would be checked, and at which level)
  harness tournament --whole ./full-1 --whole ./full-2 --adapter ./a

Each candidate is run on the policy's suites, and all intervals hold together: they are at the attempt's level over the
number of candidates. The one whose gates pass at the smallest level is decided about. That is one attempt.
Exit codes: 0 the winner may be promoted, 1 it may not, 2 input error, 3 a run broke."""


@click.command(epilog=_EPILOG)
@gathered(
    Entered, "who",
    click.option("--adapter", "adapters", multiple=True, metavar="REF", help="Of one candidate; repeat it."),
    click.option(
        "--whole", multiple=True, metavar="REF",
        help="A whole model as a candidate: a folder, a name or a server; repeat it.",
    ),
    click.option("--model", metavar="REF", help="The base of all adapters.  [default: harness.yaml's]"),
)  # fmt: skip
@click.option("--policy", metavar="NAME", help="Which policy decides.  [default: harness.yaml's, else demo]")
@gathered(
    RunOptions, "options",
    click.option("--judge", metavar="REF", help="The model that critics ask: short for --role judge=REF."),
    role_option,
)  # fmt: skip
@seed_option
@click.option("--dry-run", is_flag=True, help="Say who would be checked and at which level, and ask nothing.")
@common_options
def tournament(
    app: App, who: Entered, policy: str | None, options: RunOptions, seed: int, dry_run: bool
) -> int:  # fmt: skip
    """Measure several candidates, and decide about the best, as one attempt."""
    from harness.api.stats import level_of_attempt
    from harness_tournament import playing

    app.require_plugins()
    session = app.bind(seed=seed)
    if dry_run:
        chosen = session.policy(policy)
        entered = playing.entrants(session, chosen, who)
        number, level = 1, level_of_attempt(chosen.alpha, 1, chosen.attempts) / len(entered)
        if app.workspace_path.is_dir():
            number, level = session.job("level_among")(
                chosen, playing.fingerprints(session, chosen, entered, options)
            )  # fmt: skip
        if app.json:
            labels = [one.label for one in entered]
            app.print_json({"policy": chosen.id, "attempt": number, "level": level, "candidates": labels})
            return EXIT_PASSED
        app.console.print(
            f"attempt {number} of the policy {chosen.id}: {len(entered)} candidates, each checked at "
            f"{level:.3g}; nothing was asked", markup=False, soft_wrap=True,
        )  # fmt: skip
        return EXIT_PASSED
    found: TournamentResult = playing.tournament(session, who, policy=policy, options=options)
    if app.json:
        app.print_json(_plain(found))
    else:
        app.show(found.renderables())
    return EXIT_PASSED if found.decided.decision.status == "passed" else EXIT_GATE


def _plain(found: TournamentResult) -> dict[str, object]:
    from harness.api import to_plain

    return {
        "level": found.level,
        "contenders": [
            {"candidate": one.candidate.label, "fingerprint": one.fingerprint, "p": one.p, "passed": one.passed,
             "checks": to_plain(one.checks)}
            for one in found.contenders
        ],
        "decision": to_plain(found.decided.decision),
    }  # fmt: skip
