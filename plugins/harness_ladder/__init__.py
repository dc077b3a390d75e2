"""A ladder: a board on hidden samples that are used again, which tells whether a candidate rose, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl, late

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api.commands import Commands


@hookimpl
def register_jobs(register: Callable[..., None]) -> None:
    """Register `session.ladder`."""
    register("ladder", late("harness_ladder.looking:ladder"), about="Tell whether a candidate rose on hidden samples")


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add the command."""
    cli.add_section("decide", "harness_ladder", {
        "ladder": ("command:ladder", "Tell whether a candidate beats the best so far on hidden samples, by one bit."),
    })  # fmt: skip
