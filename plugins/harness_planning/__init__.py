"""Gates before a run and after it: what they can detect, how often they would pass, and stored runs checked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness.api.commands import Commands


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add the commands."""
    cli.add_section("evaluate", "harness_planning", {
        "plan": ("command:plan", "Say before a run what its gates can detect, and how often they would pass."),
        "gate": ("gate:gate", "Check a stored run's gates again, without the model."),
    })  # fmt: skip
