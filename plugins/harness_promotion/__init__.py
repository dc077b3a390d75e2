"""Deciding on a candidate, promoting, going back, and a person's word: the jobs and the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl, late

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api.commands import Commands


@hookimpl
def register_jobs(register: Callable[..., None]) -> None:
    """Register `session.decide`, `promote`, `rollback` and what other plugins ask about policies and adapters."""
    register("decide", late("harness_promotion.jobs:decide"), about="Run what a policy needs, and decide on promotion")
    register(
        "decide_candidate", late("harness_promotion.jobs:decide_candidate"), about="The same on records, as commands do"
    )
    register(
        "problems", late("harness_promotion.jobs:problems"), about="What in the workspace is not as the ledger says"
    )
    register("budget", late("harness_promotion.jobs:budget"), about="What is left to a version of a policy")
    register("begin_attempt", late("harness_promotion.jobs:begin_attempt"), about="Spend an attempt and measure later")
    register("level_among", late("harness_promotion.jobs:level_among"), about="Level of a choice among candidates")
    register("promote", late("harness_promotion.jobs:promote"), about="Promote the candidate of a decision that passed")
    register("rollback", late("harness_promotion.jobs:rollback"), about="Go back to what was promoted before")
    register(
        "touched",
        late("harness_promotion.jobs:touched"),
        about="What adapters that overwrite the shared base may have touched",
    )


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add the commands."""
    cli.add_section("decide", "harness_promotion", {
        "decide": ("decide:decide", "Run what a policy needs, and decide on promotion."),
        "approve": ("review:approve", "Approve a decision, where its policy asks for a person's word."),
        "reject": ("review:reject", "Reject a decision, so that it cannot be promoted."),
        "promote": ("promote:promote", "Promote the candidate of a decision."),
        "rollback": ("promote:rollback", "Go back to what was promoted before."),
        "policy": ("review:policy", "Begin the count of a policy's attempts anew."),
    })  # fmt: skip
    cli.add_section("look", "harness_promotion", {
        "status": ("promote:status", "Say what is promoted, and since when."),
        "history": ("promote:history", "List promotions, refused ones and rollbacks."),
    })  # fmt: skip
