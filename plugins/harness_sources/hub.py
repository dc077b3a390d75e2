"""Data sets of the Hugging Face hub, by id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.api import InputError, MissingDependencyError, Sample, SourceInput
from harness_sources.rows import row_options, samples_of

_OWN = ("name", "config", "split", "revision")


def read_hub(source: SourceInput) -> Iterator[Sample]:
    """Yield the samples of a hub data set; `samples` gives name, config, split, revision and columns.

    Raises:
        InputError: when offline, when the set cannot be fetched, or for wrong options.
    """
    name = source.options.get("name")
    if not isinstance(name, str) or not name:
        raise InputError(
            "the source datasets needs the set's id", file=source.suite_path, key="samples.name",
            hint="for example name: org/set",
        )  # fmt: skip
    options = row_options(source, extra=_OWN)
    if source.offline:
        raise InputError(
            f"the data set {name} is fetched from the hub, and --offline opens no socket", file=source.suite_path,
            hint="leave --offline out, or use a local file with the source jsonl, csv or parquet",
        )  # fmt: skip
    try:
        import datasets
    except ImportError as error:
        raise MissingDependencyError("datasets", "metrics", needed_by="the source datasets") from error
    split = str(source.options.get("split", "test"))
    try:
        rows = datasets.load_dataset(
            name, source.options.get("config"), split=split, revision=source.options.get("revision"), streaming=True
        )
        yield from samples_of(enumerate(rows, start=1), Path(f"{name}[{split}]"), options)
    except InputError:
        raise
    except Exception as error:
        cause = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise InputError(
            f"the data set {name} cannot be fetched ({cause})", file=source.suite_path, key="samples.name",
            hint="check the id and the network, or use a local file",
        ) from error  # fmt: skip
