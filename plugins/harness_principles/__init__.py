"""Bundled plugin: the project's constitutions, one principle of its own, and the commands to write and test more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness.api.commands import Commands

_CONSTITUTIONS = {
    "civil": "One principle, whose critic asks no model",
    "demo": "Three principles, one per critic: cheap enough for a demo",
    "harmless": "Fourteen areas of harm, each judged where a sample touches it",
    "personal": "How a personal assistant should answer: true, fitting, private, helpful, consistent",
}


@hookimpl
def register_constitutions(register: Callable[..., None]) -> None:
    """Register the project's constitutions."""
    from harness.api import data_dir

    folder = data_dir("constitutions")
    for name, about in _CONSTITUTIONS.items():
        register(name, folder / f"{name}.yaml", about=about)


@hookimpl
def register_principles(register: Callable[..., None]) -> None:
    """Register a principle that any constitution can `use`."""
    from harness_principles.civility import CIVILITY

    register(CIVILITY)


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add `harness principle`."""
    cli.add_section("evaluate", "harness_principles", {
        "principle": ("command:principle", "Write and test principles."),
    })  # fmt: skip
