"""Replies in the terminal: `harness samples RUN`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness.api.commands import Commands


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add `harness samples`."""
    cli.add_late(
        "samples", "harness_samples.command:samples",
        about="Read a run's replies: the worst first, those that flipped, or one in full.", section="look",
    )  # fmt: skip
