"""Which device and number format a model will use, found out without importing torch."""

from __future__ import annotations

import ctypes
import importlib.util
import platform
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.api import ModelSpec

_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a model runs, and in what number format."""

    device: str
    """`cpu`, `cuda`, `cuda:N` or `mps`."""
    dtype: str
    """`float32`, `bfloat16` or `float16`."""


def placement(spec: ModelSpec) -> Placement:
    """Resolve `auto`: CUDA, then Apple's GPU, then the CPU; bfloat16 on CUDA of 2020 and later, float32 elsewhere."""
    device = spec.device
    if device == "auto":
        device = "cuda" if _cuda_capability() is not None else "mps" if _has_mps() else "cpu"
    dtype = spec.dtype
    if dtype == "auto":
        # Older GPUs only emulate bfloat16, and float16 overflows in models trained in bfloat16.
        number = device.partition(":")[2]
        known = _cuda_capability(int(number) if number.isdigit() else 0) if device.startswith("cuda") else None
        dtype = "bfloat16" if (known or 0) >= 8 else "float32"
    return Placement(device=device, dtype=dtype)


def _has_mps() -> bool:
    return platform.system() == "Darwin" and platform.machine() == "arm64"


@cache
def _cuda_capability(number: int = 0) -> int | None:
    """Major compute capability of a visible GPU; None where torch cannot use it.

    Asks the driver itself, because importing torch takes seconds and a warm repeat needs nothing else of it.
    """
    if not _torch_has_cuda():
        return None
    try:
        driver = ctypes.CDLL("libcuda.so.1" if platform.system() == "Linux" else "nvcuda.dll")
        count, device, major = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        answers = (
            driver.cuInit(0),
            driver.cuDeviceGetCount(ctypes.byref(count)),
            driver.cuDeviceGet(ctypes.byref(device), number),
            driver.cuDeviceGetAttribute(ctypes.byref(major), _ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device),
        )
    except (OSError, AttributeError):
        return None
    return major.value if count.value > 0 and not any(answers) else None


def _torch_has_cuda() -> bool:
    """Read from torch's own version file whether it was built for CUDA."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return False
    try:
        text = (Path(found.origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return False
    match = re.search(r"^cuda\b[^=\n]*=\s*(\S+)", text, re.MULTILINE)
    return match is not None and match.group(1) != "None"
