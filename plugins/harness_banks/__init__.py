"""Banks of items: suites from templates, with far more items than one decision asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.api import Sample, SourceInput
    from harness.api.commands import Commands


def _read_template(source: SourceInput) -> Iterator[Sample]:
    from harness_banks.items import read_template

    return read_template(source)


@hookimpl
def register_sources(register: Callable[..., None]) -> None:
    """Register the source."""
    register("template", _read_template, about="Items made from templates with slots; the template is the cluster")


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add the commands."""
    cli.add_section("decide", "harness_banks", {
        "bank": ("command:bank", "Say how many samples are fresh for the next decision."),
        "reveal": ("command:reveal", "Show samples of a run that decide, and retire them."),
    })  # fmt: skip
