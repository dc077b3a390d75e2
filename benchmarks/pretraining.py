"""Trains `nano` from scratch on a public-domain text, and writes how well it compresses held-out text.

    python benchmarks/pretraining.py --text shakespeare.txt.gz --steps 900 --out docs/results/pretraining.json

Two cores and two threads, whatever else the machine has. The text is not ours to ship: any plain text does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path


def main() -> None:
    """Train and print or write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--vocabulary", type=int, default=1024)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    os.environ |= {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}

    import psutil
    import yaml

    import harness

    with tempfile.TemporaryDirectory() as name:
        recipe = Path(name) / "nano.yaml"
        recipe.write_text(yaml.safe_dump({
            "id": "nano", "base": "none", "seed": given.seed,
            "stages": [
                {"bpe": {"data": str(given.text.resolve()), "vocabulary": given.vocabulary}},
                {"pretrain": {"data": str(given.text.resolve()), "size": "nano", "max_steps": given.steps,
                              "batch_size": given.batch_size, "dtype": given.dtype}},
            ],
        }))  # fmt: skip
        with harness.open(name, offline=True) as session:
            before = psutil.Process().cpu_times()
            vocabulary, model = session.train(recipe).stages
            after = psutil.Process().cpu_times()
        folder = model.kept["model"].path
        figures = {
            "text": given.text.name, "machine": f"{platform.machine()}, 2 of {os.cpu_count()} cores",
            "seed": given.seed,
            "versions": dict(model.record.versions),
            "vocabulary": dict(vocabulary.record.figures), "model": dict(model.record.figures),
            "cpu_seconds_with_tokenizer_and_loading": round(after.user + after.system - before.user - before.system, 1),
            "curve": json.loads((folder / "curve.json").read_text("utf-8")),
            "samples": [one["written"] for one in json.loads((folder / "samples.json").read_text("utf-8"))],
        }  # fmt: skip
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    if given.out is None:
        print(text)
    else:
        given.out.write_text(text + "\n", "utf-8")
        print({name: figures["model"][name] for name in ("bits_per_character", "seconds", "steps")})


if __name__ == "__main__":
    main()
