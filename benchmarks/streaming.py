"""How much memory and time a suite of hundreds of thousands of samples takes, beside one of a thousand.

Makes a JSONL suite of distinct questions, runs it on the `echo:` model with a baseline and a candidate arm, each size
in a process of its own, and prints a table (or JSON with `--json`): samples, seconds, and the peak of resident memory
beyond that of the small suite. The echo model computes nothing, so that all of it is the harness's own cost.

    python benchmarks/streaming.py [--samples 200000] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic, process_time
from typing import Any

SUITE = """\
id: stream
about: Does the model repeat what it is told?
samples: {source: jsonl, path: stream.jsonl}
ask: {max_new_tokens: 64}
measure: [exact_match, repetition]
gates:
  - {metric: exact_match, min: 0.5}
  - {metric: exact_match, non_inferior: {to: base, margin: 0.02}}
"""
WORDS = 40
"""In a question: about as long as those of public sets."""


def make_suite(folder: Path, samples: int) -> Path:
    """Write a suite of distinct questions, half of them in pairs, and return its file."""
    chance = random.Random(samples)
    words = [f"w{number:03}" for number in range(1000)]
    with (folder / "stream.jsonl").open("w") as stream:
        for number in range(samples):
            text = f"{number} " + " ".join(chance.choices(words, k=WORDS))
            right = text if chance.random() < 0.8 else "something else"
            row: dict[str, Any] = {
                "id": f"s{number:06}",
                "prompt": text,
                "target": right,
                "tags": ["even", "odd"][number % 2],
            }
            if number % 4 < 2:
                row["cluster"] = f"pair-{number // 2}"
            stream.write(json.dumps(row) + "\n")
    suite = folder / "stream.yaml"
    suite.write_text(SUITE)
    return suite


def run_here(suite: str) -> None:
    """Run the suite in this process, and print what it took: the part of this script that is a process of its own."""
    from harness.cli.main import run

    begin, work = monotonic(), process_time()
    code = run(["run", suite, "--model", "echo:", "--system", "Repeat.", "--json"])
    seconds, cpu = monotonic() - begin, process_time() - work
    print(json.dumps({"exit": code, "seconds": seconds, "cpu": cpu, "peak": peak()}))


def peak() -> int:
    """Return the peak resident set of this process since it began its program, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # the resource module's figure may still be that of the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def measure(samples: int) -> dict[str, Any]:
    """Run a suite of so many samples in a fresh process and workspace."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        suite = make_suite(folder, samples)
        command = [sys.executable, str(Path(__file__).resolve()), "--run-here", str(suite)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        lines = done.stdout.strip().splitlines()
        found: dict[str, Any] = json.loads(lines[-1])
        run = json.loads("\n".join(lines[:-1]))["runs"][0]["run"]
        stored = sum(path.stat().st_size for path in (folder / ".harness").rglob("*") if path.is_file())
        data = (folder / "stream.jsonl").stat().st_size
    if found["exit"] not in {0, 1} or run["samples"] != samples:
        raise SystemExit(f"the run broke: {done.stderr}")
    return {
        "samples": samples, "seconds": found["seconds"], "cpu_seconds": found["cpu"], "peak": found["peak"],
        "data": data, "stored": stored,
    }  # fmt: skip


def main() -> None:
    """Measure both sizes and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--small", type=int, default=1_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--run-here", metavar="SUITE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run_here:
        run_here(options.run_here)
        return
    rows = [measure(samples) for samples in (options.small, options.samples)]
    for row in rows:
        row["growth"] = row["peak"] - rows[0]["peak"]
    if options.json:
        print(json.dumps({"arms": 2, "words": WORDS, "rows": rows}, indent=1))
        return
    print("| samples | data | workspace | seconds | processor seconds | peak memory | beyond the small suite |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        data, stored, peak, growth = (f"{row[key] / 1e6:,.0f} MB" for key in ("data", "stored", "peak", "growth"))
        seconds, cpu = f"{row['seconds']:.1f}", f"{row['cpu_seconds']:.1f}"
        print(f"| {row['samples']:,} | {data} | {stored} | {seconds} | {cpu} | {peak} | {growth} |")


if __name__ == "__main__":
    main()
