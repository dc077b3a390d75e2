"""Bundled plugin: sources of samples, and the suites and policies that ship with harness."""

from __future__ import annotations

from collections.abc import Callable

from harness import hookimpl
from harness.paths import data_dir
from harness_sources.shipped import about_of


@hookimpl
def register_sources(register: Callable[..., None]) -> None:
    """Register the readers."""
    from harness_sources.rows import read_jsonl

    register("jsonl", read_jsonl, about="One JSON object a line, .jsonl or .jsonl.gz, with a column mapping.")


@hookimpl
def register_suites(register: Callable[..., None]) -> None:
    """Register every YAML file of the suites folder under its file's name."""
    for path in sorted(data_dir("suites").glob("*.yaml")):
        register(path.stem, path, about=about_of(path))


@hookimpl
def register_policies(register: Callable[..., None]) -> None:
    """Register every YAML file of the policies folder under its file's name."""
    for path in sorted((data_dir("suites") / "policies").glob("*.yaml")):
        register(path.stem, path, about=about_of(path))
