"""What comes before the first run: settings, weights, a check of this machine, and the main job once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness.api.commands import Commands


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add the commands."""
    cli.add_section("start", "harness_start", {
        "init": ("init:init", "Write a commented harness.yaml and make a workspace."),
        "demo": ("demo:demo", "Train a small LoRA, gate it and decide: the main job in one command."),
        "models": ("models:models", "Fetch and list the weights of the catalog."),
        "doctor": ("doctor:doctor", "Say what works here, and what to do about the rest."),
    })  # fmt: skip
