"""`harness demo`: the main job on a real model, from weights to a decision, in one command."""

from __future__ import annotations

from time import monotonic
from typing import Any

import click

from harness.api.commands import EXIT_GATE, EXIT_PASSED, MOST_SEED, App, WholeRange, common_options

WEIGHTS = ("smollm2-135m", "minilm", "spacy-en-md")
DEMOS = {
    "safer": ("constitutional-short", "safer", "a LoRA that learns to decline what would do harm"),
    "persona": ("persona", "demo", "a small LoRA that learns a persona's facts"),
}
"""Recipe, policy, and what is trained."""

_EPILOG = """\b
Examples:
  harness demo
  harness demo persona
  harness demo --seed 3
  harness demo --workspace ./elsewhere

`safer` teaches the model to decline what would do harm, and promotes it if it gives less harmful help than its base,
beyond chance, and is still of use. `persona` teaches it the facts of a persona. They take five to seven minutes on two
cores.

A second call trains nothing and asks the model nothing: what did not change is reused."""


@click.command(epilog=_EPILOG)
@click.argument("which", type=click.Choice(list(DEMOS)), default="safer", metavar="[safer|persona]")
@click.option("--seed", type=WholeRange(0, MOST_SEED), metavar="N", help="Of the training.  [default: the recipe's]")
@common_options
def demo(app: App, which: str, seed: int | None) -> int:
    """Train a small LoRA on a real model, run two suites on base and candidate, gate, and promote or refuse.

    Exit code 0 when the candidate is promoted, now or before; 1 when it is refused.
    """
    begin = monotonic()
    recipe, policy, about = DEMOS[which]
    _say(app, 1, f"weights: {', '.join(WEIGHTS)}")
    _fetch(app)
    _say(app, 2, f"train the recipe {recipe} ({about}, on SmolLM2-135M-Instruct)")
    trained = app.session.train(recipe, seed=seed, then=False)
    app.show(trained.renderables())
    _say(app, 3, f"run and decide by the policy {policy}")
    accepted = _decide(app, trained, policy)
    app.console.print(f"\n{monotonic() - begin:.0f} s. To look at all of it: harness report", markup=False)
    return EXIT_PASSED if accepted else EXIT_GATE


def _say(app: App, step: int, text: str) -> None:
    app.console.print(f"\n[bold]{step}/3[/bold] {text}")


def _fetch(app: App) -> None:
    from harness.api.weights import is_present
    from harness_start.pulling import pull

    with app.progress() as progress:
        for name in WEIGHTS:
            if not is_present(name):
                pull(name, progress, offline=app.offline)


def _decide(app: App, trained: Any, policy: str) -> bool:  # noqa: ANN401 - what a job of another plugin gives
    """Decide and promote, where that has not happened already."""
    from harness.api import AlreadyPromotedError

    session = app.session
    adapter = () if trained.adapter is None else trained.adapter.path
    try:
        found = session.decide(adapter=adapter, policy=policy, model=trained.recipe.base)
    except AlreadyPromotedError:
        app.console.print("\nthis adapter is promoted already: harness status, or harness why promoted", style="green")
        return True
    app.show(found.renderables())
    if found.decision.status != "passed":
        app.console.print("the candidate is refused; the base stays what it was", style="yellow")
        return False
    entry = session.promote(found)
    app.console.print(f"promoted: ledger entry {entry.number}, head {entry.hash[:16]}", style="green", markup=False)
    return True
