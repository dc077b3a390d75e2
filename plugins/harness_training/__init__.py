"""Training recipes: a graph of stages, reused by hash, and what follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl, late

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api.commands import Commands


@hookimpl
def register_jobs(register: Callable[..., None]) -> None:
    """Register `session.train` and `session.recipe`."""
    register("recipe", late("harness_training.jobs:recipe"), about="Read a recipe")
    register("train", late("harness_training.jobs:train"), about="Run a recipe's stages, each trained or reused")


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add the commands."""
    cli.add_section("train", "harness_training", {
        "train": ("command:train", "Run a training recipe and keep its adapter."),
    })  # fmt: skip
