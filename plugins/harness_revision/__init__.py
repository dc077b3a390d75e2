"""Bundled plugin: critique and revision, and the training stages that rest on them. See docs/revision.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import hookimpl, late

if TYPE_CHECKING:
    from harness.api import Metric, Principle, Stage
    from harness.api.commands import Commands

RECIPES = Path(__file__).parent / "recipes"


def make_constitutional() -> Stage:
    """Make the `constitutional` stage."""
    from harness_revision.constitutional import ConstitutionalStage

    return ConstitutionalStage()


def make_preferences() -> Stage:
    """Make the `preferences` stage."""
    from harness_revision.preferences import PreferencesStage

    return PreferencesStage()


def make_pairs() -> Stage:
    """Make the `pairs` stage."""
    from harness_revision.pairs import PairsStage

    return PairsStage()


def make_metrics(options: Mapping[str, Any], constitutions: Mapping[str, tuple[Principle, ...]]) -> Sequence[Metric]:
    """Make the metrics of `revision`."""
    from harness_revision.metrics import make

    return make(options, constitutions)


@hookimpl
def register_jobs(register: Callable[..., None]) -> None:
    """Register `session.models`."""
    register("models", late("harness_revision.asking:models"), about="What a training stage is given to ask with")


@hookimpl
def register_metrics(register: Callable[..., None]) -> None:
    """Register what measures revisers."""
    register(
        "revision", make_metrics,
        about="critique_resolution, revision_damage and what else becomes of replies that the reviser writes anew",
    )  # fmt: skip


@hookimpl
def register_stages(register: Callable[..., None]) -> None:
    """Register the stages that ask models."""
    register("constitutional", make_constitutional, about="prompts → replies → critiques → revisions")
    register("preferences", make_preferences, about="several replies to a prompt, and which of them critics prefer")
    register("pairs", make_pairs, about="replies written by hand against the model's own, as preferences")


@hookimpl
def register_recipes(register: Callable[..., None]) -> None:
    """Register the bundled recipes."""
    about = "makes SmolLM2-135M safer: critique and revision on red-team prompts, then training on them"
    register("constitutional-smollm2", RECIPES / "constitutional-smollm2.yaml", about=about)
    about = "makes SmolLM2-135M safer in a few minutes, by refusals and own answers that lie ready"
    register("constitutional-short", RECIPES / "constitutional-short.yaml", about=about)
    about = "makes SmolLM2-135M safer: revisions that lie ready, then DPO on pairs of them and its own replies"
    register("constitutional-dpo", RECIPES / "constitutional-dpo.yaml", about=about)
    about = "GRPO on SmolLM2-135M's own answers to red-team prompts, rewarded by a labeller of harmful help"
    register("constitutional-rlaif", RECIPES / "constitutional-rlaif.yaml", about=about)


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add `harness revise`, `harness principle try` and `harness constitution`."""
    cli.add_late(
        "revise", "harness_revision.command:revise_command", section="evaluate",
        about="Let a reply be criticised and revised until it keeps the constitution.",
    )  # fmt: skip
    cli.add_late(
        "principle try", "harness_revision.trying:try_command", section="evaluate",
        about="See what critics and reviser make of one reply by one principle.",
    )  # fmt: skip
    cli.add_late(
        "constitution", "harness_revision.constitutions:constitution", section="look",
        about="Show, check and compare constitutions.",
    )  # fmt: skip
