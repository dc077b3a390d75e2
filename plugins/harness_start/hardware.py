"""`harness doctor --hardware`: what this machine has, a short measurement, and what fits it."""

from __future__ import annotations

import gc
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import processor_name
from harness.api.artifacts import write_file

if TYPE_CHECKING:
    from harness.api import Progress

FILE = "hardware.json"
"""Where the measurement is kept: in the workspace, else beside the weights."""
_SECONDS = 0.4
"""Of each measurement of matrix products, and of each batch size."""
_SIDE = 1024
_LENGTH = 128
_BATCHES = (1, 2, 4, 8, 16)
_SMALL, _LARGE = (256, 4), (512, 6)
"""(width, layers) of the two models that are trained."""
_GOOD = 0.9
"""Share of the best speed from which on a batch size is good enough: a smaller one leaves memory."""
_ROOM = 0.8
"""Share of the free memory that a base may take."""
FLOPS = 6.0
"""Per parameter and token, of a forward and a backward pass (arXiv 2001.08361); LoRA needs no more."""
_FLAGS = ("amx_bf16", "amx_tile", "avx512_bf16", "avx512f", "avx2", "asimd", "bf16")


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What a machine has, and what was measured on it."""

    processor: str
    facts: Mapping[str, Any]
    """cores, threads, memory_bytes, free_bytes, gpu, battery, instructions, torch."""
    figures: Mapping[str, float]
    """gflops_float32, gflops_bfloat16, training_flops, tokens_per_second_N by batch size, bytes_per_parameter."""
    proposals: Mapping[str, Any]
    """precision, batch_size, largest_parameters, largest (of the well-known sizes)."""


_SIZES = {
    "135M (SmolLM2)": 135e6, "360M (SmolLM2)": 360e6, "0.5B (Qwen)": 0.5e9, "1.7B (SmolLM2)": 1.7e9, "3B": 3e9,
    "7B": 7e9, "13B": 13e9, "32B": 32e9, "70B": 70e9,
}  # fmt: skip


def facts() -> dict[str, Any]:
    """Return what this machine has."""
    import psutil
    import torch

    memory = psutil.virtual_memory()
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    gpus += ["Apple GPU (mps)"] if torch.backends.mps.is_available() else []
    return {
        "cores": psutil.cpu_count(logical=False) or psutil.cpu_count() or 1, "threads": psutil.cpu_count() or 1,
        "memory_bytes": memory.total, "free_bytes": _free(), "gpu": gpus,
        "battery": None if battery is None else {"percent": battery.percent, "plugged": battery.power_plugged},
        "instructions": _instructions(), "torch": torch.__version__,
    }  # fmt: skip


def _free() -> int:
    """Return the bytes that are free where a model would be trained: the GPU's where there is one."""
    import psutil
    import torch

    return int(torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else int(psutil.virtual_memory().available)


def _instructions() -> list[str]:
    try:
        flags = set(Path("/proc/cpuinfo").read_text("utf-8", "replace").split())
    except OSError:
        return []
    return [name for name in _FLAGS if name in flags]


def measure(progress: Progress) -> Hardware:
    """Measure matrix products and training steps of small models, in about ten seconds."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    task = progress.start("measuring this machine", 3 + len(_BATCHES), unit="measurements")
    figures: dict[str, float] = {}
    try:
        for dtype in ("float32", "bfloat16"):
            figures[f"gflops_{dtype}"] = round(_products(device, dtype) / 1e9, 2)
            task.advance()
        faster = figures["gflops_bfloat16"] > 1.2 * figures["gflops_float32"]
        precision = "bfloat16" if faster else "float32"
        small = _Training(device, precision, _SMALL)
        small_bytes = small.bytes_of_a_step()
        task.advance()
        large = _Training(device, precision, _LARGE)
        large_bytes = large.bytes_of_a_step()
        best = 0.0
        for size in _BATCHES:
            speed = large.tokens_per_second(size)
            figures[f"tokens_per_second_{size}"] = round(speed, 1)
            best = max(best, speed)
            task.advance()
        figures["training_flops"] = FLOPS * large.parameters * best
        figures["flops_per_parameter_and_token"] = FLOPS
        least = 2.0 if precision == "bfloat16" else 4.0
        slope = (large_bytes - small_bytes) / (large.parameters - small.parameters)
        figures["bytes_per_parameter"] = round(max(least, slope), 3)
        batch = next(size for size in _BATCHES if figures[f"tokens_per_second_{size}"] >= _GOOD * best)
    finally:
        task.finish()
    told = facts()
    largest = _ROOM * told["free_bytes"] / figures["bytes_per_parameter"]
    return Hardware(
        processor=processor_name(), facts=told | {"device": device}, figures=figures,
        proposals={
            "precision": precision, "batch_size": batch, "largest_parameters": largest,
            "largest": max((name for name in _SIZES if _SIZES[name] <= largest), key=_SIZES.__getitem__, default=None),
        },
    )  # fmt: skip


def _products(device: str, dtype: str) -> float:
    """Return floating-point operations per second of matrix products."""
    import torch

    one = torch.randn(_SIDE, _SIDE, device=device, dtype=getattr(torch, dtype))
    count, seconds = _repeated(device, lambda: one @ one)
    return 2.0 * _SIDE**3 * count / seconds


def _repeated(device: str, call: Callable[[], object]) -> tuple[int, float]:
    import torch

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    call()
    wait()
    count, began = 0, time.monotonic()
    while time.monotonic() - began < _SECONDS:
        call()
        wait()
        count += 1
    return count, time.monotonic() - began


class _Training:
    """A small Llama with LoRA pairs on its attention, trained on random tokens."""

    def __init__(self, device: str, dtype: str, size: tuple[int, int]) -> None:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import LlamaConfig, LlamaForCausalLM

        self._before = _used(device)
        width, layers = size
        config = LlamaConfig(
            vocab_size=8192, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
            num_attention_heads=width // 64, num_key_value_heads=width // 64, tie_word_embeddings=True,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of transformers to itself
            base = LlamaForCausalLM(config).to(device=device, dtype=getattr(torch, dtype))
        self.parameters = sum(weight.numel() for weight in base.parameters())
        lora = LoraConfig(r=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._model: Any = get_peft_model(base, lora)
        self._device = device
        trained = [weight for weight in self._model.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(trained, lr=1e-4)

    def _step(self, batch: int) -> None:
        import torch

        ids = torch.randint(0, 8192, (batch, _LENGTH), device=self._device)
        self._model(input_ids=ids, labels=ids).loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad()

    def tokens_per_second(self, batch: int) -> float:
        """Return the speed of training steps with `batch` rows of 128 tokens."""
        count, seconds = _repeated(self._device, lambda: self._step(batch))
        return count * batch * _LENGTH / seconds

    def bytes_of_a_step(self) -> float:
        """Return by how many bytes loading and one step of one row made this process (or the GPU's use) grow."""
        self._step(1)
        gc.collect()
        return max(0.0, _used(self._device) - self._before)


def _used(device: str) -> float:
    import psutil
    import torch

    if device == "cuda":
        return float(torch.cuda.max_memory_allocated())
    return float(psutil.Process().memory_info().rss)


def keep(hardware: Hardware, folder: Path) -> Path:
    """Write a measurement where dry runs find it, and return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "processor": hardware.processor, "facts": dict(hardware.facts), "figures": dict(hardware.figures),
        "proposals": dict(hardware.proposals), "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }  # fmt: skip
    write_file(folder / FILE, json.dumps(content, indent=2) + "\n")
    return folder / FILE


def lines(hardware: Hardware) -> Sequence[tuple[str, str]]:
    """Return what a person reads, as (what, found)."""
    told, figures, proposed = hardware.facts, hardware.figures, hardware.proposals
    battery = told["battery"]
    power = "none"
    if battery is not None:
        power = f"{battery['percent']:.0f} %, {'plugged in' if battery['plugged'] else 'not plugged in'}"
    speeds = ", ".join(f"{size}: {figures[f'tokens_per_second_{size}']:.0f}" for size in _BATCHES)
    most = f"about {proposed['largest_parameters'] / 1e9:.1f} billion parameters"
    each = f"{figures['bytes_per_parameter']:.1f} bytes each"
    return (
        ("processor", f"{hardware.processor}: {told['cores']} cores, {told['threads']} threads"),
        ("instructions", ", ".join(told["instructions"]) or "unknown"),
        ("memory", f"{told['free_bytes'] / 2**30:.1f} of {told['memory_bytes'] / 2**30:.1f} GiB free"),
        ("gpu", ", ".join(told["gpu"]) or "none"),
        ("battery", power),
        ("products", f"float32 {figures['gflops_float32']:.0f}, bfloat16 {figures['gflops_bfloat16']:.0f} GFLOP/s"),
        ("training", f"{figures['training_flops'] / 1e9:.0f} GFLOP/s; tokens a second by batch size: {speeds}"),
        ("proposal", f"dtype: {proposed['precision']}, batch_size: {proposed['batch_size']} rows"),
        ("largest base", f"{most} at {each}; of the usual sizes {proposed['largest'] or 'none'}"),
    )  # fmt: skip
