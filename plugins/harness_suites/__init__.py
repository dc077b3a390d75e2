"""Running suites, and suites from one's own data: `harness run`, `suite new`, `check`, `show`; and shell completion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness.api.commands import Commands


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add `harness run`, `harness suite` and `harness completion`."""
    cli.add_section("evaluate", "harness_suites", {
        "run": ("run:run", "Run suites on a model with adapters, and check the gates."),
    })  # fmt: skip
    cli.add_late(
        "suite", "harness_suites.command:suite", about="Write, check and show suites of your own data.",
        section="own data",
    )  # fmt: skip
    cli.add_late(
        "completion", "harness_suites.completion:completion", about="Print what makes a shell complete commands.",
        section="start",
    )  # fmt: skip
