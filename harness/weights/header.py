"""Reads what a safetensors file holds from its header alone, without torch, and refuses a damaged one.

The format: 8 bytes with the header's length N (little-endian), N bytes of JSON, then the tensors' bytes without gaps.
Source: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.hashing import open_regular
from harness.serial import unique_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.types import AdapterSpec

_MOST_HEADER = 100_000_000
"""Bytes; the limit that the format's own readers keep."""
_BITS = {
    "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16,
    "U16": 16, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I8": 8, "U8": 8,
    "BOOL": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip
_HINT = "the file is cut short or damaged: copy or train it again"


def read_header(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return (dtype, shape) by tensor name, after checking that the file holds every byte that its header promises.

    Raises:
        InputError: when the file is absent, cut short, padded, or its header is not what the format asks for.
    """
    header, begin, size = _header(path)
    tensors = _tensors(header, path)
    end = 0
    for name, (dtype, shape, start, stop) in sorted(tensors.items(), key=lambda item: item[1][2:]):
        if start != end or stop - start != -(-prod(shape) * _BITS[dtype] // 8):
            raise InputError(
                f"is not a whole safetensors file (the tensor {name[:200]!r} does not lie where its header says)",
                file=path,
                hint=_HINT,
            )
        end = stop
    if end != size - begin:
        raise InputError(
            f"is not a whole safetensors file (it has {size - begin} bytes of tensors, its header promises {end})",
            file=path, hint=_HINT,
        )  # fmt: skip
    return {name: (dtype, shape) for name, (dtype, shape, _, _) in tensors.items()}


def read_metadata(path: Path) -> dict[str, str]:
    """Return the texts that whoever wrote the file put into its header; raises as `read_header`."""
    header, _, _ = _header(path)
    given = header.get("__metadata__") if isinstance(header, dict) else None
    return {str(key): str(value) for key, value in given.items()} if isinstance(given, dict) else {}


def trained_on(adapters: Sequence[AdapterSpec], *, task: str, prompt: int | tuple[int, ...], shipped: str) -> int:
    """Return the version of the prompt on which one of a role's adapters was trained for a task; 0 where none was.

    The safetensors header says so.

    Args:
        adapters: of who plays the role.
        task: such as `judge`.
        prompt: the version of the words in which it is asked, or all versions, the newest last.
        shipped: the adapter to name instead of one that was trained on other words.

    Raises:
        InputError: when it was trained on another version of them.
    """
    versions = prompt if isinstance(prompt, tuple) else (prompt,)
    for adapter in adapters:
        said = _metadata(adapter.path, adapter.id)
        if said.get("task") == task:
            version = next((one for one in versions if said.get("prompt") == str(one)), None)
            if version is None:
                asked = " or ".join(map(str, versions))
                raise InputError(
                    f"the {task}'s adapter was trained on version {said.get('prompt')} of the prompt, and this harness"
                    f" asks by version {asked}", file=adapter.path,
                    hint=f"name the {task} that ships with harness ({shipped}), or train it again",
                )  # fmt: skip
            return version
    return 0


@lru_cache(maxsize=64)
def _metadata(folder: str, identity: str) -> dict[str, str]:  # noqa: ARG001 - the identity is the memo's key
    return read_metadata(Path(folder) / "adapter_model.safetensors")


def _header(path: Path) -> tuple[Any, int, int]:
    """Return the header's JSON, where the tensors begin, and the file's size."""
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(size - 8, _MOST_HEADER):
                raise InputError("is not a whole safetensors file (its header is cut short)", file=path, hint=_HINT)
            header = json.loads(stream.read(length), object_pairs_hook=unique_keys)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"is not a whole safetensors file (its header is not JSON: {str(error).splitlines()[0][:200]})", file=path,
            hint=_HINT,
        ) from error  # fmt: skip
    return header, 8 + length, size


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every tensor in a safetensors file; raises as `read_header`."""
    return {name: shape for name, (_, shape) in read_header(path).items()}


def _tensors(header: Any, path: Path) -> dict[str, tuple[str, tuple[int, ...], int, int]]:  # noqa: ANN401 - JSON
    if not isinstance(header, dict):
        raise InputError("is not a whole safetensors file (its header is not an object)", file=path, hint=_HINT)
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            dtype, shape, (start, stop) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
            whole = isinstance(dtype, str) and all(
                type(number) is int and number >= 0 for number in (*shape, start, stop)
            )
        except (KeyError, TypeError, ValueError):
            whole, dtype, shape, start, stop = False, "", (), 0, 0
        if not whole or dtype not in _BITS:
            raise InputError(
                f"is not a whole safetensors file (the tensor {name[:200]!r} is not described)", file=path, hint=_HINT
            )
        tensors[name] = (dtype, shape, start, stop)
    return tensors
