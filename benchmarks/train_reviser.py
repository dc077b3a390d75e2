"""Train the reviser: a LoRA adapter with which SmolLM2-135M criticises a reply by a rule, and writes it anew.

    OMP_NUM_THREADS=2 python benchmarks/train_reviser.py --out FOLDER [--pin]

It learns (conversation, reply, rule) → critique → revision from the training family of plugins/harness_critics/data and
from plugins/harness_revision/data/revisions-1.jsonl, whose bad replies are asked of the base here and kept nowhere. The
words are those of harness_revision/prompts.py, the encoding that of the `sft` stage, and the layers those of
train_judge.py. The gating family is not read.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from torch.nn import functional
from train_judge import PARTS, LoraLinear, Tail

import harness
from harness.api import (
    Completion,
    Decoding,
    Generate,
    Message,
    RunContext,
    ask,
    materialise,
    resolve_model,
    sha256_file,
    sha256_json,
)
from harness.paths import weights_dir
from harness_revision.prompts import PROMPT, Flaw, messages_for
from harness_stages.encoding import IGNORED, Encoded, Encoder, read_end_ids
from harness_stages.rows import TrainingRow

ROOT = Path(__file__).parents[1]
FAMILY = ROOT / "plugins" / "harness_critics" / "data"
OWN = ROOT / "plugins" / "harness_revision" / "data" / "revisions-1.jsonl"
BASE = "smollm2-135m"
KEPT = 40
"""Rows whose reply follows the rule already and is to be left as it is."""
Solved = tuple[Flaw, str, str]


def family_rows(seed: int, most: int) -> list[Solved]:
    """Return (flaw, critique, revision) of the training family: so many that break a rule, and some that follow it."""
    rules = {
        rule["id"]: rule["text"] for rule in yaml.safe_load((FAMILY / "training-principles.yaml").read_text("utf-8"))
    }
    found: dict[str, list[Solved]] = {"breaks": [], "follows": []}
    for file in sorted(FAMILY.glob("training-[0-9]*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            row = json.loads(line)
            flaw = Flaw(
                before=tuple(Message(**turn) for turn in row["messages"]), reply=row["response"],
                principle=row["principle"], rule=rules[row["principle"]],
            )  # fmt: skip
            found[row["verdict"]].append((flaw, row["critique"], row["revision"]))
    rng = random.Random(seed)
    for rows in found.values():
        rng.shuffle(rows)
    return found["breaks"][:most] + found["follows"][:KEPT]


def own_rows(replies: dict[str, str]) -> list[Solved]:
    """Return the project's own revisions of what the base says to harmful prompts."""
    rules = {
        rule["id"]: rule["text"].strip()
        for rule in yaml.safe_load((ROOT / "constitutions" / "harmless.yaml").read_text("utf-8"))["principles"]
    }
    rows = [json.loads(line) for line in OWN.read_text("utf-8").splitlines()]
    return [
        (Flaw(before=(Message(role="user", content=row["prompt"]),), reply=replies[row["prompt"]],
              principle=row["principle"], rule=rules[row["principle"]]), row["critique"], row["completion"])
        for row in rows
    ]  # fmt: skip


def base_replies(place: Path) -> dict[str, str]:
    """Ask the base what the project's own revisions mend."""
    prompts = [json.loads(line)["prompt"] for line in OWN.read_text("utf-8").splitlines()]
    session = harness.open(place)
    session.writable_workspace()

    def one(prompt: str):
        request = Generate(messages=(Message(role="user", content=prompt),), decoding=Decoding(max_new_tokens=48))
        (reply,) = yield ask("policy", request)
        return reply.text if isinstance(reply, Completion) else ""

    with session.models([]) as models:
        return dict(zip(prompts, models.ask(one(prompt) for prompt in prompts), strict=True))


class Writer(Tail):
    """The upper layers with LoRA, up to what stands before the output's projection."""

    def hidden(self, x: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Return the last hidden states at the wanted flat places; shape (places, hidden).

        Args:
            x: what the lower layers made of the rows; shape (rows, width, hidden), bfloat16.
            wanted: indices into the flattened (rows · width).
        """
        rows, width, hidden = x.shape
        heads, kv = self.config.num_attention_heads, self.config.num_key_value_heads
        size, eps = hidden // heads, self.config.rms_norm_eps
        cos, sin = (value[0].to(x.dtype) for value in self.rotary(x, torch.arange(width)[None]))

        def turned(z: torch.Tensor, count: int) -> torch.Tensor:
            z = z.view(rows, width, count, size).transpose(1, 2)
            left, right = z.chunk(2, -1)
            return z * cos + torch.cat((-right, left), -1) * sin

        x = x.reshape(rows * width, hidden)
        for index, frozen in enumerate(self.frozen, self.first):

            def project(
                z: torch.Tensor, name: str, index: int = index, frozen: dict[str, torch.Tensor] = frozen
            ) -> torch.Tensor:
                a, b = (self.pairs[f"{index}/{name}/lora_{side}"] for side in "AB")
                return LoraLinear.apply(z, frozen[name], a.to(z.dtype), (b * self.scale).to(z.dtype))

            seen = functional.rms_norm(x, (hidden,), frozen["in"], eps)
            q, k = turned(project(seen, "self_attn/q_proj"), heads), turned(project(seen, "self_attn/k_proj"), kv)
            v = project(seen, "self_attn/v_proj").view(rows, width, kv, size).transpose(1, 2)
            k, v = (z.repeat_interleave(heads // kv, 1) for z in (k, v))
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + project(mixed.transpose(1, 2).reshape(rows * width, hidden), "self_attn/o_proj")
            seen = functional.rms_norm(x, (hidden,), frozen["mid"], eps)
            gated = functional.silu(project(seen, "mlp/gate_proj")) * project(seen, "mlp/up_proj")
            x = x + project(gated, "mlp/down_proj")
        return functional.rms_norm(x[wanted], (hidden,), self.norm, eps)


class Trainer:
    """Rows to an adapter: what the layers without an adapter make of each row is computed once."""

    def __init__(self, given: argparse.Namespace) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.given = given
        folder = materialise(resolve_model(BASE), RunContext(weights=weights_dir()))
        torch.manual_seed(given.seed)
        self.encoder = Encoder(AutoTokenizer.from_pretrained(folder), read_end_ids(folder))
        self.base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        self.tail = Writer(self.base, first=given.first_layer, rank=given.rank, scale=2.0, direction=torch.zeros(1))
        self.head = self.base.get_output_embeddings().weight.detach()

    def lower(self, rows: Sequence[Encoded]) -> list[torch.Tensor]:
        """Return what the lower layers make of each row; shapes (tokens, hidden), bfloat16."""
        model, found = self.base.model, []
        layers, norm = model.layers, model.norm
        model.layers, model.norm = layers[: self.tail.first], torch.nn.Identity()
        with torch.no_grad():
            found = [model(input_ids=torch.tensor([row.input_ids]), use_cache=False)[0][0].clone() for row in rows]
        model.layers, model.norm = layers, norm
        return found

    def train(self, rows: Sequence[Encoded]) -> None:
        """Train for the epochs that were asked for."""
        low, begun = self.lower(rows), time.perf_counter()
        weights = list(self.tail.pairs.values())
        optimizer, rng = torch.optim.AdamW(weights, lr=self.given.lr), random.Random(self.given.seed)
        total, step = int(self.given.epochs * len(self._batches(rows, random.Random(0)))), 0
        while step < total:
            losses = []
            for batch in self._batches(rows, rng):
                if step == total:
                    break
                step += 1
                for part in optimizer.param_groups:
                    part["lr"] = self.given.lr * min(1, step / (0.06 * total)) * max(0.05, 1 - step / total)
                loss = self._loss([rows[i] for i in batch], [low[i] for i in batch])
                loss.backward()
                torch.nn.utils.clip_grad_norm_(weights, 1.0)
                optimizer.step()
                optimizer.zero_grad()
                losses.append(float(loss.detach()))
                if step % 10 == 0 or step == total:
                    mean, taken = sum(losses) / len(losses), time.perf_counter() - begun
                    print(f"step {step} of {total}: mean loss of this pass {mean:.3f}, {taken:.0f} s", flush=True)

    def _loss(self, rows: Sequence[Encoded], low: Sequence[torch.Tensor]) -> torch.Tensor:
        x = torch.nn.utils.rnn.pad_sequence(list(low), batch_first=True)
        labels = torch.full(x.shape[:2], IGNORED)
        for place, row in enumerate(rows):
            labels[place, : len(row.labels) - 1] = torch.tensor(row.labels[1:])
        wanted = (labels.view(-1) != IGNORED).nonzero()[:, 0]
        logits = self.tail.hidden(x, wanted) @ self.head.t()
        return functional.cross_entropy(logits.float(), labels.view(-1)[wanted])

    def _batches(self, rows: Sequence[Encoded], rng: random.Random) -> list[list[int]]:
        lengths = [len(row.input_ids) for row in rows]
        made: list[list[int]] = [[]]
        for index in sorted(range(len(rows)), key=lambda i: lengths[i] + rng.random() * 24):
            if made[-1] and max(lengths[i] for i in (*made[-1], index)) * (len(made[-1]) + 1) > self.given.tokens:
                made.append([])
            made[-1].append(index)
        rng.shuffle(made)
        return made

    def save(self, folder: Path, said: dict[str, str]) -> None:
        """Write the adapter in peft's layout, in half precision; its header says what it was trained on."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            f"base_model.model.model.layers.{key.replace('/', '.')}.weight": value.detach().half().contiguous()
            for key, value in self.tail.pairs.items()
        }
        save_file(tensors, folder / "adapter_model.safetensors", said)
        config = {
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": BASE, "bias": "none",
            "r": self.given.rank, "lora_alpha": 2.0 * self.given.rank, "lora_dropout": 0.0, "inference_mode": True,
            "fan_in_fan_out": False, "target_modules": sorted(name for names in PARTS.values() for name in names),
            "layers_to_transform": list(range(self.tail.first, self.base.config.num_hidden_layers)),
        }  # fmt: skip
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def conversation(flaw: Flaw, critique: str, revision: str) -> tuple[Message, ...]:
    """Return a solved row as the reviser is asked; both of its turns are learned."""
    return (*messages_for(flaw, critique), Message(role="assistant", content=revision))


def pin(folder: Path) -> None:
    """Write down what the files of the shipped adapter must be."""
    pins = folder.parent / "adapters.json"
    known: dict[str, Any] = json.loads(pins.read_text("utf-8")) if pins.is_file() else {}
    files = {name: sha256_file(folder / name) for name in ("adapter_config.json", "adapter_model.safetensors")}
    known[folder.name] = {"base": BASE, "role": "reviser", "files": files}
    pins.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workspace", type=Path, help="keeps what was asked, so that a second run asks nothing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=400, help="most of the training family")
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--first-layer", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=1200)
    parser.add_argument("--pin", action="store_true", help="write the files' SHA-256 into adapters.json beside FOLDER")
    given = parser.parse_args()
    place = given.workspace or Path(tempfile.mkdtemp(prefix="reviser-"))
    place.mkdir(parents=True, exist_ok=True)
    solved = family_rows(given.seed, given.rows) + own_rows(base_replies(place))
    trainer = Trainer(given)
    rows = [TrainingRow(messages=conversation(*one), line=number) for number, one in enumerate(solved, 1)]
    encoded = trainer.encoder.encode(rows, max_length=512, path=OWN)
    print(f"{len(rows)} rows, {sum(len(one.input_ids) for one in encoded)} tokens", flush=True)
    trainer.train(encoded)
    files = [OWN, *sorted(FAMILY.glob("training-*"))]
    trainer.save(
        given.out,
        {"task": "reviser", "prompt": str(PROMPT), "family": "training", "base": BASE, "seed": str(given.seed),
         "data": sha256_json([[file.name, sha256_file(file)] for file in files]),
         "trained_by": "benchmarks/train_reviser.py"},
    )  # fmt: skip
    if given.pin:
        pin(given.out)


if __name__ == "__main__":
    main()
