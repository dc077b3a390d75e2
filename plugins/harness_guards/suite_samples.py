"""A suite's samples without its metrics and critics: for what only reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api.workspace import SampleStream, read_suite, read_suite_samples, resolve_suite

if TYPE_CHECKING:
    from pathlib import Path

    from harness.api import RunContext
    from harness.api.workspace import Registries


def suite_samples(
    reference: str, registries: Registries, context: RunContext, *, data: Path | None = None
) -> tuple[str, SampleStream]:
    """Return a suite's id and its samples.

    Args:
        reference: a registered name or the path of a YAML file.
        registries: what is registered.
        context: where it runs.
        data: replaces the suite's own data file.

    Raises:
        InputError: naming file, line, key and cause.
    """
    suite = read_suite(resolve_suite(reference, registries), data=data, seed=context.seed)
    source = registries.sources.get(
        suite.source, file=str(suite.path), line=suite.document.line(("samples", "source")), key="samples.source"
    )
    return suite.id, read_suite_samples(suite, source, offline=context.offline, seed=context.seed)
