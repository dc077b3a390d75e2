"""Processor seconds of whole `harness run` commands with an adapter, by our own code and by transformers with peft.

    harness models pull smollm2-135m
    python benchmarks/adapter_commands.py --data ../shared/data [--against FOLDER] [--cores 0,1]

Workloads of `workloads.py`, a part of each, with `--adapter`. FOLDER is another checkout, such as the commit before,
run in turn with this one; log p and texts of both are compared. Progress goes to stderr, a Markdown table to stdout.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import workloads
from engine import _stored, say, timed

HERE = Path(__file__).parents[1]
PARTS = {"HellaSwag 200": 200, "BBQ Religion 300": 200, "20 samples, whole command": 20, "GSM8K generate": 32}
"""Items of each workload."""


def command(tree: Path, work: dict[str, Any], given: argparse.Namespace) -> tuple[float, float, list[Any]]:
    """Return processor seconds, the largest resident set in bytes, and the answers."""
    with tempfile.TemporaryDirectory() as folder:
        suite, workspace = workloads.write_suite(Path(folder), work), Path(folder) / "workspace"
        words = [
            sys.executable, "-m", "harness.cli.main", "run", str(suite), "--model", given.model, "--template", "none",
            "--adapter", given.adapter, "--no-gates", "--workspace", str(workspace), "--offline", "--json", "--dtype",
            given.dtype,
        ]  # fmt: skip
        environment = os.environ | {
            "OMP_NUM_THREADS": str(given.threads), "PYTHONPATH": f"{tree}{os.pathsep}{tree / 'plugins'}",
        }  # fmt: skip
        cpu, _, peak = timed(words, given.cores, env=environment, cwd=folder)
        return cpu, peak, _stored(workspace, work)


def apart(one: list[Any], other: list[Any]) -> str:
    """Say how far two lists of answers are apart: the largest difference of log p, or how many texts differ."""
    if isinstance(one[0], str):
        return f"{sum(a != b for a, b in zip(one, other, strict=True))} of {len(one)} texts differ"
    return f"log p differs by {max(abs(a - b) for a, b in zip(one, other, strict=True)):.1e} at most"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--adapter", default="harness:judge-smollm2")
    parser.add_argument("--workload", action="append", choices=PARTS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cores", default="")
    parser.add_argument("--dtype", default="float32")
    given = parser.parse_args()
    print("| workload | before, CPU s | now, CPU s | ratio | peak before, GB | peak now, GB | equality |")
    print("|---|---|---|---|---|---|---|")
    for name in given.workload or PARTS:
        work = workloads.make(name, given.data)
        work["items"] = work["items"][: PARTS[name]]
        trees = [given.against.resolve(), HERE] if given.against else [HERE]
        found: list[list[tuple[float, float, list[Any]]]] = [[] for _ in trees]
        for number in range(given.runs):
            for tree, rows in zip(trees, found, strict=True):
                rows.append(command(tree, work, given))
                say(f"{name}, {number + 1} of {given.runs}, {tree.name}: {rows[-1][0]:.1f} CPU s")
        cpu = [statistics.median(row[0] for row in rows) for rows in found]
        peak = [max(row[1] for row in rows) / 1e9 for rows in found]
        same = apart(found[0][0][2], found[-1][0][2])
        ratio = f"{cpu[0] / cpu[-1]:.2f}"
        print(
            f"| {name}, {len(work['items'])} | {cpu[0]:.1f} | {cpu[-1]:.1f} | {ratio} | {peak[0]:.2f} | {peak[-1]:.2f}"
            f" | {same} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
