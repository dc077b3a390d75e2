"""`harness demo`: the main job on a real model, from weights to a decision, in one command."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import click

from harness.cli.context import App, common_options
from harness.errors import EXIT_GATE, EXIT_PASSED
from harness.session.options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.evaluation.runner import SuiteRun
    from harness.types import Candidate

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
    from harness.evaluation.resolve import resolve_base
    from harness.types import Candidate

    result = app.session.train(RECIPE, then=False)
    show_stages(app, result.recipe, result.stages)
    adapters = [stage.adapter for stage in result.stages if stage.adapter is not None]
    base = resolve_base(result.recipe.base, app.plugins.registries)
    return Candidate(model=base, adapters=tuple(adapters[-1:]))


def _decide(app: App, candidate: Candidate) -> bool:
    """Decide and promote; a candidate that is promoted already is compared with its bare base once more."""
    from harness.promotion.promote import promote
    from harness.session.drawing import decision_parts
    from harness.store.promoted import promoted

    session = app.session
    workspace = session.writable_workspace()
    live = promoted(workspace)
    if live is not None and _same(live, candidate):
        return _compare_again(app, candidate)
    found = session.decide_candidate(session.policy(POLICY), candidate, RunOptions())
    app.show(decision_parts(found))
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
    from harness.session.drawing import run_parts

    outcomes = _run_again(app, candidate)
    for outcome in outcomes:
        app.show(run_parts(outcome.run, outcome.baselines))
    app.console.print("\nthis adapter is promoted already; compared with the bare base once more", style="green")
    return all(outcome.run.accepted for outcome in outcomes)


def _run_again(app: App, candidate: Candidate) -> Sequence[SuiteRun]:
    from harness.evaluation.runner import run_suites
    from harness.promotion.policy_run import prepare_policy

    session = app.session
    policy, options = session.policy(POLICY), RunOptions(baseline="base")
    limits = [section.limit for section in policy.suites]
    prepared = prepare_policy(policy, candidate.adapters, app.plugins.registries, session.context, limits)
    spec = session.spec([section.suite for section in policy.suites], candidate, options)
    with session.writable_workspace().working("harness demo"), session.setting(spec) as setting:
        return run_suites(prepared, candidate, setting, baseline="base")
