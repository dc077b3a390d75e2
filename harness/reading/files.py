"""Files that people write or fetch, read within bounds: no file, line or number costs more than its size is worth."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from harness.errors import InputError
from harness.hashing import open_regular
from harness.serial import unique_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_WRITTEN = 2**20
"""Bytes of a file that a person writes, such as a suite or a template."""
MOST_LINE = 16 * 2**20
"""Bytes of one line of data."""
MOST_WHOLE = 512 * 2**20
"""Bytes of a file of data that has to be in memory as a whole."""
_MOST_DIGITS = 300
_DEEPEST = 100


def read_text(path: Path, *, what: str = "file", most: int = MOST_WRITTEN) -> str:
    """Return a UTF-8 file's text, unpacked where its name ends in .gz.

    Raises:
        InputError: when it is absent, unreadable, larger than `most` bytes, or not UTF-8, naming the first bad line.
    """
    return decoded(read_bytes(path, what=what, most=most), path)


def read_bytes(path: Path, *, what: str = "file", most: int = MOST_WHOLE) -> bytes:
    """Return a file's bytes as `read_text` does its text."""
    with opened(path, what=what) as stream:
        return _within(stream.read(most + 1), path, what, most)


def read_regular(path: Path, *, what: str, most: int) -> bytes:
    """Return the bytes of a regular file that a machine wrote, never unpacked; raises as `read_text`."""
    try:
        with open_regular(path) as stream:
            return _within(stream.read(most + 1), path, what, most)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from error


def _within(data: bytes, path: Path, what: str, most: int) -> bytes:
    if len(data) > most:
        raise InputError(
            f"larger than the {_size(most)} that a {what} may have", file=path, hint="is it the right one?"
        )
    return data


def decoded(data: bytes, path: Path, line: int | None = None) -> str:
    """Return UTF-8 bytes as text, without a byte order mark where they begin a file.

    Raises:
        InputError: naming the line of the first byte that is not UTF-8, which is `line` where it is given.
    """
    try:
        return data.decode("utf-8-sig" if line in {None, 1} else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"byte 0x{data[error.start]:02x} is not UTF-8", file=path,
            line=line or data[: error.start].count(b"\n") + 1, hint="save the file as UTF-8",
        ) from error  # fmt: skip


@contextmanager
def opened(path: Path, *, what: str = "file") -> Iterator[BinaryIO]:
    """Open a file to read bytes, through gzip where its name ends in .gz.

    Raises:
        InputError: when it is absent, cannot be read, or its compression is damaged.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError("this is a pipe or a device, not a file", file=path, hint="save its content to a file")
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as stream:
                yield stream  # type: ignore[misc]
        else:
            with path.open("rb") as plain:
                yield plain
    except FileNotFoundError as error:
        raise InputError(f"no such {what}", file=path, hint="check the path") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"damaged gzip data ({error})", file=path, hint="fetch the file again") from error
    except IsADirectoryError as error:
        held = ", ".join(sorted(one.name for one in path.iterdir() if one.is_file())[:3])
        hint = f"name the file in it: {held}" if held else "name the file in it"
        raise InputError("this is a folder, not a file", file=path, hint=hint) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", file=path) from error


def read_lines(path: Path, *, what: str = "file") -> Iterator[tuple[int, str]]:
    """Yield a text file's lines with their numbers from 1, without line ends.

    Raises:
        InputError: as `opened`, and naming the line that is not UTF-8, or longer than `MOST_LINE` bytes.
    """
    with opened(path, what=what) as stream:
        number = 0
        while raw := stream.readline(MOST_LINE + 1):
            number += 1
            if len(raw) > MOST_LINE:
                raise InputError(
                    f"the line is longer than {_size(MOST_LINE)}", file=path, line=number,
                    hint="write one object a line, and leave out what is no text",
                )  # fmt: skip
            yield number, decoded(raw, path, number).rstrip("\r\n")


def parse_json(text: str, path: Path, line: int | None = None) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of JSON text that records can hold.

    Args:
        text: one whole value.
        path: the file that it stands in, for errors.
        line: its line there; None where the text is the whole file.

    Raises:
        InputError: for what is no JSON, a key that stands twice, half a surrogate pair, a number that is too large, and
            for more than 100 levels.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=unique_keys, parse_constant=_no_constant, parse_float=_finite, parse_int=_whole
        )
    except (ValueError, RecursionError) as error:
        at = line if line is not None else getattr(error, "lineno", None)
        cause = getattr(error, "msg", str(error))
        raise InputError(f"not valid JSON ({cause})", file=path, line=at, hint="mend or remove it") from error
    if text.count("[") + text.count("{") > _DEEPEST and _deeper(value, _DEEPEST):
        raise InputError(f"has more than {_DEEPEST} levels", file=path, line=line, hint="write it flatter")
    if "\\u" in text:
        try:
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


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"the number {text[:20]}… is too large")
    return int(text)


def _deeper(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(levels == 0 or _deeper(one, levels - 1) for one in inner)


def _size(number: int) -> str:
    return f"{number // 2**20} MiB"
