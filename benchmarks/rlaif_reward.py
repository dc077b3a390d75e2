"""What a reward by the labeller of harmful help can teach: how it differs among the answers to one request.

    OMP_NUM_THREADS=2 python benchmarks/rlaif_reward.py --workspace FOLDER [--every 8] [--temperature 1.0] [--out FILE]

Draws answers of the bare base to our own red-team requests, as the stage `rlaif` does, asks the labeller for the
chances of its four labels, and writes what each reward would learn from: how far it tells the answers to one request
apart, without which there is nothing to learn, and with which label it goes. `--curves NAME=FOLDER` puts curves of the
stage beside it, from its artifact of the kind `curves`; what is in the file of `--out` is kept.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from best_of import RULE

import harness
from harness.api import Completion, Decoding, Generate, Message, Sample, ask, data_dir
from harness_metrics.response_label import LABELS, label_chances, label_requests

PROMPTS = data_dir("plugins") / "harness_revision" / "data" / "revisions-3.jsonl"
REWARDS = {
    "1 - P(harmful)": lambda chances: 1 - chances[..., 0],
    "P(refused)": lambda chances: chances[..., 2],
    "P(refused) + P(helped)": lambda chances: chances[..., 1] + chances[..., 2],
}
TOLD = ("reward", "reward_spread", "kl", "distinct_2", "length")
"""Curves that are told."""
FLAT = 0.05
"""A standard deviation below it tells the answers to one request hardly apart."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, default=PROMPTS)
    parser.add_argument("--every", type=int, default=8, help="every n-th request alone")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--temperature", type=float, nargs="*", default=[1.0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--curves", action="append", default=[], metavar="NAME=FOLDER")
    given = parser.parse_args()
    kept = json.loads(given.out.read_text("utf-8")) if given.out is not None and given.out.exists() else {}
    curves = kept.get("curves", {}) | dict(read_curves(one) for one in given.curves)
    rows = [json.loads(line) for line in given.prompts.read_text("utf-8").splitlines()][:: given.every]
    samples = [Sample(id=row["id"], messages=(Message(role="user", content=row["prompt"]),)) for row in rows]
    given.workspace.mkdir(parents=True, exist_ok=True)
    session = harness.open(given.workspace)
    session.writable_workspace()
    found: dict[str, Any] = {
        "prompts": given.prompts.name, "requests": len(samples), "samples": given.samples, "tokens": given.tokens,
        "cores": os.cpu_count(), "by temperature": dict(kept.get("by temperature", {})), "curves": curves,
    }  # fmt: skip
    for temperature in given.temperature:
        if str(temperature) in found["by temperature"]:
            continue
        chances = labelled(session, samples, given, temperature)
        found["by temperature"][str(temperature)] = figures(chances)
    text = json.dumps(found, indent=1)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n", "utf-8")


def read_curves(given: str) -> tuple[str, dict[str, list[float]]]:
    """Return a name and the curves that are told, a number for each step."""
    name, _, folder = given.partition("=")
    curves = json.loads((Path(folder) / "curves.json").read_text("utf-8"))["curves"]
    return name, {one: [round(value, 3) for _, value in curves[one]] for one in TOLD}


def labelled(session: Any, samples: list[Sample], given: argparse.Namespace, temperature: float) -> Any:
    """Return the labels' chances, of shape (requests, samples, labels)."""
    decoding = Decoding(max_new_tokens=given.tokens, temperature=temperature, seed=0)

    def draw(sample: Sample):
        replies = yield ask("policy", *(Generate(messages=sample.messages, decoding=decoding, draw=n)
                                        for n in range(given.samples)))  # fmt: skip
        found = []
        for reply in replies:
            if not isinstance(reply, Completion):
                raise SystemExit(f"no answer to {sample.id}: {reply}")
            asked = yield ask("labeller", *label_requests(sample.messages, reply.text or "-"))
            found.append(label_chances(asked))
        return found

    with session.models([RULE]) as models:
        return np.array(list(models.ask(draw(sample) for sample in samples)), dtype=float)


def figures(chances: Any) -> dict[str, Any]:
    """Return what the rewards say of these chances."""
    top = chances.argmax(-1)
    found: dict[str, Any] = {
        "share of answers with each label": {name: float((top == n).mean()) for n, name in enumerate(LABELS)},
        "rewards": {},
    }
    for name, reward in REWARDS.items():
        scores = reward(chances)
        spread = scores.std(1, ddof=1)
        inside = scores - scores.mean(1, keepdims=True)
        found["rewards"][name] = {
            "mean": float(scores.mean()), "spread within a request": float(spread.mean()),
            "requests whose answers it hardly tells apart": float((spread < FLAT).mean()),
            "label of a request's best answer": {
                label: float((np.take_along_axis(top, scores.argmax(1)[:, None], 1) == n).mean())
                for n, label in enumerate(LABELS)
            },
            "correlation within a request with the chance of": {
                label: float(np.corrcoef(inside.ravel(), _inside(chances[..., n]).ravel())[0, 1])
                for n, label in enumerate(LABELS)
            },
        }  # fmt: skip
    return found


def _inside(values: Any) -> Any:
    return values - values.mean(1, keepdims=True)


if __name__ == "__main__":
    main()
