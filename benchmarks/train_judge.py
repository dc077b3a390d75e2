"""Train a judge: a small LoRA adapter with which SmolLM2-135M says whether a reply follows a principle, any principle.

    OMP_NUM_THREADS=2 python benchmarks/train_judge.py --family training --out FOLDER [--test gating]

It reads (principle, conversation, reply, verdict) of one family in plugins/harness_critics/data, and learns the
log-odds of Yes against No behind the prompt of harness_critics/trained.py. A fifth of the principles is held out to
choose the epoch; `--test` names the other family, none of whose principles, conversations or replies were seen.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save_file
from torch.nn import functional

from harness.contracts import RunContext
from harness.hashing import sha256_file, sha256_json
from harness.paths import weights_dir
from harness.references import resolve_model
from harness.types import Message
from harness.weights import materialise
from harness_critics.trained import ANSWERS, PROMPT, judge_messages

OWN = Path(__file__).parents[1] / "plugins" / "harness_critics" / "data"
BASE = "smollm2-135m"
PARTS = {"self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"), "mlp": ("gate_proj", "up_proj", "down_proj")}
LIMIT = 2000
"""Characters of a turn that training shows; judging shows more."""


@dataclass(frozen=True)
class Row:
    """One labelled reply."""

    rule_id: str
    rule: str
    messages: tuple[Message, ...]
    response: str
    follows: bool
    kind: str
    source: str

    @property
    def pair(self) -> str:
        """Equal for replies to one conversation, judged by one rule."""
        return sha256_json([self.rule_id, [[turn.role, turn.content] for turn in self.messages]])


def own_rows(family: str, folder: Path = OWN) -> list[Row]:
    """Return the rows of a family."""
    rules = {
        rule["id"]: rule["text"] for rule in yaml.safe_load((folder / f"{family}-principles.yaml").read_text("utf-8"))
    }
    rows = []
    for file in sorted(folder.glob(f"{family}-[0-9]*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            row = json.loads(line)
            turns = tuple(Message(role=turn["role"], content=turn["content"]) for turn in row["messages"])
            rows.append(Row(row["principle"], rules[row["principle"]], turns, row["response"],
                            row["verdict"] == "follows", row["kind"], "own"))  # fmt: skip
    return rows


def data_hash(family: str, folder: Path = OWN) -> str:
    """Return the SHA-256 of a family's files."""
    return sha256_json([[file.name, sha256_file(file)] for file in sorted(folder.glob(f"{family}-*"))])


class LoraLinear(torch.autograd.Function):
    """x Wᵀ + x Aᵀ Bᵀ for a frozen W, without the copies that composing it costs."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        low = x @ a.t()
        ctx.save_for_backward(x, w, a, b, low)
        return (x @ w.t()).addmm_(low, b.t())

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, w, a, b, low = ctx.saved_tensors
        grad = grad.contiguous()
        inner = grad @ b
        down = (grad @ w).addmm_(inner, a) if ctx.needs_input_grad[0] else None
        return down, None, inner.t() @ x, grad.t() @ low


class Tail(torch.nn.Module):
    """The base's upper layers in bfloat16 with LoRA on every projection, and the log-odds of Yes against No.

    The layers below carry no adapter: what they make of a prompt is computed once and kept.
    """

    def __init__(self, base: Any, *, first: int, rank: int, scale: float, direction: torch.Tensor) -> None:
        super().__init__()
        self.first, self.scale, self.config, self.rotary = first, scale, base.config, base.model.rotary_emb
        self.norm = base.model.norm.weight.detach().bfloat16()
        self.direction = direction
        self.pairs, self.frozen = torch.nn.ParameterDict(), []
        for index in range(first, base.config.num_hidden_layers):
            layer = base.model.layers[index]
            frozen = {"in": layer.input_layernorm.weight, "mid": layer.post_attention_layernorm.weight}
            for part, names in PARTS.items():
                for name in names:
                    weight = getattr(getattr(layer, part), name).weight
                    a = torch.empty(rank, weight.shape[1])
                    torch.nn.init.kaiming_uniform_(a, a=math.sqrt(5))
                    key = f"{index}/{part}/{name}"
                    self.pairs[f"{key}/lora_A"] = torch.nn.Parameter(a)
                    self.pairs[f"{key}/lora_B"] = torch.nn.Parameter(torch.zeros(weight.shape[0], rank))
                    frozen[f"{part}/{name}"] = weight
            self.frozen.append({name: weight.detach().bfloat16() for name, weight in frozen.items()})

    def forward(self, x: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """Return the log-odds; shape (rows,).

        Args:
            x: what the lower layers made of the prompts, padded on the right; shape (rows, width, hidden), bfloat16.
            last: index of each prompt's last token.
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
        ends = x.view(rows, width, hidden)[torch.arange(rows), last]
        return functional.rms_norm(ends, (hidden,), self.norm, eps).float() @ self.direction

    def save(self, folder: Path, given: argparse.Namespace) -> None:
        """Write the adapter in peft's layout, in half precision; its header says what it was trained on."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            f"base_model.model.model.layers.{key.replace('/', '.')}.weight": value.detach().half().contiguous()
            for key, value in self.pairs.items()
        }
        said = {"task": "judge", "prompt": str(PROMPT), "family": given.family, "data": data_hash(given.family),
                "base": BASE, "seed": str(given.seed), "trained_by": "benchmarks/train_judge.py"}  # fmt: skip
        save_file(tensors, folder / "adapter_model.safetensors", said)
        rank = next(iter(self.pairs.values())).shape[0]
        config = {
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": BASE, "bias": "none", "r": rank,
            "lora_alpha": self.scale * rank, "lora_dropout": 0.0, "inference_mode": True, "fan_in_fan_out": False,
            "target_modules": sorted(name for names in PARTS.values() for name in names),
            "layers_to_transform": list(range(self.first, self.config.num_hidden_layers)),
        }  # fmt: skip
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


class Scorer:
    """Prompts to log-odds."""

    def __init__(self, *, rank: int, scale: float, first: int, seed: int) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = materialise(resolve_model(BASE), RunContext(weights=weights_dir()))
        torch.manual_seed(seed)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        ids = [self.tokenizer.encode(answer, add_special_tokens=False) for answer in ANSWERS]
        assert all(len(one) == 1 for one in ids), "an answer is more than one token"
        head = self.base.get_output_embeddings().weight
        direction = (head[ids[0][0]] - head[ids[1][0]]).detach().float()
        self.tail = Tail(self.base, first=first, rank=rank, scale=scale, direction=direction)

    def encode(self, rows: Sequence[Row]) -> list[torch.Tensor]:
        """Return what the lower layers make of each row's prompt; shapes (tokens, hidden), bfloat16."""
        prompts = []
        for row in rows:
            asked = judge_messages(row.messages, row.response, row.rule, max_reply_chars=LIMIT, max_context_chars=LIMIT)
            text = self.tokenizer.apply_chat_template(
                [{"role": one.role, "content": one.content} for one in asked],
                tokenize=False,
                add_generation_prompt=True,
            )
            prompts.append(self.tokenizer.encode(text, add_special_tokens=False))
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        found: dict[int, torch.Tensor] = {}
        layers = self.base.model.layers
        self.base.model.layers, norm = layers[: self.tail.first], self.base.model.norm
        self.base.model.norm = torch.nn.Identity()
        with torch.no_grad():
            for start in range(0, len(order), 16):
                part = order[start : start + 16]
                ids = torch.zeros((len(part), len(prompts[part[-1]])), dtype=torch.long)
                for place, index in enumerate(part):
                    ids[place, : len(prompts[index])] = torch.tensor(prompts[index])
                hidden = self.base.model(input_ids=ids, use_cache=False)[0]
                found |= {index: hidden[place, : len(prompts[index])].clone() for place, index in enumerate(part)}
        self.base.model.layers, self.base.model.norm = layers, norm
        return [found[index] for index in range(len(prompts))]

    def __call__(self, encoded: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the log-odds of Yes against No behind each prompt; shape (prompts,)."""
        padded = torch.nn.utils.rnn.pad_sequence(list(encoded), batch_first=True)
        return self.tail(padded, torch.tensor([len(one) - 1 for one in encoded]))


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the chance that a reply that follows scores above one that breaks; a tie is half."""
    good, bad = scores[labels], scores[~labels]
    if not len(good) or not len(bad):
        return math.nan
    return float(((good[:, None] > bad[None]) + 0.5 * (good[:, None] == bad[None])).mean())


def batches(
    groups: Sequence[Sequence[int]], lengths: Sequence[int], tokens: int, rng: random.Random
) -> list[list[list[int]]]:
    """Return batches of groups of like length, in random order; a group (one pair key) is never parted."""
    order = sorted(groups, key=lambda group: max(lengths[i] for i in group) + rng.random() * 24)
    made: list[list[list[int]]] = [[]]
    for group in order:
        widest = max(lengths[i] for part in [*made[-1], group] for i in part)
        if made[-1] and widest * (sum(map(len, made[-1])) + len(group)) > tokens:
            made.append([])
        made[-1].append(list(group))
    rng.shuffle(made)
    return made


def predict(scorer: Scorer, prompts: Sequence[torch.Tensor]) -> np.ndarray:
    """Return the log-odds of all prompts."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    out = np.zeros(len(prompts))
    with torch.no_grad():
        for start in range(0, len(order), 16):
            part = order[start : start + 16]
            out[part] = scorer([prompts[i] for i in part]).numpy()
    return out


def report(name: str, rows: Sequence[Row], scores: np.ndarray) -> float:
    """Print how well the scores order the rows; return the AUC."""
    labels = np.array([row.follows for row in rows])
    by_rule: dict[str, list[int]] = defaultdict(list)
    by_pair: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_rule[row.rule_id].append(index)
        by_pair[row.pair].append(index)
    inside = [auc(scores[part], labels[part]) for part in by_rule.values()]
    pairs = [
        scores[a] > scores[b] for part in by_pair.values() for a in part for b in part if labels[a] and not labels[b]
    ]
    whole = auc(scores, labels)
    print(
        f"{name}: n {len(rows)}, AUC {whole:.3f}, mean within a principle {np.nanmean(inside):.3f}, accuracy at 0"
        f" {((scores > 0) == labels).mean():.3f}, pairs {np.mean(pairs) if pairs else math.nan:.3f} ({len(pairs)})",
        flush=True,
    )
    return whole


def train(scorer: Scorer, rows: Sequence[Row], held: Sequence[Row], given: argparse.Namespace) -> float:
    """Train, and leave the scorer at the epoch that was best on the held-out principles; return that AUC."""
    prompts, held_prompts = scorer.encode(rows), scorer.encode(held)
    lengths = [len(prompt) for prompt in prompts]
    print(f"tokens: {sum(lengths)} in {len(rows)} rows, longest {max(lengths)}")
    weights = list(scorer.tail.pairs.values())
    optimizer = torch.optim.AdamW(weights, lr=given.lr, weight_decay=given.decay)
    groups: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        groups[row.pair].append(index)
    rng = random.Random(given.seed)
    labels = torch.tensor([float(row.follows) for row in rows])
    total = given.epochs * len(batches(list(groups.values()), lengths, given.tokens, random.Random(0)))
    best, kept, step, begun = -1.0, {}, 0, time.perf_counter()
    for epoch in range(given.epochs):
        losses = []
        for batch in batches(list(groups.values()), lengths, given.tokens, rng):
            flat = [index for group in batch for index in group]
            place = {index: i for i, index in enumerate(flat)}
            scores = scorer([prompts[i] for i in flat])
            wanted = labels[flat] * (1 - 2 * given.smooth) + given.smooth
            loss = functional.binary_cross_entropy_with_logits(scores, wanted)
            gaps = [scores[place[a]] - scores[place[b]]
                    for group in batch for a in group for b in group if labels[a] > labels[b]]  # fmt: skip
            if gaps:
                loss = loss + given.ranking * functional.softplus(1 - torch.stack(gaps)).mean()
            step += 1
            rate = (
                given.lr
                * min(1, step / (0.06 * total))
                * max(0.02, 0.5 * (1 + math.cos(math.pi * min(1, step / total))))
            )
            for part in optimizer.param_groups:
                part["lr"] = rate
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
            if step % 20 == 0:
                taken = time.perf_counter() - begun
                print(f"  step {step} of about {total}: loss {np.mean(losses[-20:]):.3f}, {taken:.0f} s", flush=True)
        print(
            f"epoch {epoch + 1}: loss {np.mean(losses):.3f}, {len(losses)} steps, {time.perf_counter() - begun:.0f} s"
        )
        reached = report("  held-out principles", held, predict(scorer, held_prompts)) if held else epoch
        if reached > best:
            best = reached
            kept = {name: value.detach().clone() for name, value in scorer.tail.pairs.items()}
            if given.out:
                scorer.tail.save(given.out, given)
    scorer.tail.pairs.load_state_dict(kept)
    return best


def pin(folder: Path) -> None:
    """Write down what the files of a shipped adapter must be: `adapters.json` beside its folder."""
    pins = folder.parent / "adapters.json"
    known = json.loads(pins.read_text("utf-8")) if pins.is_file() else {}
    names = ("adapter_config.json", "adapter_model.safetensors")
    known[folder.name] = {"base": BASE, "files": {name: sha256_file(folder / name) for name in names}}
    pins.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", default="training")
    parser.add_argument("--folder", type=Path, default=OWN)
    parser.add_argument("--test")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--scale", type=float, default=2.0)
    parser.add_argument("--first-layer", type=int, default=14)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--decay", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=1600)
    parser.add_argument("--smooth", type=float, default=0.05)
    parser.add_argument("--ranking", type=float, default=0.5)
    parser.add_argument("--all", action="store_true", help="hold nothing out")
    parser.add_argument("--pin", type=Path, help="train nothing: pin the files of this folder of shipped data")
    given = parser.parse_args()
    if given.pin:
        pin(given.pin)
        return
    rows = own_rows(given.family, given.folder)
    rules = sorted({row.rule_id for row in rows})
    random.Random(given.seed).shuffle(rules)
    held_rules = set() if given.all else set(rules[: max(1, len(rules) // 5)])
    held = [row for row in rows if row.rule_id in held_rules]
    seen = [row for row in rows if row.rule_id not in held_rules]
    print(f"{len(seen)} rows of {len(rules) - len(held_rules)} principles; held out: {', '.join(sorted(held_rules))}")
    scorer = Scorer(rank=given.rank, scale=given.scale, first=given.first_layer, seed=given.seed)
    train(scorer, seen, held, given)
    if given.test:
        test = own_rows(given.test, given.folder)
        report(f"the other family ({given.test})", test, predict(scorer, scorer.encode(test)))
    if given.out:
        scorer.tail.save(given.out, given)


if __name__ == "__main__":
    main()
