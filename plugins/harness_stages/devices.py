"""Where training runs, and in which precision the frozen base is held there."""

from __future__ import annotations

from pathlib import Path

from harness.api import InputError


def choose_device(wanted: str) -> str:
    """Return `cpu`, `cuda` or `mps`.

    Raises:
        InputError: where the wanted device is not here or is no device.
    """
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    if "," in wanted:
        raise InputError(f"training runs on one device, not on {wanted!r}", hint="name one of them")
    if wanted.startswith("cuda:") and wanted != "cuda:0":
        raise InputError(
            f"training picks its GPU from the environment, not from {wanted!r}",
            hint=f"set CUDA_VISIBLE_DEVICES={wanted.removeprefix('cuda:')} and say --device cuda",
        )
    device = "cuda" if wanted == "cuda:0" else wanted
    here = {"cpu": True, "cuda": cuda, "mps": mps}
    if device not in here:
        raise InputError(f"there is no device {wanted!r}", hint="use auto, cpu, cuda or mps")
    if not here[device]:
        raise InputError(f"this machine has no usable {device} device", hint="use --device cpu, or see harness doctor")
    return device


def choose_dtype(wanted: str, device: str) -> str:
    """Return `float32` or `bfloat16`: `auto` takes bfloat16 where the device computes it natively."""
    if wanted != "auto":
        return wanted
    if device == "cuda":
        import torch

        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if device == "cpu" and _cpu_has_bfloat16() else "float32"


def _cpu_has_bfloat16() -> bool:
    """Without these instructions a CPU emulates bfloat16, many times slower than float32; oneDNN must know them too."""
    import torch

    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text("ascii", "replace")
    except OSError:
        return False
    return any(name in flags.split() for name in ("avx512_bf16", "amx_bf16"))
