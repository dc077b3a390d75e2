"""What fewer bits for weights would gain on a CPU, and cost: products of one layer, log p of a text, and the head.

    python benchmarks/number_formats.py [--write]

One thread, SmolLM2-135M. With `--write` the tables go into docs/engine.md. The text is this project's README.
"""

# ruff: noqa: SLF001 - torch's operators for packed and int8 weights have no public names

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sections import machine, versions, write_table
from tokenizers import Tokenizer
from torch.nn import functional

from harness.api import RunContext, materialise
from harness.api.workspace import resolve_base
from harness.paths import weights_dir
from harness.plugins import load_plugins
from harness_models.hf import llama
from harness_models.hf.likeliest import RoughHead

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "engine.md"
ROWS = (1, 8, 32, 256)
SHAPES = ((960, 576), (576, 576), (3_072, 576), (576, 1_536))
"""Outputs and inputs of a layer's products."""
TOKENS = 1_024
_PRODUCTS = ("attended", "joined", "widened", "narrowed")


def milliseconds(do: Callable[[], object]) -> float:
    """Return the processor time of one call, over calls of 0.3 s."""
    do()
    begin, calls = time.process_time(), 0
    while calls < 3 or time.process_time() - begin < 0.3:
        do()
        calls += 1
    return 1e3 * (time.process_time() - begin) / calls


def rounded(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return int8 weights, and a scale for each output (N, 1)."""
    scale = weight.abs().amax(dim=1, keepdim=True) / 127
    return (weight / scale).round().clamp(-127, 127).to(torch.int8), scale


def products(rows: int) -> list[float]:
    """Return the ms of one layer's products: float32 and bfloat16, packed, and int8 under rows of either."""
    operators, taken = torch.ops.mkldnn, [0.0] * 4
    for outputs, inputs in SHAPES:
        weight, given = torch.randn(outputs, inputs), torch.randn(rows, inputs)
        near, (small, scale) = given.bfloat16(), rounded(weight)
        packed = operators._reorder_linear_weight(weight, 32)
        halved = operators._reorder_linear_weight(weight.bfloat16(), 32)
        scales, short = scale[:, 0].contiguous(), scale[:, 0].bfloat16()
        calls: tuple[Callable[[], Any], ...] = (
            lambda given=given, packed=packed: operators._linear_pointwise(given, packed, None, "none", [], ""),
            lambda near=near, halved=halved: operators._linear_pointwise(near, halved, None, "none", [], ""),
            lambda given=given, small=small, scales=scales: torch._weight_int8pack_mm(given, small, scales),
            lambda near=near, small=small, short=short: torch._weight_int8pack_mm(near, small, short),
        )
        taken = [before + milliseconds(call) for before, call in zip(taken, calls, strict=True)]
    return taken


def logits(folder: Path, ids: list[int], kind: str) -> torch.Tensor:
    """Return the logits of a text in `float32`, in `bfloat16`, or with the layers' weights rounded to `int8`."""
    dtype = torch.bfloat16 if kind == "bfloat16" else torch.float32
    model = llama.Llama(llama.reads(folder), folder, dtype)
    for layer in model.layers if kind == "int8" else ():
        for name in _PRODUCTS:
            small, scale = rounded(getattr(layer, name).weight)
            getattr(layer, name).weight.data = small * scale
    return functional.linear(model(torch.tensor([ids]))[0], model.lm_head.weight).float()


def moved(folder: Path, ids: list[int]) -> str:
    """Say by how much log p of a token moves, and how often the likeliest token stays."""
    exact = logits(folder, ids, "float32")
    places, parts = range(len(ids) - 1), []
    known = exact.log_softmax(-1)[places, ids[1:]]
    for kind in ("int8", "bfloat16"):
        found = logits(folder, ids, kind)
        off = (found.log_softmax(-1)[places, ids[1:]] - known).abs().mean()
        same = (found.argmax(-1) == exact.argmax(-1)).float().mean()
        parts.append(f"{kind} {off:.3f} (the likeliest token stays for {100 * same:.1f} %)")
    return f"Log p of a token moves on average, over {len(places)} tokens: {', '.join(parts)}."


def head(folder: Path, ids: list[int]) -> str:
    """Say what the rough head takes beside the whole one, and whether its tokens are those of float32."""
    model = llama.Llama(llama.reads(folder), folder, torch.float32)
    states, weight = model(torch.tensor([ids]))[0], model.lm_head.weight
    rough, packed = RoughHead(weight), torch.ops.mkldnn._reorder_linear_weight(weight, 32)
    found = [token for part in states.split(64) for token in rough.tokens(part)]
    same = sum(
        one == other for one, other in zip(found, functional.linear(states, weight).argmax(-1).tolist(), strict=True)
    )
    parts = []
    for rows in (32, 64):
        some = states[100 : 100 + rows].contiguous()

        def whole(some: torch.Tensor = some) -> object:
            return torch.ops.mkldnn._linear_pointwise(some, packed, None, "none", [], "").argmax(-1).tolist()

        quick = milliseconds(lambda some=some: rough.tokens(some))
        parts.append(f"{rows} rows {milliseconds(whole):.1f} → {quick:.1f}")
    return f"The head, packed float32 → rough bfloat16, ms: {', '.join(parts)}; {same} of {len(ids)} tokens the same."


def main() -> None:
    """Measure, and print or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the section of docs/engine.md")
    given = parser.parse_args()
    torch.set_num_threads(1)
    spec = resolve_base("smollm2-135m", load_plugins(installed=False).registries)
    folder = materialise(spec, RunContext(offline=True, weights=weights_dir()))
    text = (ROOT / "README.md").read_text("utf-8")
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids[:TOKENS]
    lines = [
        "| rows | float32, packed | bfloat16, packed | int8, float32 rows | int8, bfloat16 rows |",
        "|---:|---:|---:|---:|---:|",
    ]
    with torch.inference_mode():
        lines += [f"| {rows} | {' | '.join(f'{one:.2f}' for one in products(rows))} |" for rows in ROWS]
        lines += ["", moved(folder, ids), "", head(folder, ids), "", f"One thread. {machine()}; {versions('torch')}."]
    section = "\n".join(lines)
    print(section)
    if given.write:
        write_table(DOCUMENT, "number formats", section)


if __name__ == "__main__":
    main()
