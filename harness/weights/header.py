"""Reads what a safetensors file holds from its header alone, without torch, and refuses a damaged one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_MOST_HEADER_BYTES = 100_000_000
"""The format's own limit."""
_BYTES = {
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL"), 1),
}


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every tensor in a safetensors file.

    Raises:
        InputError: when the file is absent, cut short, or not safetensors.
    """
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(0)
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or not 2 <= length <= min(size - 8, _MOST_HEADER_BYTES):
                raise _damaged(path, "its header is cut short")
            header = json.loads(stream.read(length))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from error
    except ValueError as error:
        raise _damaged(path, "its header is not JSON") from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not an object")
    header.pop("__metadata__", None)
    shapes = {}
    for name, facts in header.items():
        shapes[name] = _shape(path, name, facts, size - 8 - length)
    return shapes


def _shape(path: Path, name: str, facts: Any, data: int) -> tuple[int, ...]:  # noqa: ANN401 - untrusted JSON
    try:
        shape = tuple(int(side) for side in facts["shape"])
        start, end = (int(offset) for offset in facts["data_offsets"])
        dtype = str(facts["dtype"])
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged(path, f"the tensor {name!r} is not described") from error
    width = _BYTES.get(dtype)
    count = 1
    for side in shape:
        count *= side
    if not 0 <= start <= end <= data or (width is not None and end - start != count * width):
        raise _damaged(path, f"the tensor {name!r} lies outside the file")
    return shape


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"is not a whole safetensors file ({why})", file=path, hint="copy or train it again")
