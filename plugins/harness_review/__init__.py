"""Few human labels: a random part of a run's replies, labelled blind by people, for gates that go by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness.api.commands import Commands


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add the command."""
    cli.add_section("look", "harness_review", {
        "review": ("command:review", "Label a random part of a run's replies by hand, blind."),
    })  # fmt: skip
