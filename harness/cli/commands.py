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
    },
    "look": {},
}


def register_commands(cli: Commands) -> None:
    """Add the bundled commands, as plugins add theirs."""
    for section, commands in _BUNDLED.items():
        cli.add_section(section, "harness.cli", commands)
