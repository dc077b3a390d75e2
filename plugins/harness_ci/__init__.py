"""Bundled plugin: gates as files for other programs, JUnit XML and Markdown."""

from __future__ import annotations

from collections.abc import Callable

from harness import hookimpl, late


@hookimpl
def register_services(register: Callable[..., None]) -> None:
    """Offer what `--junit` and `--markdown` write."""
    register("junit", late("harness_ci.junit:junit_xml"), about="runs and a decision as JUnit XML, for --junit")
    register("markdown", late("harness_ci.markdown:markdown_summary"), about="the same as Markdown, for --markdown")
