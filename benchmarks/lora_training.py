"""Training of the small LoRA adapters that ship: the upper layers of a Llama-like base, in bfloat16 on a CPU.

An example is a prompt and the answer, one of a few words of one token each; what is learned are the log-odds of these
words behind the
prompt. The layers below `first` carry no adapter: what they make of a prompt is computed once and kept.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from harness.contracts import RunContext
from harness.hashing import sha256_file
from harness.paths import weights_dir
from harness.references import resolve_model
from harness.types import Message
from harness.weights import materialise

BASE = "smollm2-135m"
PARTS = {"self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"), "mlp": ("gate_proj", "up_proj", "down_proj")}


@dataclass(frozen=True, kw_only=True)
class Example:
    """One prompt with its answer."""

    messages: tuple[Message, ...]
    answer: int
    """Index into the answers."""
    group: str = ""
    """Examples of one group differ in the reply alone: of two answers, the first should score higher where it holds."""
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to train; the same settings, data and versions of packages give the same adapter on one kind of processor."""

    answers: tuple[str, ...]
    seed: int = 0
    first: int = 10
    """The first layer that is adapted."""
    rank: int = 8
    scale: float = 2.0
    rate: float = 1e-3
    """The highest learning rate; it rises over 6 % of the steps and falls along a cosine."""
    decay: float = 0.01
    epochs: int = 2
    tokens: int = 1600
    """Of a batch, padding included."""
    smooth: float = 0.05
    ranking: float = 0.5
    """Weight of the loss that ranks the examples of a group."""
    threads: int = 1


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


class Gate(torch.autograd.Function):
    """silu(g) · u."""

    @staticmethod
    def forward(ctx: Any, g: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        open_ = torch.sigmoid(g)
        ctx.save_for_backward(g, u, open_)
        return g * open_ * u

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, ...]:
        g, u, open_ = ctx.saved_tensors
        raised = g * open_
        return (grad * u).mul_(open_ + raised - raised * open_), grad * raised


class Norm(torch.autograd.Function):
    """Root-mean-square norm with a frozen weight."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        inverse = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + eps).to(x.dtype)
        normed = x * inverse
        ctx.save_for_backward(normed, inverse, weight)
        return normed * weight

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        normed, inverse, weight = ctx.saved_tensors
        grad = grad * weight
        return (grad - normed * (grad * normed).mean(-1, keepdim=True)).mul_(inverse), None, None


class Tail(torch.nn.Module):
    """The base's upper layers with LoRA on every projection, and the logits of the answers."""

    def __init__(self, base: Any, settings: Settings, answers: torch.Tensor) -> None:
        super().__init__()
        self.settings, self.config, self.rotary = settings, base.config, base.model.rotary_emb
        self.norm = base.model.norm.weight.detach().bfloat16()
        self.answers = answers
        self.pairs, self.frozen = torch.nn.ParameterDict(), []
        for index in range(settings.first, base.config.num_hidden_layers):
            layer = base.model.layers[index]
            frozen = {"in": layer.input_layernorm.weight, "mid": layer.post_attention_layernorm.weight}
            for part, names in PARTS.items():
                for name in names:
                    weight = getattr(getattr(layer, part), name).weight
                    a = torch.empty(settings.rank, weight.shape[1])
                    torch.nn.init.kaiming_uniform_(a, a=math.sqrt(5))
                    self.pairs[f"{index}/{part}/{name}/lora_A"] = torch.nn.Parameter(a)
                    self.pairs[f"{index}/{part}/{name}/lora_B"] = torch.nn.Parameter(
                        torch.zeros(weight.shape[0], settings.rank)
                    )
                    frozen[f"{part}/{name}"] = weight
            self.frozen.append({name: weight.detach().bfloat16() for name, weight in frozen.items()})

    def forward(self, x: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """Return the answers' logits; shape (rows, answers).

        Args:
            x: what the lower layers made of the prompts, padded on the right; shape (rows, width, hidden), bfloat16.
            last: index of each prompt's last token.
        """
        rows, width, hidden = x.shape
        heads, kv = self.config.num_attention_heads, self.config.num_key_value_heads
        size, eps, each = hidden // heads, self.config.rms_norm_eps, heads // kv
        cos, sin = (value[0].to(x.dtype) for value in self.rotary(x, torch.arange(width)[None]))
        mask = torch.full((width, width), -1e4, dtype=x.dtype).triu_(1)

        def turned(z: torch.Tensor, count: int) -> torch.Tensor:
            z = z.view(rows, width, count, size).transpose(1, 2)
            left, right = z.chunk(2, -1)
            return z * cos + torch.cat((-right, left), -1) * sin

        x = x.reshape(rows * width, hidden)
        for index, frozen in enumerate(self.frozen, self.settings.first):

            def project(
                z: torch.Tensor, name: str, index: int = index, frozen: dict[str, torch.Tensor] = frozen
            ) -> torch.Tensor:
                a, b = (self.pairs[f"{index}/{name}/lora_{side}"] for side in "AB")
                return LoraLinear.apply(z, frozen[name], a.to(z.dtype), (b * self.settings.scale).to(z.dtype))

            seen = Norm.apply(x, frozen["in"], eps)
            q = turned(project(seen, "self_attn/q_proj"), heads).reshape(rows * kv, each * width, size)
            k = turned(project(seen, "self_attn/k_proj"), kv).reshape(rows * kv, width, size)
            v = project(seen, "self_attn/v_proj").view(rows, width, kv, size).transpose(1, 2)
            weights = torch.bmm(q, k.transpose(1, 2)).mul_(size**-0.5).view(rows * kv, each, width, width) + mask
            weights = torch.softmax(weights, -1).view(rows * kv, each * width, width)
            mixed = torch.bmm(weights, v.reshape(rows * kv, width, size)).view(rows, heads, width, size)
            x = x + project(mixed.transpose(1, 2).reshape(rows * width, hidden), "self_attn/o_proj")
            seen = Norm.apply(x, frozen["mid"], eps)
            gated = Gate.apply(project(seen, "mlp/gate_proj"), project(seen, "mlp/up_proj"))
            x = x + project(gated, "mlp/down_proj")
        ends = x.view(rows, width, hidden)[torch.arange(rows), last]
        return functional.rms_norm(ends, (hidden,), self.norm, eps).float() @ self.answers.t()

    def load(self, folder: Path) -> None:
        """Take the pairs of an adapter that `save` wrote, to go on from them."""
        given = load_file(folder / "adapter_model.safetensors")
        for key, value in self.pairs.items():
            value.data.copy_(given[f"base_model.model.model.layers.{key.replace('/', '.')}.weight"].float())

    def save(self, folder: Path, said: Mapping[str, str]) -> None:
        """Write the adapter in peft's layout, in half precision; `said` goes into the header of the weights."""
        folder.mkdir(parents=True, exist_ok=True)
        settings = self.settings
        tensors = {
            f"base_model.model.model.layers.{key.replace('/', '.')}.weight": value.detach().half().contiguous()
            for key, value in self.pairs.items()
        }
        header = {**said, "base": BASE, "seed": str(settings.seed), "answers": " ".join(settings.answers)}
        save_file(tensors, folder / "adapter_model.safetensors", header)
        config = {
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": BASE, "bias": "none",
            "r": settings.rank, "lora_alpha": settings.scale * settings.rank, "lora_dropout": 0.0,
            "inference_mode": True, "fan_in_fan_out": False,
            "target_modules": sorted(name for names in PARTS.values() for name in names),
            "layers_to_transform": list(range(settings.first, self.config.num_hidden_layers)),
        }  # fmt: skip
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


class Trainer:
    """A base with an adapter in the making."""

    def __init__(self, settings: Settings) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        folder = materialise(resolve_model(BASE), RunContext(weights=weights_dir()))
        self.settings = settings
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        ids = [self.tokenizer.encode(answer, add_special_tokens=False) for answer in settings.answers]
        assert all(len(one) == 1 for one in ids), "an answer is more than one token"
        head = self.base.get_output_embeddings().weight
        self.tail = Tail(self.base, settings, head[[one[0] for one in ids]].detach().float())

    def encode(self, prompts: Sequence[tuple[Message, ...]]) -> list[torch.Tensor]:
        """Return what the lower layers make of each prompt; shapes (tokens, hidden), bfloat16."""
        texts = [
            self.tokenizer.apply_chat_template(
                [{"role": one.role, "content": one.content} for one in asked], tokenize=False,
                add_generation_prompt=True,
            )
            for asked in prompts
        ]  # fmt: skip
        tokens = [self.tokenizer.encode(text, add_special_tokens=False) for text in texts]
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        found: dict[int, torch.Tensor] = {}
        layers, norm = self.base.model.layers, self.base.model.norm
        self.base.model.layers, self.base.model.norm = layers[: self.settings.first], torch.nn.Identity()
        with torch.no_grad():
            for start in range(0, len(order), 16):
                part = order[start : start + 16]
                ids = torch.zeros((len(part), len(tokens[part[-1]])), dtype=torch.long)
                for place, index in enumerate(part):
                    ids[place, : len(tokens[index])] = torch.tensor(tokens[index])
                hidden = self.base.model(input_ids=ids, use_cache=False)[0]
                found |= {index: hidden[place, : len(tokens[index])].clone() for place, index in enumerate(part)}
        self.base.model.layers, self.base.model.norm = layers, norm
        return [found[index] for index in range(len(tokens))]

    def __call__(self, encoded: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the answers' logits behind each prompt; shape (prompts, answers)."""
        padded = torch.nn.utils.rnn.pad_sequence(list(encoded), batch_first=True)
        return self.tail(padded, torch.tensor([len(one) - 1 for one in encoded]))

    def predict(self, encoded: Sequence[torch.Tensor]) -> np.ndarray:
        """Return the answers' logits of all prompts; shape (prompts, answers)."""
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
        out = np.zeros((len(encoded), len(self.settings.answers)))
        with torch.no_grad():
            for start in range(0, len(order), 16):
                part = order[start : start + 16]
                out[part] = self([encoded[i] for i in part]).numpy()
        return out

    def train(self, examples: Sequence[Example], after_epoch: Callable[[int], object] = lambda _: None) -> None:
        """Train on examples; `after_epoch` is told how many epochs are done, and ends it by returning True."""
        settings, weights = self.settings, list(self.tail.parameters())
        encoded = self.encode([example.messages for example in examples])
        lengths = [len(one) for one in encoded]
        print(f"tokens: {sum(lengths)} in {len(examples)} examples, longest {max(lengths)}", flush=True)
        groups: dict[str, list[int]] = {}
        for index, example in enumerate(examples):
            groups.setdefault(example.group or f"\0{index}", []).append(index)
        parts, rng = list(groups.values()), random.Random(settings.seed)
        optimizer = torch.optim.AdamW(weights, lr=settings.rate, weight_decay=settings.decay, betas=(0.9, 0.98))
        total = settings.epochs * len(batches(parts, lengths, settings.tokens, random.Random(0)))
        step, begun = 0, time.perf_counter()
        for epoch in range(settings.epochs):
            losses = []
            for batch in batches(parts, lengths, settings.tokens, rng):
                loss = self._loss(batch, encoded, examples)
                step += 1
                rate = min(1, step / (0.06 * total)) * max(0.02, 0.5 * (1 + math.cos(math.pi * min(1, step / total))))
                for group in optimizer.param_groups:
                    group["lr"] = settings.rate * rate
                loss.backward()
                torch.nn.utils.clip_grad_norm_(weights, 1.0)
                optimizer.step()
                optimizer.zero_grad()
                losses.append(float(loss.detach()))
                if step % 20 == 0:
                    taken = time.perf_counter() - begun
                    print(f"  step {step} of {total}: loss {np.mean(losses[-20:]):.3f}, {taken:.0f} s", flush=True)
            print(f"epoch {epoch + 1}: loss {np.mean(losses):.3f}, {time.perf_counter() - begun:.0f} s", flush=True)
            if after_epoch(epoch + 1) is True:
                break

    def _loss(
        self, batch: list[list[int]], encoded: Sequence[torch.Tensor], examples: Sequence[Example]
    ) -> torch.Tensor:
        flat = [index for group in batch for index in group]
        place = {index: i for i, index in enumerate(flat)}
        logits = self([encoded[i] for i in flat])
        wanted = torch.tensor([examples[i].answer for i in flat])
        weight = torch.tensor([examples[i].weight for i in flat])
        smooth = 2 * self.settings.smooth
        each = functional.cross_entropy(logits, wanted, label_smoothing=smooth, reduction="none")
        loss = (each * weight).sum() / weight.sum()
        if logits.shape[1] == 2:
            odds = logits[:, 0] - logits[:, 1]
            gaps = [odds[place[a]] - odds[place[b]] for group in batch for a in group for b in group
                    if examples[a].answer < examples[b].answer]  # fmt: skip
            if gaps:
                loss = loss + self.settings.ranking * functional.softplus(1 - torch.stack(gaps)).mean()
        return loss


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the chance that one with the label scores above one without; a tie is half."""
    good, bad = scores[labels], scores[~labels]
    if not len(good) or not len(bad):
        return math.nan
    return float(((good[:, None] > bad[None]) + 0.5 * (good[:, None] == bad[None])).mean())


def batches(
    groups: Sequence[Sequence[int]], lengths: Sequence[int], tokens: int, rng: random.Random
) -> list[list[list[int]]]:
    """Return batches of groups of like length, in random order; a group is never parted."""
    order = sorted(groups, key=lambda group: max(lengths[i] for i in group) + rng.random() * 24)
    made: list[list[list[int]]] = [[]]
    for group in order:
        widest = max(lengths[i] for part in [*made[-1], group] for i in part)
        if made[-1] and widest * (sum(map(len, made[-1])) + len(group)) > tokens:
            made.append([])
        made[-1].append(list(group))
    rng.shuffle(made)
    return made


def pin(folder: Path) -> None:
    """Write down what the files of a shipped adapter must be: `adapters.json` beside it. Role and former name stay."""
    pins = folder.parent / "adapters.json"
    known = json.loads(pins.read_text("utf-8")) if pins.is_file() else {}
    names = ("adapter_config.json", "adapter_model.safetensors")
    role = {key: value for key, value in known.get(folder.name, {}).items() if key in {"role", "formerly"}}
    known[folder.name] = {"base": BASE, **role, "files": {name: sha256_file(folder / name) for name in names}}
    pins.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")
