"""`harness sweep`: search a recipe's options, and let the gates see the winner alone."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from harness.api.commands import (
    EXIT_GATE,
    EXIT_PASSED,
    MOST_SEED,
    App,
    WholeRange,
    common_options,
    counted,
    plain_table,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness_guards.sweep import Found, Trial

_EPILOG = """\b
Examples:
  harness sweep persona --over lr=1e-3,2e-3 --over r=8,16 --budget 30m
  harness sweep ./recipe.yaml --over upper.learning_rate=1e-4,5e-4 \\
      --no-then --json
  harness sweep ./recipe.yaml --over epochs=1,2,4 --dry-run"""


@click.command(epilog=_EPILOG)
@click.argument("recipe", metavar="RECIPE")
@click.option("--over", "over", multiple=True, required=True, metavar="[STAGE.]KEY=V,V…",
              help="An option and its values; may be repeated, and then all combinations are tried.")  # fmt: skip
@click.option("--budget", default="30m", show_default=True, metavar="TIME", help="Of training for the search.")
@click.option("--eta", type=WholeRange(2, 10), default=2, show_default=True, metavar="N",
              help="One in N goes on, trained N times as long.")  # fmt: skip
@click.option("--seed", type=WholeRange(0, MOST_SEED), metavar="N", help="Replaces the recipe's seed.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--no-then", "then", flag_value=False, default=True, help="Do not train the winner whole nor gate it.")
@click.option("--dry-run", is_flag=True, help="Say what would be tried; train nothing.")
@common_options
def sweep(
    app: App, recipe: str, over: tuple[str, ...], budget: str, eta: int, seed: int | None, device: str, then: bool,
    dry_run: bool,
) -> int:  # fmt: skip
    """Search options of a recipe by successive halving on held-out loss.

    Every combination is trained for a part of the recipe's length; the better ones go on. The winner alone is trained
    whole and goes to the gates, so that a search costs one attempt. What was trained is reused: a search that was
    stopped goes on.
    """
    from harness_guards.sweep import Search, parse_axis, parse_budget, search

    app.require_plugins()
    found = app.session.job("recipe")(recipe)
    axes = tuple(parse_axis(text, found) for text in over)
    how = Search(axes=axes, budget=parse_budget(budget), eta=eta, device=device)
    count = math.prod(len(axis.values) for axis in axes)
    if dry_run:
        rungs = max(1, math.ceil(math.log(count, eta) - 1e-9)) if count > 1 else 0
        sizes = [max(1, math.ceil(count / eta**rung)) for rung in range(rungs)]
        if app.json:
            app.print_json({"choices": count, "rungs": sizes, "budget_seconds": how.budget})
        else:
            app.console.print(f"{counted(count, 'choice')}, rungs of {', '.join(map(str, sizes)) or 'none'}; "
                              "a dry run: nothing was trained", markup=False)  # fmt: skip
        return EXIT_PASSED
    session = app.bind(seed=found.seed if seed is None else seed)

    def told(trial: Trial, of: int) -> None:
        if not app.json:
            app.console.print(f"rung {trial.rung + 1} of {of}: {_said(trial.choice)}: {_loss(trial)}", markup=False,
                              highlight=False)  # fmt: skip

    result = search(session, found, how, told)
    trained = session.train(result.recipe, seed=session.options.seed, device=device) if then else None
    outcome = None if trained is None else trained.outcome
    if app.json:
        decision = None if outcome is None or outcome.policy_run is None else outcome.policy_run.decision
        app.print_json({
            "winner": dict(result.winner), "ended": result.ended, "recipe": str(result.recipe),
            "seconds": result.figures["seconds"],
            "trials": [asdict(one) | {"loss": None if math.isinf(one.loss) else one.loss} for one in result.trials],
            "adapter": None if trained is None or trained.adapter is None else trained.adapter.id,
            "decision": None if decision is None else decision.id,
            "status": None if outcome is None else outcome.status,
        })  # fmt: skip
    else:
        _show(app, result)
        if trained is not None:
            app.console.print(trained)
            if trained.adapter is not None:
                app.console.print(f"adapter {trained.adapter.id}", style="bold", highlight=False)
            if outcome is not None:
                app.console.print(f"gates: {outcome.status}", highlight=False)
    return EXIT_PASSED if outcome is None or outcome.accepted else EXIT_GATE


def _show(app: App, result: Found) -> None:
    from harness_guards.sweep import best_first

    rows = [[_said(one.choice), str(one.rung + 1), f"{one.share:.0%}", _loss(one), f"{one.seconds:.0f}"]
            for one in best_first(result.trials)]  # fmt: skip
    app.console.print(plain_table(("choice", "rung", "trained", "held-out loss", "seconds"), rows, title="the search"))
    if result.ended:
        app.console.print(f"{result.ended}; the best of the last whole rung wins", style="yellow")
    app.console.print(f"winner: {_said(result.winner)}", style="bold", markup=False, highlight=False)
    app.console.print(str(result.recipe), style="dim", markup=False, soft_wrap=True)


def _said(choice: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in choice.items())


def _loss(trial: Trial) -> str:
    return f"broke ({trial.why})" if math.isinf(trial.loss) else f"{trial.loss:.4f}"
