"""Training recipes: a graph of stages, reused by hash, and what follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.api import Session
    from harness.api.commands import Commands
    from harness_training.jobs import TrainingResult


def _train(session: Session, recipe: str | Path, **options: Any) -> TrainingResult:  # noqa: ANN401 - those of `train`
    """Run a recipe's stages; see `harness_training.jobs.train`."""
    from harness_training.jobs import train

    return train(session, recipe, **options)


@hookimpl
def register_jobs(register: Callable[..., None]) -> None:
    """Register `session.train`."""
    register("train", _train, about="Run a recipe's stages, each trained or reused")


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add the commands."""
    cli.add_section("train", "harness_training", {
        "train": ("command:train", "Run a training recipe and keep its adapter."),
    })  # fmt: skip
