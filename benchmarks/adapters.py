"""How long it takes to go from one LoRA adapter to another on one loaded base, and what each costs in memory.

    harness models pull smollm2-135m
    python benchmarks/adapters.py

Random adapters of rank 16 on all linear layers are made, put on the base, and switched in turn, the bare base among
them. A switch counts as done when the next forward pass could begin. Printed are one JSON object, and a Markdown table.
"""

from __future__ import annotations

import json
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import psutil

from harness.contracts import RunContext
from harness.paths import weights_dir
from harness.references import resolve_model
from harness.store.adapters import adapter_id
from harness.types import AdapterSpec
from harness.weights import materialise, tensor_shapes

LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def save_random_adapter(
    shapes: dict[str, tuple[int, ...]], folder: Path, *, base: str, rank: int, seed: int
) -> AdapterSpec:
    """Save a LoRA adapter with random weights, small enough to leave the model a model."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes.items():
        if name.split(".")[-2] in LAYERS:
            module = name.removesuffix(".weight")
            rows, columns = shape
            weights[f"base_model.model.{module}.lora_A.weight"] = torch.randn(rank, columns, generator=generator) * 0.02
            weights[f"base_model.model.{module}.lora_B.weight"] = torch.randn(rows, rank, generator=generator) * 0.02
    folder.mkdir()
    save_file(weights, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 2 * rank,
        "target_modules": list(LAYERS), "base_model_name_or_path": base,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return AdapterSpec(id=adapter_id(folder), path=str(folder), reference=folder.name)


@click.command()
@click.option("--model", default="smollm2-135m", show_default=True)
@click.option("--adapters", "count", type=int, default=8, show_default=True)
@click.option("--rank", type=int, default=16, show_default=True)
@click.option("--rounds", type=int, default=20, show_default=True, help="Switches to each adapter and to the base.")
@click.option("--device", default="auto", show_default=True)
@click.option("--peft", is_flag=True, help="By transformers and peft, where the base would take our own code.")
def main(model: str, count: int, rank: int, rounds: int, device: str, *, peft: bool) -> None:
    """Measure loading and switching."""
    from harness_models.hf.adapters import rack_of
    from harness_models.hf.loading import load

    spec, context = resolve_model(model, device=device), RunContext(offline=True, weights=weights_dir())
    shapes: dict[str, tuple[int, ...]] = {}
    for file in materialise(spec, context).glob("*.safetensors"):
        shapes.update(tensor_shapes(file))
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        specs = [
            save_random_adapter(shapes, Path(folder) / f"adapter-{seed}", base=model, rank=rank, seed=seed)
            for seed in range(count)
        ]
        rack = rack_of(load(spec, context, bare=not peft), spec)
        resident = [process.memory_info().rss]
        loading = []
        for adapter in specs:
            begin = time.perf_counter()
            rack.activate([adapter])
            loading.append(time.perf_counter() - begin)
            resident.append(process.memory_info().rss)
        switching = []
        for _ in range(rounds):
            for chosen in ([], *([adapter] for adapter in specs)):
                begin = time.perf_counter()
                rack.activate(chosen)
                switching.append(time.perf_counter() - begin)
    row = {
        "model": model, "code": type(rack).__name__, "adapters": count, "rank": rank, "held": len(rack.held),
        "switch_ms_median": round(1000 * float(np.median(switching)), 2),
        "switch_ms_most": round(1000 * max(switching), 2),
        "load_ms_median": round(1000 * float(np.median(loading)), 1),
        "mb_per_adapter": round((resident[-1] - resident[1]) / max(1, count - 1) / 1e6, 1),
        "machine": platform.processor() or platform.machine(), "torch": version("torch"), "peft": version("peft"),
    }  # fmt: skip
    print(json.dumps(row))
    print(
        "\n| model | adapters | switch, median | switch, longest | put on the base | memory each |"
        "\n|---|---|---|---|---|---|"
    )
    print(
        f"| {model} | {count} × rank {rank} | {row['switch_ms_median']} ms | {row['switch_ms_most']} ms "
        f"| {row['load_ms_median']} ms | {row['mb_per_adapter']} MB |"
    )


if __name__ == "__main__":
    main()
