"""Rows of JSONL, JSON, CSV and Parquet files, plain or gzipped, each with the line it stands on."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from harness.api import InputError, SourceInput

Row = Mapping[str, Any]
Numbered = tuple[int, Row]
"""(1-based line, or number of the row in formats without lines; the row)."""

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


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file to read bytes, through gzip where its name ends in .gz.

    Raises:
        InputError: when it cannot be read, or its compression is damaged.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as stream:
                yield stream  # type: ignore[misc]
        else:
            with path.open("rb") as plain:
                yield plain
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"damaged gzip data ({error})", file=path, hint="fetch the file again") from error
    except IsADirectoryError as error:
        raise InputError("this is a folder, not a file", file=path, hint="name the file in it") from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", file=path) from error


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield a text file's lines with their numbers, without line ends.

    Raises:
        InputError: naming the line whose bytes are not UTF-8.
    """
    with opened(path) as stream:
        for number, raw in enumerate(stream, start=1):
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"byte 0x{raw[error.start]:02x} is not UTF-8", file=path, line=number, hint="save it as UTF-8"
                ) from error
            yield number, text.rstrip("\r\n")


def jsonl_rows(path: Path) -> Iterator[Numbered]:
    """Yield the objects of a JSONL file; blank lines are passed over."""
    for number, text in lines(path):
        if text.strip():
            yield number, _object(_json(text, path, number), path, number)


def json_rows(path: Path) -> Iterator[Numbered]:
    """Yield the objects of a JSON file that holds one list."""
    with opened(path) as stream:
        data = stream.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError("not UTF-8", file=path, line=line, hint="save it as UTF-8") from error
    value = _json(text, path, None)
    if not isinstance(value, list):
        raise InputError("the file must hold one list of objects", file=path, hint="or use the source jsonl")
    for number, item in enumerate(value, start=1):
        yield number, _object(item, path, number)


def _json(text: str, path: Path, line: int | None) -> Any:  # noqa: ANN401 - any JSON value
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        at = line if line is not None else getattr(error, "lineno", None)
        cause = getattr(error, "msg", str(error))
        raise InputError(f"not valid JSON ({cause})", file=path, line=at, hint="mend or remove it") from error
    try:
        text.encode()
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InputError("half of a surrogate pair stands alone", file=path, line=line, hint="mend it") from error
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _object(value: object, path: Path, line: int) -> Row:
    if not isinstance(value, dict):
        raise InputError(
            f"expected an object, found a {type(value).__name__}", file=path, line=line, hint="write one object a line"
        )
    return value


def csv_rows(path: Path, *, header: bool = True) -> Iterator[Numbered]:
    """Yield the rows of a CSV file; without a header the keys are `0`, `1`, ….

    Raises:
        InputError: for rows with more or fewer cells than the header.
    """
    csv.field_size_limit(_CELL_LIMIT)
    reader = csv.reader((text + "\n" for _, text in lines(path)), strict=True)
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
            handle = io.BytesIO(stream.read()) if path.suffix == ".gz" else stream
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
