"""`harness train`: a recipe's stages, each trained or reused, and what is to be done with the adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.api.commands import (
    EXIT_GATE,
    EXIT_PASSED,
    MOST_SEED,
    App,
    FiniteRange,
    WholeRange,
    common_options,
    gathered,
    role_option,
)
from harness_training.jobs import TrainOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness_training.jobs import TrainingResult
    from harness_training.recipe import Recipe
    from harness_training.results import StageResult
    from harness_training.then import Outcome

_EPILOG = """\b
Examples:
  harness train persona
  harness train ./recipe.yaml --dry-run
  harness train ./recipe.yaml --seed 1 --device cuda
  harness train ./recipe.yaml --observe tensorboard \\
      --observe mlflow=http://localhost:5000
  harness train ./recipe.yaml --limits minutes=30,cpu=50%,battery"""


@click.command(epilog=_EPILOG)
@click.argument("recipe", metavar="RECIPE")
@click.option("--seed", type=WholeRange(0, MOST_SEED), metavar="N", help="Replaces the recipe's seed.")
@gathered(
    TrainOptions, "how",
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps."),
    click.option("--dry-run", is_flag=True, help="Check everything and say what would be trained; train nothing."),
    click.option("--force", is_flag=True, help="Train even what did not change since it was trained."),
    click.option("--no-then", "then", flag_value=False, default=True, help="Train only, without `then`."),
    click.option("--limits", metavar="LIST",
                 help="Spare the machine: minutes=30,memory=6GiB,cpu=50%,battery,temperature=85."),
    click.option("--checkpoint-every", "checkpoint_seconds", type=FiniteRange(0, 86400), default=60.0,
                 show_default=True, metavar="SECONDS",
                 help="Least time between checkpoints, from which a stopped training goes on; 0: each step."),
    click.option("--observe", multiple=True, metavar="NAME[=PLACE]",
                 help="Let tensorboard, mlflow or wandb watch, in .harness/observed or a folder or server of yours."),
    role_option,
)  # fmt: skip
@common_options
def train(app: App, recipe: str, seed: int | None, how: TrainOptions) -> int:
    """Run a training recipe: a registered name, or the path of a YAML file.

    A stage whose data, options, base and package versions did not change is reused. An adapter appears whole or not at
    all, whatever happens to the process.
    """
    from harness_training.jobs import train_recipe
    from harness_training.recipe import find_recipe, read_recipe

    app.require_plugins()
    found = read_recipe(find_recipe(recipe, app.plugins.registries))
    session = app.bind(seed=found.seed if seed is None else seed)
    result = train_recipe(session, found, how)
    outcome = result.outcome
    if not result.leads:
        return EXIT_PASSED  # the first process speaks
    if app.json:
        _print_json(app, found, result.stages, outcome)
    else:
        _show(app, result)
    return EXIT_PASSED if outcome is None or outcome.accepted else EXIT_GATE


def _print_json(app: App, recipe: Recipe, results: Sequence[StageResult], outcome: Outcome | None) -> None:
    from harness.api import to_plain
    from harness_training.results import plain_result

    app.print_json(
        {
            "recipe": recipe.id,
            "stages": [plain_result(result) for result in results],
            "runs": [] if outcome is None else [to_plain(run.run) for run in outcome.runs],
            "decision": None
            if outcome is None or outcome.policy_run is None
            else to_plain(outcome.policy_run.decision),
            "promoted": outcome is not None and outcome.promoted is not None,
        }
    )


def _show(app: App, result: TrainingResult) -> None:
    from harness.api.artifacts import artifact_folder

    console, recipe = app.console, result.recipe
    app.show(result.renderables())
    if not all(stage.kept for stage in result.stages):
        for stage in result.stages:
            if stage.note:
                console.print(stage.note, markup=False, soft_wrap=True)
        console.print("a dry run: nothing was made", style="dim")
        return
    for artifact in result.artifacts:
        console.print(f"{artifact.kind} {artifact.id}", style="bold", highlight=False)
        console.print(str(artifact_folder(app.workspace, artifact.kind, artifact.id)), style="dim", markup=False,
                      soft_wrap=True)  # fmt: skip
    models = [artifact.id for artifact in result.artifacts if artifact.kind == "model"]
    if result.adapter is None and models:
        console.print(f"next: harness run SUITE --model {models[-1]}, or harness decide --model {models[-1]}",
                      markup=False, soft_wrap=True)  # fmt: skip
    elif result.adapter is None:
        console.print("no stage of this recipe trains an adapter", style="dim")
    elif result.outcome is not None:
        _show_outcome(app, result.outcome)
    elif not recipe.then.run:
        suite = "persona" if recipe.id == "persona" else "SUITE"
        console.print(f"next: harness run {suite} --adapter {result.adapter.id}, or "
                      f"harness decide --adapter {result.adapter.id}", markup=False, soft_wrap=True)  # fmt: skip


def _show_outcome(app: App, outcome: Outcome) -> None:
    from harness.api.commands import run_parts

    for run in outcome.runs:
        app.show(run_parts(run.run, run.baselines))
    if outcome.policy_run is not None:
        app.show(outcome.policy_run.renderables())
    if outcome.promoted is not None:
        app.console.print("promoted; harness rollback goes back", style="green")
