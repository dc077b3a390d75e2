"""Train the reviser: a LoRA adapter with which SmolLM2-135M criticises a reply by a rule, and writes it anew.

    OMP_NUM_THREADS=2 python benchmarks/train_reviser.py --out FOLDER [--pin]

It learns (conversation, reply, rule) → critique → revision from the training family of plugins/harness_critics/data and
from plugins/harness_revision/data/revisions-1.jsonl, whose bad replies are asked of the base here and kept nowhere. The
words are those of harness_revision/prompts.py, and the `sft` stage trains. The gating family is not read.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file

import harness
from harness.api import Completion, Decoding, Generate, Message, ask, sha256_file, sha256_json
from harness_revision.prompts import PROMPT, REVISE, Flaw, messages_for
from harness_training.jobs import train

ROOT = Path(__file__).parents[1]
FAMILY = ROOT / "plugins" / "harness_critics" / "data"
OWN = ROOT / "plugins" / "harness_revision" / "data" / "revisions-1.jsonl"
BASE = "smollm2-135m"
KEPT = 100
"""Rows whose reply follows the rule already and is to be left as it is."""


def family_rows(seed: int) -> list[tuple[Flaw, str, str]]:
    """Return (flaw, critique, revision) of the training family: all that break a rule, and some that follow it."""
    rules = {
        rule["id"]: rule["text"] for rule in yaml.safe_load((FAMILY / "training-principles.yaml").read_text("utf-8"))
    }
    found: dict[str, list[tuple[Flaw, str, str]]] = {"breaks": [], "follows": []}
    for file in sorted(FAMILY.glob("training-[0-9]*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            row = json.loads(line)
            flaw = Flaw(
                before=tuple(Message(**turn) for turn in row["messages"]), reply=row["response"],
                principle=row["principle"], rule=rules[row["principle"]],
            )  # fmt: skip
            found[row["verdict"]].append((flaw, row["critique"], row["revision"]))
    random.Random(seed).shuffle(found["follows"])
    return found["breaks"] + found["follows"][:KEPT]


def own_rows(replies: dict[str, str]) -> list[tuple[Flaw, str, str]]:
    """Return the project's own revisions of what the base says to harmful prompts."""
    rules = {
        rule["id"]: " ".join(rule["text"].split())
        for rule in yaml.safe_load((ROOT / "constitutions" / "harmless.yaml").read_text("utf-8"))["principles"]
    }
    rows = [json.loads(line) for line in OWN.read_text("utf-8").splitlines()]
    return [
        (Flaw(before=(Message(role="user", content=row["prompt"]),), reply=replies[row["prompt"]],
              principle=row["principle"], rule=rules[row["principle"]]), row["critique"], row["revision"])
        for row in rows
    ]  # fmt: skip


def base_replies(session: Any) -> dict[str, str]:
    """Ask the base what the project's own revisions mend."""
    prompts = [json.loads(line)["prompt"] for line in OWN.read_text("utf-8").splitlines()]

    def one(prompt: str):
        request = Generate(messages=(Message(role="user", content=prompt),), decoding=Decoding(max_new_tokens=64))
        (reply,) = yield ask("policy", request)
        return reply.text if isinstance(reply, Completion) else ""

    with session.models([]) as models:
        return dict(zip(prompts, models.ask(one(prompt) for prompt in prompts), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workspace", type=Path, help="keeps what was asked, so that a second run asks nothing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--pin", action="store_true", help="write the files' SHA-256 into adapters.json beside FOLDER")
    given = parser.parse_args()
    place = given.workspace or Path(tempfile.mkdtemp(prefix="reviser-"))
    place.mkdir(parents=True, exist_ok=True)
    session = harness.open(place)
    session.writable_workspace()
    rows = family_rows(given.seed) + own_rows(base_replies(session))
    data = place / "reviser.jsonl"
    with data.open("w", encoding="utf-8") as file:
        for flaw, critique, revision in rows:
            asked = messages_for(flaw, critique)
            turns = [{"role": turn.role, "content": turn.content} for turn in asked]
            assert turns[-1]["content"] == REVISE
            file.write(json.dumps({"messages": [*turns, {"role": "assistant", "content": revision}]}) + "\n")
    linear = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    sft = {
        "data": str(data), "epochs": given.epochs, "learning_rate": given.lr, "batch_size": 8, "max_length": 512,
        "r": given.rank, "alpha": 2 * given.rank, "dropout": 0.05, "target_modules": linear, "dtype": "bfloat16",
    }  # fmt: skip
    recipe = place / "reviser.yaml"
    recipe.write_text(yaml.safe_dump({"id": "reviser", "base": BASE, "seed": given.seed, "stages": [{"sft": sft}]}))
    adapter = Path(train(session, recipe).adapter.path)
    given.out.mkdir(parents=True, exist_ok=True)
    said = {
        "task": "reviser", "prompt": str(PROMPT), "base": BASE, "seed": str(given.seed),
        "data": sha256_json([sha256_file(OWN), *(sha256_file(path) for path in sorted(FAMILY.glob("training-*")))]),
        "trained_by": "benchmarks/train_reviser.py",
    }  # fmt: skip
    weights = load_file(adapter / "adapter_model.safetensors")
    halved = {name: value.to(torch.float16) for name, value in sorted(weights.items())}
    save_file(halved, given.out / "adapter_model.safetensors", said)
    (given.out / "adapter_config.json").write_bytes((adapter / "adapter_config.json").read_bytes())
    if given.pin:
        pin(given.out)


def pin(folder: Path) -> None:
    """Write down what the files of the shipped adapter must be."""
    pins = folder.parent / "adapters.json"
    known = json.loads(pins.read_text("utf-8")) if pins.is_file() else {}
    files = {name: sha256_file(folder / name) for name in ("adapter_config.json", "adapter_model.safetensors")}
    known[folder.name] = {"base": BASE, "role": "reviser", "files": files}
    pins.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
