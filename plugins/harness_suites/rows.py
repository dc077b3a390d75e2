"""The first rows of a data file, to look at: the sources read it strictly later on."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from harness.api import MOST_WHOLE, InputError, opened, parse_json, read_lines, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path


def _jsonl(path: Path) -> Iterable[object]:
    return (parse_json(text, path, number) for number, text in read_lines(path) if text.strip())


def _json(path: Path) -> Iterable[object]:
    found = parse_json(read_text(path, most=MOST_WHOLE), path)
    return found if isinstance(found, list) else [None]


def _csv(path: Path) -> Iterable[object]:
    return csv.DictReader(text + "\n" for _, text in read_lines(path))


def _parquet(path: Path) -> Iterable[object]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with opened(path) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(batch_size=1024):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"not a readable Parquet file ({error})", file=path, hint="fetch it again") from error


_READERS: dict[str, Callable[[Path], Iterable[object]]] = {
    ".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet,
}  # fmt: skip


def source_and_rows(path: Path) -> tuple[str, Iterator[Mapping[str, Any]]]:
    """Return the source that reads a file, and its rows.

    Raises:
        InputError: for a file that is not there, of another kind, or whose rows are no objects.
    """
    if not path.is_file():
        raise InputError("no such data file", file=path, hint="check --data")
    ending = next((suffix for suffix in reversed(path.suffixes) if suffix != ".gz"), "").lower()
    if ending not in _READERS:
        raise InputError(
            f"the ending {ending or path.name!r} says of no format that can be looked at", file=path,
            hint=f"use one of {', '.join(_READERS)}",
        )  # fmt: skip
    return ending.removeprefix("."), (_object(row, path) for row in _READERS[ending](path))


def _object(row: object, path: Path) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise InputError("the rows must be objects with named fields", file=path, hint="write one object a line")
    return row
