"""Makes own-replies.jsonl anew, by the engine, and says how much of the shipped file comes out again.

    OMP_NUM_THREADS=2 python benchmarks/own_replies.py --workspace FOLDER [--every 10] [--write FILE]

The file holds how the bare base opens its greedy replies to harmless requests: 24 tokens. The shipped one was drawn in
bfloat16 in padded batches, so that a word may differ where two were about as likely; what the base declines was drawn
anew at temperature 1 until it did not, and its seed was not kept: those rows cannot come out again, and are counted.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import harness
from harness.api import Candidate, Completion, Decoding, Message, Sample, data_dir
from harness.api.workspace import resolve_base
from harness_metrics.labelling import label_reply
from harness_revision.revising import respond

SHIPPED = data_dir("plugins") / "harness_revision" / "data" / "own-replies.jsonl"
TOKENS = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="every n-th request alone")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--write", type=Path, help="file for the rows that were made")
    given = parser.parse_args()
    shipped = [json.loads(line) for line in SHIPPED.read_text("utf-8").splitlines()][:: given.every]
    given.workspace.mkdir(parents=True, exist_ok=True)
    session = harness.open(given.workspace)
    session.writable_workspace()
    found = Counter[str]()
    made = []
    base = resolve_base("smollm2-135m", session.require_plugins().registries, dtype=given.dtype)
    with session.models([], policy=Candidate(model=base)) as models:
        samples = [
            Sample(id=str(number), messages=(Message(role="user", content=row["prompt"]),))
            for number, row in enumerate(shipped)
        ]
        replies = respond(samples, models, Decoding(max_new_tokens=TOKENS))
    for row, reply in zip(shipped, replies, strict=True):
        if not isinstance(reply.completion, Completion):
            raise SystemExit(f"no reply to {row['prompt']!r}")
        text = reply.completion.text.strip()
        made.append({"prompt": row["prompt"], "completion": text, "source": "own reply"}
                    | ({"finish": "length"} if reply.completion.finish == "length" else {}))  # fmt: skip
        found[_outcome(row, text)] += 1
    print(json.dumps({"rows": len(shipped), "dtype": given.dtype, **found}, indent=1))
    if given.write is not None:
        given.write.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), "utf-8")


def _outcome(row: dict[str, Any], text: str) -> str:
    if text == row["completion"].strip():
        return "the same"
    if label_reply(row["prompt"], text).label == "refused":
        return "declined: the shipped one was drawn at temperature 1"
    same = next((n for n, (a, b) in enumerate(zip(text, row["completion"], strict=False)) if a != b), 0)
    return "other after some words" if text[:same].count(" ") >= 1 else "other from the first word"


if __name__ == "__main__":
    main()
