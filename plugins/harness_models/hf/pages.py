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
    """Return zeros of a shape, of the number format of another and where that lies.

    On a CPU the system gives pages that are zero anyway, and take no memory before they are written to.

    Raises:
        MemoryError: where the system gives none.
    """
    size = prod(shape) * like.element_size()
    if like.device.type != "cpu" or size < _SMALLEST:
        return like.new_zeros(*shape)
    try:
        pages = mmap.mmap(-1, size, access=mmap.ACCESS_COPY)  # private: by default other processes could share them
    except OSError as error:
        raise MemoryError(str(error)) from error
    made = torch.frombuffer(pages, dtype=like.dtype).view(*shape)
    if hasattr(mmap, "MADV_DONTNEED"):
        made.pages = pages  # type: ignore[attr-defined] # to be found again by `give_back`
    return made


def gives_back(paged: torch.Tensor) -> bool:
    """Tell whether `give_back` does anything for a tensor that `paged` returned."""
    return hasattr(paged, "pages")


def give_back(paged: torch.Tensor, row: int) -> None:
    """Give the pages of a row (index of the first dimension) back to the system; what it held is lost.

    A page that it shares with its neighbours stays.
    """
    pages: mmap.mmap | None = getattr(paged, "pages", None)
    if pages is not None:
        size = paged.stride(0) * paged.element_size()
        first, last = -(-row * size // mmap.PAGESIZE), (row + 1) * size // mmap.PAGESIZE
        if last > first:
            pages.madvise(mmap.MADV_DONTNEED, first * mmap.PAGESIZE, (last - first) * mmap.PAGESIZE)
