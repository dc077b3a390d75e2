"""Answers of a model in training by the engine, beside TRL's own way (transformers' `generate` on padded batches).

    python benchmarks/rollouts.py --prompts 16 --samples 4 --out docs/results/rollouts.json

Both continue the same prompts with the same LoRA on the same base, on two threads of one process, after a warm-up: as
many samples of each prompt as GRPO draws, at temperature 1. Reported are CPU seconds and tokens per CPU second,
since answers end where the model ends them and differ in length between the two draws.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path


def _read() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="smollm2-135m")
    parser.add_argument("--data", default="bundled:suites/data/persona-train.jsonl")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def main() -> None:
    """Draw by both, and say what they took."""
    given = _read()
    import torch

    from harness.api import Decoding, RunContext, materialise, resolve_path
    from harness.api.workspace import resolve_base
    from harness.plugins import load_plugins
    from harness_models.hf.rollouts import Rollouts
    from harness_stages.devices import choose_dtype
    from harness_stages.encoding import IGNORED, Encoder, read_end_ids
    from harness_stages.loading import Where, add_lora, load_base, load_tokenizer
    from harness_stages.rows import read_rows
    from harness_stages.tuning import LoraOptions

    torch.set_num_threads(2)
    spec = resolve_base(given.base, load_plugins(installed=False).registries)
    base = materialise(spec, RunContext(offline=True, weights=Path("~/.cache/harness/weights").expanduser()))
    tokenizer = load_tokenizer(base)
    path = resolve_path(given.data, Path.cwd() / "x.yaml")
    encoder = Encoder(tokenizer, read_end_ids(base))
    rows = encoder.encode(read_rows(path)[: given.prompts], max_length=512, path=path)
    prompts = [
        row.input_ids[: next(at for at, label in enumerate(row.labels) if label != IGNORED)]
        for row in rows
        for _ in range(given.samples)
    ]
    where = Where(device="cpu", dtype=choose_dtype(given.dtype, "cpu"))
    model = add_lora(load_base(base, where), LoraOptions(), error_at=lambda *_: {}, task="CAUSAL_LM")
    rollouts = Rollouts(model, tokenizer, device="cpu", dtype=where.dtype)
    draws = [at % given.samples for at in range(len(prompts))]

    def engine(count: int, tokens: int) -> int:
        decoding = Decoding(max_new_tokens=tokens, temperature=1.0)
        return sum(len(one.ids) for one in rollouts(prompts[:count], decoding, draws=draws[:count]))

    def trl(count: int, tokens: int) -> int:
        longest = max(map(len, prompts[:count]))
        pad = int(tokenizer.pad_token_id)
        ids = torch.tensor([[pad] * (longest - len(one)) + one for one in prompts[:count]])
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts[:count]])
        model.eval()
        with torch.no_grad():
            found = model.generate(
                input_ids=ids, attention_mask=mask, do_sample=True, temperature=1.0, top_k=0, max_new_tokens=tokens,
                pad_token_id=pad, eos_token_id=tokenizer.eos_token_id,
            )  # fmt: skip
        model.train()
        ended = (found[:, longest:] == tokenizer.eos_token_id).int().cumsum(dim=1)
        return int(((ended - (found[:, longest:] == tokenizer.eos_token_id).int()) == 0).sum())

    taken = {}
    for name, way in (("engine", engine), ("trl", trl)):
        torch.manual_seed(0)
        way(2, 4)
        began = time.process_time()
        tokens = way(len(prompts), given.tokens)
        seconds = time.process_time() - began
        taken[name] = {"cpu_seconds": round(seconds, 2), "tokens": tokens, "tokens_per_cpu_second": tokens / seconds}
        print(name, taken[name], flush=True)
    result = {"base": given.base, "dtype": where.dtype, "prompts": given.prompts, "samples": given.samples,
              "torch": torch.__version__, "arms": taken}  # fmt: skip
    if given.out is not None:
        given.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
