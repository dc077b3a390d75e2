"""The bundled commands, added as plugins add theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.commands import Commands

_BUNDLED = {
    "start": {},
    "evaluate": {
        "run": ("run:run", "Run suites on a model with adapters, and check the gates."),
        "gate": ("gate:gate", "Check a stored run's gates again, without the model."),
    },
    "train": {"train": ("train:train", "Run a training recipe and keep its adapter.")},
    "decide": {
        "decide": ("decide:decide", "Run what a policy needs, and decide on promotion."),
        "approve": ("review:approve", "Approve a decision, where its policy asks for a person's word."),
        "reject": ("review:reject", "Reject a decision, so that it cannot be promoted."),
        "promote": ("promote:promote", "Promote the candidate of a decision."),
        "rollback": ("promote:rollback", "Go back to what was promoted before."),
        "policy": ("review:policy", "Begin the count of a policy's attempts anew."),
    },
    "look": {
        "status": ("promote:status", "Say what is promoted, and since when."),
        "history": ("promote:history", "List promotions, refused ones and rollbacks."),
    },
}


def register_commands(cli: Commands) -> None:
    """Add the bundled commands, as plugins add theirs."""
    for section, commands in _BUNDLED.items():
        cli.add_section(section, "harness.cli", commands)
