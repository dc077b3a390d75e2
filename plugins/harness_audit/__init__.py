"""The gates' own test: replays of stored rows with injected effects, and real adapters whose truth is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness.api.commands import Commands


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add `harness gate audit`."""
    cli.add_late(
        "gate audit", "harness_audit.command:audit",
        about="Test the gates themselves: how often they let a bad candidate through, and a good one.",
    )  # fmt: skip
