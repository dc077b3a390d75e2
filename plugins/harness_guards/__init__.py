"""Guards of training: data apart from suites, limits of the machine, measurements, searches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness.api.commands import Commands


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add the commands."""
    cli.add_late(
        "data", "harness_guards.data_command:data", about="Check training data against suites.", section="own data"
    )
