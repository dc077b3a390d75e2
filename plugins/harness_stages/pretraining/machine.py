"""What the machine at hand computes, by a measurement of half a second."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness_stages.devices import choose_device, choose_dtype

_SECONDS = 0.5
_SIDE = 1024
USED = 0.4
"""Share of the matrix products' speed that training of such models reaches: a rule of thumb; what a training really
took is among its figures."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Of matrix products."""

    flops: float
    """Floating-point operations per second."""
    device: str
    dtype: str
    memory: float
    """Bytes that are free."""


def measure(device: str, dtype: str) -> Speed:
    """Multiply matrices for half a second in the number format of the training; raises as `choose_device`."""
    import psutil
    import torch

    device = choose_device(device)
    dtype = choose_dtype(dtype, device)
    one = torch.randn(_SIDE, _SIDE, device=device, dtype=getattr(torch, dtype))

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    _ = one @ one
    wait()
    count, began = 0, time.monotonic()
    while time.monotonic() - began < _SECONDS:
        _ = one @ one
        wait()
        count += 1
    seconds = time.monotonic() - began
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available
    return Speed(flops=2.0 * _SIDE**3 * count / seconds, device=device, dtype=dtype, memory=float(free))
