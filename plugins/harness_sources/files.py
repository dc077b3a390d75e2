"""Rows of JSONL, JSON, CSV and Parquet files, plain or gzipped, each with the line it stands on."""

from __future__ import annotations

import csv
import glob
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.api import (
    MOST_WHOLE,
    InputError,
    MissingSplitError,
    SourceInput,
    opened,
    parse_json,
    read_bytes,
    read_lines,
    read_text,
)

Row = Mapping[str, Any]
Numbered = tuple[int, Row]
"""(1-based line, or number of the row in formats without lines; the row)."""

_SPLIT = re.compile(r"(?<![A-Za-z])(?:[Tt]est|[Vv]alidation|[Vv]alid|[Vv]al|[Dd]ev)(?![A-Za-z])")
_CELL_LIMIT = 16 * 2**20


def data_path(source: SourceInput, *, what: str) -> Path:
    """Return the source's file or folder.

    Raises:
        InputError: when the suite names none, or there is nothing there.
    """
    if source.path is None:
        raise InputError(
            f"{what} needs its data file", file=source.suite_path, key="samples.path",
            hint="pass it with --data FILE, or name it as samples.path",
        )  # fmt: skip
    if not source.path.exists():
        raise InputError("no such data file", file=source.path, hint="check samples.path, or pass --data FILE")
    return source.path


def native_files(source: SourceInput, what: str, *patterns: str) -> list[Path]:
    """Return the files of a native layout: the file that is named, or those in its folder, one level down, or one up.

    Args:
        source: names a file or folder.
        what: the set, for errors.
        patterns: of file names, the best first; the first folder and pattern that match anything are taken.

    Raises:
        InputError: as `data_path`, where nothing matches, and for the option `split`, since the set has one file alone.
    """
    if "split" in source.options:
        raise InputError(
            f"{what} has no other split to take examples from", file=source.suite_path, key="few_shot.split",
            hint="leave the split out: examples then come from the same file",
        )  # fmt: skip
    return own_files(source, what, *patterns)


def own_files(source: SourceInput, what: str, *patterns: str) -> list[Path]:
    """Return the files as `native_files` does, whatever split the options name."""
    path = data_path(source, what=what)
    if path.is_file():
        return [path]
    below = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    above = (path.parent, *(path.parent / name for name in ("test", "val", "dev", "data")))
    for folder in (path, *below, *above):
        for pattern in patterns[: 1 if folder in above else None]:  # who knows what else lies up there
            found = sorted(file for file in folder.glob(pattern) if file.is_file())
            if found:
                return found
    raise InputError(
        f"neither this folder nor those beside and in it hold {what} ({', '.join(patterns)})", file=path,
        hint="name the file itself",
    )  # fmt: skip


def split_files(source: SourceInput, what: str, *patterns: str, splits: Mapping[str, tuple[str, ...]]) -> list[Path]:
    """Return the set's own files, or the file of the split that the option `split` names.

    That file lies beside the set's own, or in a folder of the split's name in or beside its folder. It has the own
    file's name with the split's in place of `test`, `val` or `dev`, or matches one of its patterns.

    Args:
        source: as `native_files` takes it.
        what: the set, for errors.
        patterns: of the set's own files.
        splits: patterns by split.

    Raises:
        MissingSplitError: where there is no such file.
        InputError: as `native_files`, and for a split that the set does not have.
    """
    own, split = own_files(source, what, *patterns), source.options.get("split")
    if split is None:
        return own
    if split not in splits:
        raise InputError(
            f"{what} has no split {split!r}", file=source.suite_path, key="few_shot.split",
            hint=f"known: {', '.join(splits)}, or own for the same file",
        )  # fmt: skip
    name, folder = own[0].name, own[0].parent
    alike = _SPLIT.sub(lambda match: split.title() if match[0][0].isupper() else str(split), name.removesuffix(".gz"))
    names = (*([glob.escape(alike) + "*"] if alike != name.removesuffix(".gz") else []), *splits[split])
    for place in (folder, folder / split, folder.parent / split):
        for pattern in names:
            found = sorted(file for file in place.glob(pattern) if file.is_file() and file not in own)
            if found:
                return found[:1]
    raise MissingSplitError(
        f"{what} has no file of the split {split} beside it ({', '.join(names)})", file=own[0],
        hint="put it there, or name own as the split",
    )  # fmt: skip


def jsonl_rows(path: Path) -> Iterator[Numbered]:
    """Yield the objects of a JSONL file; blank lines are passed over."""
    for number, text in read_lines(path):
        if text.strip():
            yield number, _object(parse_json(text, path, number), path, number)


def json_rows(path: Path) -> Iterator[Numbered]:
    """Yield the objects of a JSON file that holds one list."""
    value = parse_json(read_text(path, most=MOST_WHOLE), path)
    if not isinstance(value, list):
        raise InputError("the file must hold one list of objects", file=path, hint="or use the source jsonl")
    for number, item in enumerate(value, start=1):
        yield number, _object(item, path, number)


def _object(value: object, path: Path, line: int) -> Row:
    if not isinstance(value, dict):
        raise InputError(
            f"expected an object, found a {type(value).__name__}", file=path, line=line, hint="write one object a line"
        )
    return value


def table_rows(path: Path) -> Iterator[Numbered]:
    """Yield the rows of a CSV file, of JSON lines, or of a JSON list, whichever the first character says."""
    first = next((text.strip()[0] for _, text in read_lines(path) if text.strip()), "")
    yield from {"[": json_rows, "{": jsonl_rows}.get(first, csv_rows)(path)


def csv_rows(path: Path, *, header: bool = True) -> Iterator[Numbered]:
    """Yield the rows of a CSV file; without a header the keys are `0`, `1`, ….

    Raises:
        InputError: for rows with more or fewer cells than the header.
    """
    csv.field_size_limit(_CELL_LIMIT)
    reader = csv.reader((text + "\n" for _, text in read_lines(path)), strict=True)
    names: list[str] | None = None
    try:
        for cells in reader:
            if not cells:
                continue
            if names is None:
                names = [cell.strip() for cell in cells] if header else [str(n) for n in range(len(cells))]
                if header:
                    continue
            if len(cells) != len(names):
                raise InputError(
                    f"the row has {len(cells)} cells, the first has {len(names)}", file=path, line=reader.line_num,
                    hint="check the quotes around commas and line breaks",
                )  # fmt: skip
            yield reader.line_num, dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise InputError(
            f"not valid CSV ({error})", file=path, line=reader.line_num, hint="check the quotes"
        ) from error


def parquet_rows(path: Path) -> Iterator[Numbered]:
    """Yield the rows of a Parquet file, a batch in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with opened(path) as stream:
            handle = io.BytesIO(read_bytes(path)) if path.suffix == ".gz" else stream
            number = 0
            for batch in pq.ParquetFile(handle).iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except pa.ArrowException as error:
        raise InputError(f"not a readable Parquet file ({error})", file=path, hint="fetch it again") from error


def need(row: Row, column: str, path: Path, line: int, *, what: str) -> str:
    """Return a native layout's cell as text; copies of a set differ in the case of their headers.

    Raises:
        InputError: when the column is absent, so that the file is not what the suite takes it for.
    """
    name = next((key for key in row if str(key).lower() == column.lower()), None)
    if name is None:
        raise InputError(
            f"this is not {what}: the column {column!r} is missing (there are: {', '.join(map(str, row))})", file=path,
            line=line, hint="check that --data names the original file",
        )  # fmt: skip
    value = row[name]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
