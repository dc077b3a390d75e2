"""A tournament: several candidates are measured, and the best of them is decided about, as one attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl, late

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api.commands import Commands


@hookimpl
def register_jobs(register: Callable[..., None]) -> None:
    """Register `session.tournament`."""
    register("tournament", late("harness_tournament.playing:tournament"), about="Decide about the best of several")


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add the command."""
    cli.add_section("decide", "harness_tournament", {
        "tournament": ("command:tournament", "Measure several candidates, and decide about the best, as one attempt."),
    })  # fmt: skip
