"""What is there, and why: the report, runs, registered things, the ledger and the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness.api.commands import Commands


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add the commands that look at what is kept and registered."""
    cli.add_section("look", "harness_inspect", {
        "report": ("report:report", "Open the report in a browser."),
        "why": ("why_command:why", "Say why a candidate was promoted or refused."),
        "runs": ("runs:runs", "List, show, compare and remove runs."),
        "list": ("listing:list_", "List what is registered: suites, principles, critics, metrics, …"),
        "show": ("show:show", "Show one registered thing: a suite, a constitution, a principle, …"),
        "ledger": ("ledger:ledger", "Verify and export the ledger."),
        "cache": ("cache:cache", "Say what is remembered of replies, and forget some of it."),
    })  # fmt: skip
