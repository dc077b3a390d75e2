"""Room for keys and values on pages of its own, which the system takes back as soon as it is freed.

Keys and values come and go among activations of many sizes. On the heap they would leave gaps that nothing fits into.
"""

from __future__ import annotations

import mmap
from math import prod
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

_SMALLEST = 64 * 2**10
"""Bytes from which on pages of its own are worth asking the system for."""


def paged(shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    """Return an uninitialised tensor of a shape, of the number format of another and where that lies.

    On a CPU its pages take no memory before they are written to.

    Raises:
        MemoryError: where the system gives none.
    """
    size = prod(shape) * like.element_size()
    if like.device.type != "cpu" or size < _SMALLEST:
        return like.new_empty(*shape)
    try:
        pages = mmap.mmap(-1, size, access=mmap.ACCESS_COPY)  # private: by default other processes could share them
    except OSError as error:
        raise MemoryError(str(error)) from error
    return torch.frombuffer(pages, dtype=like.dtype).view(*shape)
