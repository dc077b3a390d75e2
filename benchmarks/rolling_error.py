"""How far log p of a whole document is from float64: as the engine adds it up, and with torch's `log_softmax`.

    python benchmarks/rolling_error.py --data ../shared/data

Forwards documents of the rolling workload once in float32 and once in float64, by the engine's own Llama, and says for
each how far the sum over all tokens is from float64: with the sum of exponentials that the engine takes, and with
`log_softmax` in float32, which lm-evaluation-harness takes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import workloads
from engine import _folder

from harness_models.hf.llama import Llama, reads
from harness_models.hf.plain_tokenizer import tokenizer_of


def total(model: Llama, ids: list[int], *, plainly: bool) -> float:
    """Return log p of all tokens but the first, added up in float64; `plainly` is with `log_softmax`."""
    hidden, found = model(torch.tensor([ids[:-1]]))[0], 0.0
    for start in range(0, len(hidden), 256):
        logits = model.lm_head(hidden[start : start + 256])
        wanted = torch.tensor(ids[1 + start : 1 + start + len(logits)])[:, None]
        if plainly:
            parts = logits.log_softmax(dim=-1).gather(1, wanted)[:, 0]
        else:
            logits -= logits.amax(dim=-1, keepdim=True)
            parts = logits.gather(1, wanted)[:, 0] - logits.exp().sum(dim=-1).log()
        found += float(parts.double().sum())
    return found


def main() -> None:
    """Print a row for each document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=2)
    options = parser.parse_args()
    folder = _folder("smollm2-135m")
    config, tokenizer = reads(folder), tokenizer_of(folder)
    assert config is not None
    assert tokenizer is not None
    single, double = (Llama(config, folder, dtype) for dtype in (torch.float32, torch.float64))
    print("| document | tokens | log p | off by | with `log_softmax` |\n| ---: | ---: | ---: | ---: | ---: |")
    for number, item in enumerate(workloads.make("rolling perplexity", options.data)["items"][: options.documents]):
        ids = [tokenizer.bos_token_id or 0, *tokenizer(item["text"], add_special_tokens=False)["input_ids"]]
        with torch.inference_mode():
            true = total(double, ids, plainly=True)
            off = [abs(total(single, ids, plainly=plainly) - true) for plainly in (False, True)]
        print(f"| {number + 1} | {len(ids) - 1:,} | {true:.1f} | {off[0]:.1e} | {off[1]:.1e} |", flush=True)


if __name__ == "__main__":
    main()
