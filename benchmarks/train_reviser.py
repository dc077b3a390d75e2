"""Train the reviser: a LoRA adapter with which SmolLM2-135M criticises a reply by a rule, and writes it anew.

    python benchmarks/train_reviser.py --out FOLDER [--workspace FOLDER] [--pin]

It learns (conversation, reply, rule) → critique → revision from the rows of reviser_rows.py; where there is nothing to
mend, it learns to say so. The words are those of harness_revision/prompts.py, and the encoding that of the `sft` stage.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from lora_training import BASE, Gate, LoraLinear, Norm, Settings, Tail
from reviser_rows import base_replies, edits, family, files, own
from torch.nn import functional

from harness.api import Message, RunContext, materialise, resolve_model, sha256_file, sha256_json
from harness.paths import weights_dir
from harness_revision.prompts import PROMPT, Flaw, messages_for
from harness_stages.encoding import IGNORED, Encoded, Encoder, read_end_ids
from harness_stages.rows import TrainingRow

OPENING = 4.0
"""Weight of the first token of a critique: it decides whether there is anything to mend."""


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
        for index, frozen in enumerate(self.frozen, self.settings.first):

            def project(
                z: torch.Tensor, name: str, index: int = index, frozen: dict[str, torch.Tensor] = frozen
            ) -> torch.Tensor:
                a, b = (self.pairs[f"{index}/{name}/lora_{side}"] for side in "AB")
                return LoraLinear.apply(z, frozen[name], a.to(z.dtype), (b * self.settings.scale).to(z.dtype))

            seen = Norm.apply(x, frozen["in"], eps)
            q, k = turned(project(seen, "self_attn/q_proj"), heads), turned(project(seen, "self_attn/k_proj"), kv)
            v = project(seen, "self_attn/v_proj").view(rows, width, kv, size).transpose(1, 2)
            k, v = (z.repeat_interleave(heads // kv, 1) for z in (k, v))
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + project(mixed.transpose(1, 2).reshape(rows * width, hidden), "self_attn/o_proj")
            seen = Norm.apply(x, frozen["mid"], eps)
            gated = Gate.apply(project(seen, "mlp/gate_proj"), project(seen, "mlp/up_proj"))
            x = x + project(gated, "mlp/down_proj")
        return functional.rms_norm(x[wanted], (hidden,), self.norm, eps)


class Trainer:
    """Rows to an adapter: what the layers without an adapter make of each row is computed once."""

    def __init__(self, given: argparse.Namespace) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.given = given
        folder = materialise(resolve_model(BASE), RunContext(weights=weights_dir()))
        torch.set_num_threads(given.threads)
        torch.manual_seed(given.seed)
        self.encoder = Encoder(AutoTokenizer.from_pretrained(folder), read_end_ids(folder))
        self.base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        settings = Settings(answers=(), seed=given.seed, first=given.first_layer, rank=given.rank)
        self.tail = Writer(self.base, settings, torch.zeros(1))
        self.head = self.base.get_output_embeddings().weight.detach()

    def lower(self, rows: Sequence[Encoded]) -> list[torch.Tensor]:
        """Return what the lower layers make of each row; shapes (tokens, hidden), bfloat16."""
        model, found = self.base.model, []
        layers, norm = model.layers, model.norm
        model.layers, model.norm = layers[: self.given.first_layer], torch.nn.Identity()
        with torch.no_grad():
            found = [model(input_ids=torch.tensor([row.input_ids]), use_cache=False)[0][0].clone() for row in rows]
        model.layers, model.norm = layers, norm
        return found

    def train(self, rows: Sequence[Encoded], save: Callable[[], None]) -> None:
        """Train for the epochs that were asked for, and save after each."""
        begun = time.perf_counter()
        low = self.lower(rows)
        print(f"lower layers: {time.perf_counter() - begun:.0f} s", flush=True)
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
                if step % 5 == 0 or step == total:
                    mean, taken = sum(losses) / len(losses), time.perf_counter() - begun
                    print(f"step {step} of {total}: mean loss of this pass {mean:.3f}, {taken:.0f} s", flush=True)
            save()

    def _loss(self, rows: Sequence[Encoded], low: Sequence[torch.Tensor]) -> torch.Tensor:
        x = torch.nn.utils.rnn.pad_sequence(list(low), batch_first=True)
        labels = torch.full(x.shape[:2], IGNORED)
        for place, row in enumerate(rows):
            labels[place, : len(row.labels) - 1] = torch.tensor(row.labels[1:])
        wanted = (labels.view(-1) != IGNORED).nonzero()[:, 0]
        logits = self.tail.hidden(x, wanted) @ self.head.t()
        each = functional.cross_entropy(logits.float(), labels.view(-1)[wanted], reduction="none")
        weight = torch.ones_like(each)
        rows_of = wanted // labels.shape[1]
        weight[torch.cat((torch.ones(1, dtype=torch.bool), rows_of[1:] != rows_of[:-1]))] = OPENING
        return (each * weight).sum() / weight.sum()

    def _batches(self, rows: Sequence[Encoded], rng: random.Random) -> list[list[int]]:
        lengths = [len(row.input_ids) for row in rows]
        made: list[list[int]] = [[]]
        for index in sorted(range(len(rows)), key=lambda i: lengths[i] + rng.random() * 24):
            if made[-1] and max(lengths[i] for i in (*made[-1], index)) * (len(made[-1]) + 1) > self.given.tokens:
                made.append([])
            made[-1].append(index)
        rng.shuffle(made)
        return made


def conversation(flaw: Flaw, critique: str, revision: str) -> tuple[Message, ...]:
    """Return a solved row as the reviser is asked; both of its turns are learned."""
    if not revision:
        return (*messages_for(flaw), Message(role="assistant", content=critique))
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
    parser.add_argument("--breaks", type=int, default=300, help="rows of the training family that break a rule")
    parser.add_argument("--follows", type=int, default=200, help="rows of it that follow their rule")
    parser.add_argument("--harmless", type=int, default=300, help="the base's replies to harmless requests")
    parser.add_argument("--edits", type=int, default=200, help="replies with one bad sentence among good ones")
    parser.add_argument("--epochs", type=float, default=1.5)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--first-layer", type=int, default=14)
    parser.add_argument("--tokens", type=int, default=1600)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pin", action="store_true", help="write the files' SHA-256 into adapters.json beside FOLDER")
    given = parser.parse_args()
    place = given.workspace or Path(tempfile.mkdtemp(prefix="reviser-"))
    place.mkdir(parents=True, exist_ok=True)
    replies, rng = base_replies(place), random.Random(given.seed)
    solved = [
        *family(rng, given.breaks, given.follows), *own(replies, rng, given.harmless), *edits(replies, rng, given.edits)
    ]  # fmt: skip
    trainer = Trainer(given)
    rows = [TrainingRow(messages=conversation(*one), line=number) for number, one in enumerate(solved, 1)]
    encoded = trainer.encoder.encode(rows, max_length=512, path=files()[0])
    mended = sum(bool(revision) for *_, revision in solved)
    tokens = sum(len(one.input_ids) for one in encoded)
    print(f"{len(rows)} rows, {mended} with a revision, {tokens} tokens", flush=True)
    said = {
        "task": "reviser", "prompt": str(PROMPT), "family": "training",
        "data": sha256_json([[file.name, sha256_file(file)] for file in files()]),
        "trained_by": "benchmarks/train_reviser.py",
    }  # fmt: skip
    trainer.train(encoded, lambda: trainer.tail.save(given.out, said))
    if given.pin:
        pin(given.out)


if __name__ == "__main__":
    main()
