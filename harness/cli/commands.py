"""The bundled commands, added as plugins add theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.commands import Commands


def register_commands(cli: Commands) -> None:
    """Add the core's commands, as plugins add theirs."""
    cli.add_section("evaluate", "harness.cli", {
        "run": ("run:run", "Run suites on a model with adapters, and check the gates."),
    })  # fmt: skip
