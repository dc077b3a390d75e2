"""Few human labels: a random part of a run's replies, labelled blind by people, for gates that go by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl, late

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api.commands import Commands


@hookimpl
def register_corrections(register: Callable[..., None]) -> None:
    """Register `correction: prediction_powered`."""
    register("prediction_powered", late("harness_review.powered:PredictionPowered"), about="By labels of people")


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add the command."""
    cli.add_section("look", "harness_review", {
        "review": ("command:review", "Label a random part of a run's replies by hand, blind."),
    })  # fmt: skip
