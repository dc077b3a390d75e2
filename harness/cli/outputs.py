"""Gates for other programs, as files that a person asked for beside the tables: written by services of plugins."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.errors import InputError
from harness.services import service
from harness.store.outputs import Output
from harness.types import worst_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.cli.context import App
    from harness.types import Check, Decision, OverallStatus, RunRecord

F = TypeVar("F", bound=Callable[..., Any])
_JUNIT = '<?xml version="1.0" encoding="UTF-8"?>\n<!-- Made by: harness, JUnit -->\n'
_MARKDOWN = "<!-- Made by: harness, Markdown -->\n"
"""How files of these kinds begin, by which harness knows its own."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A run and the verdicts on it, which need not be those it was stored with."""

    run: RunRecord
    checks: Sequence[Check]
    notes: Sequence[str] = ()

    @property
    def status(self) -> OverallStatus:
        """The worst of the checks."""
        return worst_status(check.status for check in self.checks)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The files that a person asked for beside the tables."""

    junit: Output | None = None
    markdown: Output | None = None

    def check(self) -> None:
        """Find out whether they may and can be written, before a command begins and not after hours of running.

        Raises:
            InputError: when a file may not or cannot be written, or both are one.
        """
        files = [file for file in (self.junit, self.markdown) if file is not None]
        for file in files:
            file.check()
        if len(files) == 2 and files[0].is_same(files[1]):
            raise InputError("--junit and --markdown name one file", file=files[0].path, hint="name two")

    def write(self, checked: Sequence[Checked], decision: Decision | None = None) -> None:
        """Write the files that were asked for.

        Raises:
            InputError: when a file cannot be written.
        """
        if self.junit is not None:
            self.junit.write(_JUNIT + service("junit")(checked, decision))
        if self.markdown is not None:
            text = service("markdown")(checked, decision)
            self.markdown.write(text if self.markdown.adds else _MARKDOWN + text)


def output_options(command: F) -> F:
    """Add --junit, --markdown and --force to a click command, which gets them as `outputs`; checked before it begins.

    Stands below `common_options`, since it reads the `App`.
    """

    @click.option(
        "--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write the gates as JUnit XML too."
    )  # fmt: skip
    @click.option(
        "--markdown", type=click.Path(path_type=Path), metavar="FILE",
        help="Write a summary in Markdown too; $GITHUB_STEP_SUMMARY is added to.",
    )  # fmt: skip
    @click.option("--force", is_flag=True, help="Let --junit and --markdown replace files that harness did not write.")
    @functools.wraps(command)
    def wrapper(app: App, /, *, junit: Path | None, markdown: Path | None, force: bool, **rest: Any) -> Any:
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        named = functools.partial(Output, force=force, workspace=app.workspace_path, mode=0o666)
        shared = markdown is not None and bool(summary) and os.path.realpath(markdown) == os.path.realpath(str(summary))
        outputs = Outputs(
            junit=None if junit is None else named(path=junit, marks=(_JUNIT,)),
            markdown=None if markdown is None else named(path=markdown, marks=(_MARKDOWN,), adds=shared),
        )
        outputs.check()
        return command(app, outputs=outputs, **rest)

    return wrapper  # type: ignore[return-value]
