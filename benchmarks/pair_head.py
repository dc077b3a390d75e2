"""CPU time of scoring and learning a batch of pairs, by TRL's fused head and by ours.

    python benchmarks/pair_head.py [--rows 32] [--tokens 96] [--prompt 50]

Both give the log-probabilities of the same random answers on SmolLM2-135M in bfloat16 with a LoRA on its upper
half, and go backward; the second of two turns is reported.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--prompt", type=int, default=50)
    parser.add_argument("--base", default="smollm2-135m")
    given = parser.parse_args()
    import torch
    from trl.trainer.utils import add_fused_lm_head

    from harness.api import RunContext, materialise
    from harness.api.workspace import resolve_base
    from harness.plugins import load_plugins
    from harness_stages.loading import Where, add_lora, load_base
    from harness_stages.pair_head import project_answers_only
    from harness_stages.quickness import keeping_memory
    from harness_stages.tuning import LoraOptions

    torch.set_num_threads(2)
    spec = resolve_base(given.base, load_plugins(installed=False).registries)
    base = materialise(spec, RunContext(offline=True, weights=Path("~/.cache/harness/weights").expanduser()))
    options = LoraOptions(r=8, alpha=16, dropout=0.0, from_layer=16)
    torch.manual_seed(0)
    ids = torch.randint(100, 40000, (given.rows, given.tokens))
    mask, labels = torch.ones_like(ids), ids.clone()
    labels[:, : given.prompt] = -100
    for row in range(given.rows):  # of different lengths
        mask[row, given.tokens - row % 20 :] = 0
        labels[row, given.tokens - row % 20 :] = -100
    taken = {}
    for name in ("trl", "ours"):
        torch.manual_seed(0)
        model = add_lora(load_base(base, Where(device="cpu", dtype="bfloat16")), options,
                         error_at=lambda *_: {}, task="CAUSAL_LM")  # fmt: skip
        outputs = ("log_probs", "entropy", "mean_logits", "is_top1")
        add_fused_lm_head(model.get_base_model(), outputs=outputs)
        if name == "ours":
            project_answers_only(model, checkpointing=False)
        with keeping_memory():
            for _ in range(2):
                began = time.process_time()
                scored = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False, fused_lm_head=True)
                scored.log_probs.sum().backward()
                taken[name] = {"cpu_seconds": round(time.process_time() - began, 2),
                               "log_probability": scored.log_probs.sum().item()}  # fmt: skip
    print(json.dumps(taken, indent=1))


if __name__ == "__main__":
    main()
