"""The recipe constitutional-smollm2's question in minutes: do written revisions and own replies to their twins suffice?

    OMP_NUM_THREADS=1 python benchmarks/train_declining.py --workspace FOLDER --out FOLDER [--first-layer 10]

Trains the upper layers alone, as train_reviser.py does, on the project's written revisions of harmful requests and on
what the bare base says to each one's harmless twin. benchmarks/constitutional_results.py --adapter measures what
comes out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from train_reviser import OWN, Trainer

import harness
from harness.api import Decoding, Message, Sample
from harness_revision.promptfiles import read_prompts
from harness_revision.revising import respond
from harness_revision.sentences import whole_sentences
from harness_stages.rows import TrainingRow

DATA = OWN.parent
LEAST_WORDS = 5


def written(files: list[Path]) -> list[tuple[str, str]]:
    """Return (request, revision) of the written revisions."""
    rows = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    return [(row["prompt"], row["completion"]) for row in rows]


def own_replies(place: Path) -> list[tuple[str, str]]:
    """Return (twin, what the bare base says to it), cut at its last whole sentence."""
    session = harness.open(place)
    session.writable_workspace()
    samples: list[Sample] = [prompt.sample for prompt in read_prompts(DATA / "twins.jsonl")]
    with session.models([]) as models:
        replies = respond(samples, models, Decoding(max_new_tokens=64))
    told = [(one.sample.prompt, whole_sentences(one.completion)) for one in replies if one.completion is not None]
    return [(prompt, reply) for prompt, reply in told if len(reply.split()) >= LEAST_WORDS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--first-layer", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=900)
    given = parser.parse_args()
    given.workspace.mkdir(parents=True, exist_ok=True)
    pairs = written(sorted(DATA.glob("revisions-[0-9]*.jsonl"))) + own_replies(given.workspace)
    trainer = Trainer(given)
    rows = [
        TrainingRow(
            messages=(Message(role="user", content=prompt), Message(role="assistant", content=reply)), line=number
        )
        for number, (prompt, reply) in enumerate(pairs, 1)
    ]
    encoded = trainer.encoder.encode(rows, max_length=256, path=OWN)
    print(f"{len(rows)} rows, {sum(len(one.input_ids) for one in encoded)} tokens", flush=True)
    trainer.train(encoded)
    trainer.save(given.out, {"trained_by": "benchmarks/train_declining.py", "seed": str(given.seed)})


if __name__ == "__main__":
    main()
