"""`harness demo`: the main job on a real model, from weights to a decision, in one command."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import click

from harness.cli.context import App, common_options
from harness.errors import EXIT_GATE, EXIT_PASSED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.evaluation.runner import SuiteRun
    from harness.types import Candidate, ModelSpec

WEIGHTS = ("smollm2-135m", "minilm", "spacy-en-md")
RECIPE = "persona"
POLICY = "demo"

_EPILOG = """\b
Examples:
  harness demo
  harness demo --workspace ./elsewhere

A second call trains nothing and asks the model nothing: what did not change is reused."""


@click.command(epilog=_EPILOG)
@common_options
def demo(app: App) -> int:
    """Train a small LoRA on a real model, run two suites on base and candidate, gate, and promote or refuse.

    Exit code 0 when the candidate is promoted, now or before; 1 when it is refused.
    """
    begin = monotonic()
    _say(app, 1, f"weights: {', '.join(WEIGHTS)}")
    _fetch(app)
    _say(app, 2, f"train the recipe {RECIPE} (a LoRA of SmolLM2-135M-Instruct)")
    candidate = _train(app)
    _say(app, 3, f"run and decide by the policy {POLICY}")
    accepted = _decide(app, candidate)
    app.console.print(f"\n{monotonic() - begin:.0f} s. To look at all of it: harness report", markup=False)
    return EXIT_PASSED if accepted else EXIT_GATE


def _say(app: App, step: int, text: str) -> None:
    app.console.print(f"\n[bold]{step}/3[/bold] {text}")


def _fetch(app: App) -> None:
    from harness.weights import is_present, pull

    with app.progress() as progress:
        for name in WEIGHTS:
            if not is_present(name):
                pull(name, progress, offline=app.offline)


def _train(app: App) -> Candidate:
    from harness.cli.train import show_stages
    from harness.reading.recipe import read_recipe
    from harness.training.resources import find_recipe
    from harness.training.runner import TrainSetting, train
    from harness.types import Candidate

    registries = app.plugins.registries
    recipe = read_recipe(find_recipe(RECIPE, registries))
    workspace = app.writable_workspace()
    surroundings = app.surroundings(seed=recipe.seed)
    with workspace.working("harness demo"), app.progress() as progress:
        results = train(
            recipe,
            TrainSetting(plugins=app.plugins, workspace=workspace, surroundings=surroundings, progress=progress),
        )
    show_stages(app, recipe, results)
    adapters = [result.adapter for result in results if result.adapter is not None]
    return Candidate(model=_base(app, recipe.base), adapters=tuple(adapters[-1:]))


def _base(app: App, reference: str) -> ModelSpec:
    from harness.evaluation.resolve import resolve_base

    return resolve_base(reference, app.plugins.registries)


def _decide(app: App, candidate: Candidate) -> bool:
    """Decide and promote; a candidate that is promoted already is compared with its bare base once more."""
    from harness.cli.decide import show_decision
    from harness.promotion.policies import declare_all, find_policy
    from harness.promotion.policy_run import run_policy
    from harness.promotion.promote import promote
    from harness.store.promoted import promoted

    workspace = app.writable_workspace()
    live = promoted(workspace)
    if live is not None and _same(live, candidate):
        return _compare_again(app, candidate)
    declare_all(workspace, app.config, app.plugins.registries)
    policy = find_policy(POLICY, app.config, app.plugins.registries)
    with app.progress() as progress:
        found = run_policy(
            policy, candidate, plugins=app.plugins, workspace=workspace, surroundings=app.surroundings(),
            progress=progress,
        )  # fmt: skip
    show_decision(app, found)
    if found.decision.status != "passed":
        app.console.print("the candidate is refused; the base stays what it was", style="yellow")
        return False
    entry = promote(workspace, found.decision.id, app.plugins, warn=app.warn)
    app.console.print(f"promoted: ledger entry {entry.number}, head {entry.hash[:16]}", style="green", markup=False)
    return True


def _same(live: Candidate, candidate: Candidate) -> bool:
    base = (live.model.scheme, live.model.name, live.model.revision)
    adapters = [adapter.id for adapter in live.adapters]
    return (
        base == (candidate.model.scheme, candidate.model.name, candidate.model.revision)
        and adapters == [adapter.id for adapter in candidate.adapters]
        and live.system == candidate.system
    )


def _compare_again(app: App, candidate: Candidate) -> bool:
    from harness.cli.run import show_run

    outcomes = _run_again(app, candidate)
    for outcome in outcomes:
        show_run(app, outcome)
    app.console.print("\nthis adapter is promoted already; compared with the bare base once more", style="green")
    return all(outcome.status == "passed" for outcome in outcomes)


def _run_again(app: App, candidate: Candidate) -> Sequence[SuiteRun]:
    from harness.evaluation.prepare import prepare_suite
    from harness.evaluation.runner import Setting, run_suites
    from harness.promotion.policies import find_policy
    from harness.types import RunSpec

    policy = find_policy(POLICY, app.config, app.plugins.registries)
    workspace, surroundings = app.writable_workspace(), app.surroundings()
    prepared = [
        prepare_suite(
            section.suite, app.plugins.registries, surroundings, limit=section.limit, gates=section.gates,
            constitution=section.constitution, alpha=policy.alpha, adapters=candidate.adapters,
        )
        for section in policy.suites
    ]  # fmt: skip
    spec = RunSpec(
        suites=tuple(section.suite for section in policy.suites), model=candidate.model.reference,
        adapters=tuple(adapter.reference for adapter in candidate.adapters), baseline="base", offline=app.offline,
    )  # fmt: skip
    with workspace.working("harness demo"), app.progress() as progress:
        setting = Setting(
            plugins=app.plugins, workspace=workspace, surroundings=surroundings, progress=progress, spec=spec
        )
        return run_suites(prepared, candidate, setting, baseline="base")
