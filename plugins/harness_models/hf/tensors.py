"""Reads tensors of safetensors files straight into the memory where they are used, so that nothing is held twice."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class Tensors:
    """The tensors of a folder, by name.

    Args:
        folder: with `*.safetensors`, whose headers were checked.
        dtype: that they are read in.
    """

    def __init__(self, folder: Path, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._found: dict[str, tuple[Path, int, torch.dtype, tuple[int, ...]]] = {}
        for file in sorted(folder.glob("*.safetensors")):
            with file.open("rb") as stream:
                size = int.from_bytes(stream.read(8), "little")
                header = json.loads(stream.read(size))
            for name, entry in header.items():
                if name != "__metadata__" and entry["dtype"] in _TYPES:
                    place = 8 + size + entry["data_offsets"][0]
                    self._found[name] = (file, place, _TYPES[entry["dtype"]], tuple(entry["shape"]))

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def one(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        """Return a tensor.

        Raises:
            KeyError: where it is absent.
            ValueError: where its shape is another.
        """
        return self.joined([(name, shape)])

    def joined(self, parts: Sequence[tuple[str, tuple[int, ...]]]) -> torch.Tensor:
        """Return tensors below each other, which are alike but for their first dimension; raises as `one`."""
        rows = sum(shape[0] for _, shape in parts)
        result = torch.empty((rows, *parts[0][1][1:]), dtype=self._dtype)
        begin = 0
        for name, shape in parts:
            self._read(name, shape, result[begin : begin + shape[0]])
            begin += shape[0]
        return result

    def _read(self, name: str, shape: tuple[int, ...], target: torch.Tensor) -> None:
        file, place, dtype, found = self._found[name]
        if found != shape:
            raise ValueError(f"{name} has the shape {found}, not {shape}")
        given = target if dtype == self._dtype else torch.empty(shape, dtype=dtype)
        room = given.view(-1).view(torch.uint8).numpy().data
        with file.open("rb") as stream:
            stream.seek(place)
            if stream.readinto(room) != math.prod(shape) * dtype.itemsize:
                raise ValueError(f"{file.name} ends within {name}")
        if given is not target:
            target.copy_(given)
