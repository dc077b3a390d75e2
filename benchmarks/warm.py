"""Times a run of 2,001 requests that are all in the cache.

    python benchmarks/warm.py [--data ../shared/data] [--write]

The suite, 667 questions with 3 answers each, is run once on smollm2-135m, and then again and again in processes of
their own. What is timed is the whole command.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import workloads
from sections import machine, table, versions, write_section

QUESTIONS = 667


def run(suite: Path, workspace: Path) -> tuple[float, float, int]:
    """Return wall seconds, processor seconds, and how many requests the model answered."""
    command = [
        sys.executable, "-m", "harness.cli.main", "run", str(suite), "--model", "smollm2-135m", "--template", "none",
        "--no-gates", "--workspace", str(workspace), "--offline", "--json",
    ]  # fmt: skip
    begin, before = time.perf_counter(), os.times()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - begin, os.times()
    if done.returncode:
        raise SystemExit(done.stderr)
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, spent, sum(one["run"]["model_calls"] for one in json.loads(done.stdout)["runs"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with bbq/Age.jsonl.gz; left out: the questions are made up")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        suite = workloads.write_suite(Path(folder), workloads.questions(QUESTIONS, options.data))
        cold = run(suite, Path(folder) / "ws")
        warm = [run(suite, Path(folder) / "ws") for _ in range(options.runs)]
    if any(calls for *_, calls in warm):
        raise SystemExit("a repeated run asked the model")
    rows = [["first", "1", str(cold[2]), f"{cold[0]:.1f} s", f"{cold[1]:.1f} s"]]
    wall, spent = (statistics.median(one[place] for one in warm) for place in (0, 1))
    rows.append(["repeated", str(len(warm)), "0", f"{wall:.2f} s", f"{spent:.2f} s"])
    text = "\n\n".join(
        [
            table(["run", "times", "requests to the model", "whole command", "processor time"], rows),
            f"Medians. {'Public' if options.data else 'Made'} questions. {machine()}; "
            f"{versions('torch', 'transformers')}.",
        ]
    )
    print(text)
    if options.write:
        write_section("warm", text)


if __name__ == "__main__":
    main()
