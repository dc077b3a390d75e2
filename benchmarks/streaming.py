"""How much memory and time a suite of hundreds of thousands of samples takes, beside one of a thousand.

Makes a JSONL suite of distinct questions, runs it on the `echo:` model with a baseline and a candidate arm, each size
in a process of its own, then again with everything cached, and then checks the gates of the stored run. Of each it
prints seconds and the peak of resident memory beyond that of the small suite. The echo model computes nothing, so that
all of it is the harness's own cost.

    python benchmarks/streaming.py [--samples 200000]    print the table
    python benchmarks/streaming.py --json                the same as JSON
    python benchmarks/streaming.py --write               put the table into docs/benchmarks.md
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

from sections import machine, table, write_section

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


def call_here(arguments: list[str]) -> None:
    """Call the command line in this process, and print what it took on the last line."""
    from harness.cli.main import run

    begin, work = monotonic(), process_time()
    code = run(arguments)
    seconds, cpu = monotonic() - begin, process_time() - work
    print(json.dumps({"exit": code, "seconds": seconds, "cpu_seconds": cpu, "peak": peak()}))


def peak() -> int:
    """Return the peak resident set of this process since it began its program, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # the resource module's figure may still be that of the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def call(folder: Path, *arguments: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Call the command line in a process of its own; return what it took, and the JSON that it printed."""
    command = [sys.executable, str(Path(__file__).resolve()), "--call", *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines or json.loads(lines[-1])["exit"] != 0:
        raise SystemExit(f"{arguments} broke: {done.stderr}")
    return json.loads(lines[-1]), json.loads("\n".join(lines[:-1]))


def measure(samples: int) -> list[dict[str, Any]]:
    """Run a suite of so many samples in a fresh workspace, once more, and check its gates again."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        suite = make_suite(folder, samples)
        again = ("run", str(suite), "--model", "echo:", "--system", "Repeat.")
        rows = []
        for name, arguments in (("run", again), ("run again", again), ("gate", ("gate", "latest"))):
            took, document = call(folder, *arguments)
            if name != "gate" and document["runs"][0]["run"]["samples"] != samples:
                raise SystemExit(f"{samples} samples were to be run")
            stored = sum(path.stat().st_size for path in (folder / ".harness").rglob("*") if path.is_file())
            data = (folder / "stream.jsonl").stat().st_size
            rows.append({"command": name, "samples": samples, **took, "data": data, "workspace": stored})
    return rows


def main() -> None:
    """Measure both sizes and show them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--small", type=int, default=1_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--call", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.call:
        call_here(options.call)
        return
    small, large = measure(options.small), measure(options.samples)
    for least, most in zip(small, large, strict=True):
        least["growth"], most["growth"] = 0, most["peak"] - least["peak"]
    if options.json:
        print(json.dumps({"arms": 2, "words": WORDS, "rows": [*small, *large]}, indent=1))
        return
    head = ["command", "samples", "data", "workspace", "seconds", "processor seconds", "peak memory", "growth"]
    text = table(head, [cells(row) for row in (*small, *large)]) + f"\n\n{machine()}; two arms."
    if options.write:
        write_section("streaming", text)
    else:
        print(text)


def cells(row: dict[str, Any]) -> list[str]:
    """Return a measured command as a line of the table."""
    sizes = {key: f"{row[key] / 1e6:,.0f} MB" for key in ("data", "workspace", "peak", "growth")}
    return [
        row["command"], f"{row['samples']:,}", sizes["data"], sizes["workspace"], f"{row['seconds']:.1f}",
        f"{row['cpu_seconds']:.1f}", sizes["peak"], sizes["growth"],
    ]  # fmt: skip


if __name__ == "__main__":
    main()
