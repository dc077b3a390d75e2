"""Room for keys and values on pages of its own, which the system takes back as soon as it is freed.

Keys and values come and go among activations of many sizes. On the heap they would leave gaps that nothing fits into.
"""

from __future__ import annotations

import mmap
import sys
from contextlib import suppress
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
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with suppress(OSError):  # a kernel without large pages
            pages.madvise(mmap.MADV_NOHUGEPAGE)  # one of 2 MiB would take memory for hundreds of columns at once
    made = torch.frombuffer(pages, dtype=like.dtype).view(*shape)
    if sys.platform == "linux":  # elsewhere pages that are not needed may stay, and keep what they hold
        made.pages = pages  # type: ignore[attr-defined] # to be found again by `clear`
    return made


def gives_back(paged: torch.Tensor) -> bool:
    """Tell whether `clear` gives pages back, for a tensor that `paged` returned."""
    return hasattr(paged, "pages")


def clear(paged: torch.Tensor, row: int, end: int) -> None:
    """Make a row (heads, columns, size) zero again, of which nothing was written behind so many columns.

    Where the system can, its pages go back; one that it shares with its neighbours is written instead.
    """
    size, item = paged.stride(0) * paged.element_size(), paged.element_size()
    first, last = -(-row * size // mmap.PAGESIZE) * mmap.PAGESIZE, (row + 1) * size // mmap.PAGESIZE * mmap.PAGESIZE
    if not gives_back(paged) or last <= first:
        paged[row, :, :end] = 0
        return
    pages: mmap.mmap = paged.pages  # type: ignore[attr-defined] # see above
    pages.madvise(mmap.MADV_DONTNEED, first, last - first)
    flat = paged[row].view(-1)
    flat[: (first - row * size) // item] = 0
    flat[(last - row * size) // item :] = 0
