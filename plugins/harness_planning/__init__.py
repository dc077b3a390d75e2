"""Gates before a run and after it: what they can detect, how often they would pass, and stored runs checked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl, late

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api.commands import Commands


@hookimpl
def register_jobs(register: Callable[..., None]) -> None:
    """Register `session.forecast`, which `harness run --dry-run` shows."""
    register("forecast", late("harness_planning.jobs:forecast"), about="What a run would ask, and how long that takes")


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add the commands."""
    cli.add_section("evaluate", "harness_planning", {
        "plan": ("command:plan", "Say before a run what its gates can detect, and how often they would pass."),
        "gate": ("gate:gate", "Check a stored run's gates again, without the model."),
    })  # fmt: skip
