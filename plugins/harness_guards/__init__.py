"""Guards of training: data apart from suites, limits of the machine, measurements, searches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api import Session
    from harness.api.commands import Commands


def _keep_apart(session: Session, *given: Any) -> Any:  # noqa: ANN401 - those of `keep_apart`
    """Keep a recipe's data apart from what will gate it; see `harness_guards.gating.keep_apart`."""
    from harness_guards.gating import keep_apart

    return keep_apart(session, *given)


@hookimpl
def register_jobs(register: Callable[..., None]) -> None:
    """Register what `harness train` asks before it trains."""
    register("keep_apart", _keep_apart, about="Keep a recipe's data apart from the suites that will gate")


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add the commands."""
    cli.add_late(
        "data", "harness_guards.data_command:data", about="Check training data against suites.", section="own data"
    )
    cli.add_late(
        "sweep", "harness_guards.sweep_command:sweep", about="Search a recipe's options; gate the winner.",
        section="train",
    )  # fmt: skip
