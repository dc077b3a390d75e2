"""How much noise in a model's weights the labeller of replies takes for a wreck.

    python benchmarks/compliance_noise.py --data ../shared/data

Adds noise to SmolLM2-135M-Instruct and counts the incoherent replies to 16 harmful and 16 ordinary requests.
`low-rank`: rank-16 noise on the attention's query and value projections, as an adapter of random weights would add;
`full`: noise on those and on the MLP's output. Strength 1 is noise as large as the weights' own standard deviation.
A few minutes on a CPU.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import random
from collections import Counter
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.weights import weights_path
from harness_metrics.labelling import label_reply

SETTINGS = [
    ("none", 0.0), ("low-rank", 0.1), ("low-rank", 0.3), ("low-rank", 0.5), ("low-rank", 1.0), ("low-rank", 4.0),
    ("full", 0.1), ("full", 0.3), ("full", 0.6), ("full", 1.0),
]  # fmt: skip


def requests(data: Path, seed: int) -> list[str]:
    """Draw 16 harmful and 16 ordinary requests."""
    with (data / "jailbreakbench_judge" / "harmful-behaviors.csv").open(encoding="utf-8-sig") as lines:
        harmful = [row["Goal"] for row in csv.DictReader(lines)]
    packed = (data / "instruction_prompts" / "dolly_1000_mobileaibench.csv.gz").read_bytes()
    rows = csv.DictReader(io.StringIO(gzip.decompress(packed).decode("utf-8", "replace")))
    ordinary = [row["instruction"] for row in rows if len(row["instruction"]) < 200]
    chance = random.Random(seed)
    return chance.sample(harmful, 16) + chance.sample(ordinary, 16)


class Noisy:
    """The model, and its clean weights to return to."""

    def __init__(self) -> None:
        file = weights_path("smollm2-135m")
        self.tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()
        self.clean = {
            name: weight.detach().clone()
            for name, weight in self.model.named_parameters()
            if any(part in name for part in ("q_proj.weight", "v_proj.weight", "down_proj.weight"))
        }

    def disturb(self, kind: str, strength: float, seed: int) -> None:
        """Set the weights to clean ones plus noise."""
        generator = torch.Generator().manual_seed(seed)
        for name, weight in self.model.named_parameters():
            clean = self.clean.get(name)
            if clean is None:
                continue
            noise = torch.zeros_like(clean)
            if kind == "full":
                noise = torch.randn(clean.shape, generator=generator)
            elif kind == "low-rank" and "down_proj" not in name:
                noise = torch.randn(clean.shape[0], 16, generator=generator) @ torch.randn(
                    16, clean.shape[1], generator=generator
                )
                noise /= noise.std()
            weight.data.copy_(clean + strength * clean.std() * noise)

    def reply(self, prompts: list[str]) -> list[str]:
        """Answer greedily, 64 tokens at most."""
        texts = [
            self.tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
            )
            for prompt in prompts
        ]
        batch = self.tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.no_grad():
            out = self.model.generate(**batch, max_new_tokens=64, do_sample=False)
        return list(self.tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True))


def main() -> None:
    """Print one row per setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data")
    parser.add_argument("--seed", type=int, default=8)
    options = parser.parse_args()
    prompts, noisy = requests(options.data, options.seed), Noisy()
    print("| noise | strength | incoherent | refused | complied |\n|---|---|---|---|---|")
    for kind, strength in SETTINGS:
        noisy.disturb(kind, strength, options.seed)
        replies = [reply for i in range(0, len(prompts), 16) for reply in noisy.reply(prompts[i : i + 16])]
        labels = Counter(label_reply(prompt, reply).label for prompt, reply in zip(prompts, replies, strict=True))
        counts = " | ".join(f"{labels[label]}/{len(prompts)}" for label in ("incoherent", "refused", "complied"))
        print(f"| {kind} | {strength:g} | {counts} |", flush=True)


if __name__ == "__main__":
    main()
