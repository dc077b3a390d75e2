"""Float32 products out of products of bfloat16 halves, on processors whose matrix units (Intel's AMX) take only those.

A number in float32 is split into the bfloat16 nearest to it and the one nearest to what is left, which hold 17 of its
24 bits. Three products of halves, added up in float32, make one of float32; the fourth, of the two small halves, is
below what rounding leaves. Henry, Tang and Heinecke 2019, "Leveraging the bfloat16 Artificial Intelligence Datatype
For Higher-Precision Computations". The weights are held as halves alone, in as many bytes as before; where they come
from a file in bfloat16, the small halves are all zero and neither held nor multiplied.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

SMALLEST = 256
"""Inputs or outputs of the smallest layer that gains by it."""
_SWITCH = "HARNESS_BFLOAT16_HALVES"
_ROW_MAJOR, _AS_IS, _TRANSPOSED = 101, 111, 112
_CLOSE = 1e-4
"""Most that a product of halves may be off by, as a share of the largest number in it; measured: 1e-5."""

_FEW = 96
"""Rows up to which reading the weights costs more than adding up results."""
_OF_FACTORS, _OF_RESULT = 1.02 * 2.0**-8, 2.0**-7
"""By how much a product of large halves may be off: 2^-9 of the lengths' product for each factor, and a little for what
float32 rounds; 2^-9 of the result for that itself, and as much for what it is compared with."""
_CANDIDATES = 64
"""Outputs for each row that are computed one by one; where there are more, all are."""

Multiply = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, int], None]
"""Takes bfloat16 (M, K) and (N, K), and float32 (M, N), into which it writes one times the other's transpose, and 0, or
to which it adds that, and 1."""


@functools.cache
def multiplication() -> Multiply | None:
    """Return the product of bfloat16 matrices in float32 of this processor; None where it has none that pays.

    That is MKL's `cblas_gemm_bf16bf16f32`, which torch brings along but calls for no product of its own that gives
    float32. `HARNESS_BFLOAT16_HALVES=0` in the environment leaves float32 products as they are.
    """
    if os.environ.get(_SWITCH) == "0" or not _has_matrix_units():
        return None
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        function = library.cblas_gemm_bf16bf16f32
    except (OSError, AttributeError):  # another system, or a torch that was built without MKL
        return None
    number, place, factor = ctypes.c_int, ctypes.c_void_p, ctypes.c_float
    function.restype = None
    function.argtypes = [
        number, number, number, number, number, number, factor, place, number, place, number, factor, place, number,
    ]  # fmt: skip

    def multiply(one: torch.Tensor, other: torch.Tensor, result: torch.Tensor, add: int) -> None:
        rows, inner = one.shape
        function(
            _ROW_MAJOR, _AS_IS, _TRANSPOSED, rows, other.shape[0], inner, 1.0, one.data_ptr(), one.stride(0),
            other.data_ptr(), other.stride(0), float(add), result.data_ptr(), result.stride(0),
        )  # fmt: skip

    return multiply if _is_right(multiply) else None


def _has_matrix_units() -> bool:
    known = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return known is not None and bool(known())


def _is_right(multiply: Multiply) -> bool:
    """Compare a product of halves with one in float32."""
    order = torch.arange(64 * 96, dtype=torch.float32).view(64, 96)
    given, weight = order.mul(0.37).sin(), order.mul(0.11).cos()
    expected = given @ weight.T
    found = Halves(weight, multiply).product(given)
    return bool((found - expected).abs().max() <= _CLOSE * expected.abs().max())


def split(numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the two bfloat16 halves of float32 numbers."""
    high = numbers.to(torch.bfloat16)
    return high, torch.sub(numbers, high.float()).to(torch.bfloat16)


class Halves(nn.Module):
    """A linear layer, held as halves.

    Args:
        weight: float32, (outputs, inputs).
        multiply: what `multiplication` returned.
        bias: float32, (outputs,).
    """

    def __init__(self, weight: torch.Tensor, multiply: Multiply, bias: torch.Tensor | None = None) -> None:
        super().__init__()
        high, low = split(weight)
        self.high = nn.Parameter(high, requires_grad=False)
        self.low = nn.Parameter(low, requires_grad=False) if bool(low.any()) else None
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self._multiply = multiply
        self._longest: float | None = None
        """Length of the longest row of the weight."""

    @property
    def weight(self) -> torch.Tensor:
        """The large halves, (outputs, inputs), for whoever asks how large the layer is."""
        return self.high

    def rows(self, index: torch.Tensor) -> torch.Tensor:
        """Return rows of the weight in float32, (*index, inputs): embeddings where the layer is the head too."""
        found = self.high[index].float()
        return found if self.low is None else found.add_(self.low[index])

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Multiply (..., inputs) to (..., outputs)."""
        result = self.product(given.reshape(-1, given.shape[-1]))
        if self.bias is not None:
            result += self.bias
        return result.view(*given.shape[:-1], -1)

    def product(self, given: torch.Tensor, first: int = 0, last: int | None = None) -> torch.Tensor:
        """Multiply (M, inputs) by some rows of the weight, all of them if not told, without the bias.

        Args:
            given: float32.
            first: row of the weight.
            last: one past the last.
        """
        high, low = self.high[first:last], None if self.low is None else self.low[first:last]
        rows = given.shape[0]
        result = given.new_empty(2 * rows if rows <= _FEW else rows, high.shape[0])
        if rows <= _FEW:  # weights are read once for both halves
            both = torch.cat(split(given)).contiguous()
            self._multiply(both, high, result, 0)
            if low is not None:
                self._multiply(both[:rows], low, result[rows:], 1)
            return result[:rows].add_(result[rows:])
        large, small = split(given)
        self._multiply(small, high, result, 0)
        if low is not None:
            self._multiply(large, low, result, 1)
        self._multiply(large, high, result, 1)  # the largest comes last, so that little is rounded twice
        return result

    def likeliest(self, given: torch.Tensor) -> list[int]:
        """Return the output with the largest number for each of (M, inputs), the first where several are equal.

        One product of large halves says which it can be: by how much each number may be off follows from the lengths of
        the vectors (Cauchy and Schwarz). These few are computed in full.
        """
        rough = functional.linear(given.to(torch.bfloat16), self.high)
        if self.bias is not None:
            return self(given).argmax(dim=-1).tolist()  # type: ignore[no-any-return] # tolist is not typed
        if self._longest is None:
            self._longest = float(torch.linalg.vector_norm(self.high, dim=1, dtype=torch.float32).max())
        top = rough.amax(dim=-1, keepdim=True).float()
        off = _OF_FACTORS * given.norm(dim=-1, keepdim=True) * self._longest + _OF_RESULT * top.abs()
        places = (rough >= (top - 2 * off).to(torch.bfloat16)).nonzero()
        if len(places) > _CANDIDATES * given.shape[0]:
            return self(given).argmax(dim=-1).tolist()  # type: ignore[no-any-return] # tolist is not typed
        row, output = places.unbind(dim=1)
        exact = (given[row] * self.rows(output)).sum(dim=-1)
        best: dict[int, tuple[float, int]] = {}
        for at, found, value in zip(row.tolist(), output.tolist(), exact.tolist(), strict=True):
            if at not in best or value > best[at][0]:
                best[at] = value, found
        return [best[at][1] for at in range(given.shape[0])]
