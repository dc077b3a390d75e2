"""Training and scoring beside one busy process, and on more cores: the times alone and beside it, and their ratio.

    python benchmarks/busy.py --cores 2 4
    python benchmarks/busy.py --cores 2 --threads 2      # with a fixed number, as it was before

A job is a whole command in a process of its own, bound to the first N cores; so is the busy process, with the lower
priority that is asked for. Meant: beside the busy process at most 3 times the time alone, and four cores never slower
than two. Run it on a machine that does nothing else (Linux, with the weights of smollm2-135m).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BASE = "smollm2-135m"
BUSY = "import os, sys\nos.nice(int(sys.argv[1]))\nwhile True: pass"
RECIPE = f"""\
id: busy
base: {BASE}
stages:
  - sft: {{data: rows.jsonl, max_steps: 12, batch_size: 8, max_length: 128}}
"""
SUITE = """\
id: busy
about: Likelihoods and short replies.
samples: {source: jsonl, path: samples.jsonl}
measure: [perplexity, length]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--threads", type=int, help="OMP_NUM_THREADS of the jobs, instead of the choice")
    parser.add_argument("--nice", type=int, default=10, help="of the busy process")
    wanted = parser.parse_args()
    print("| cores | job | threads alone | alone | threads beside | beside | ratio |\n|---|---|---|---|---|---|---|")
    all_cores = sorted(os.sched_getaffinity(0))
    for cores in wanted.cores:
        os.sched_setaffinity(0, all_cores[:cores])  # which every process below inherits
        for job in ("train", "score"):
            alone, threads = measure(job, wanted.threads)
            busy = subprocess.Popen([sys.executable, "-c", BUSY, str(wanted.nice)])
            try:
                beside, fewer = measure(job, wanted.threads)
            finally:
                busy.kill()
                busy.wait()
            print(
                f"| {cores} | {job} | {threads} | {alone:.1f} s | {fewer} | {beside:.1f} s | {beside / alone:.2f} |",
                flush=True,
            )


def measure(job: str, threads: int | None) -> tuple[float, str]:
    """Return the seconds of a command in a fresh workspace, and the number of threads that it stored."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [(f"Tell me about number {n} and its neighbours.", f"{n} is a number. " * 12) for n in range(48)]
        samples = [{"id": f"s{n}", "prompt": ask, "target": said} for n, (ask, said) in enumerate(rows)]
        learned = [{"prompt": ask, "completion": said} for ask, said in rows]
        for file, lines in (("samples.jsonl", samples), ("rows.jsonl", learned)):
            (folder / file).write_text("\n".join(json.dumps(line) for line in lines))
        (folder / "recipe.yaml").write_text(RECIPE)
        (folder / "suite.yaml").write_text(SUITE)
        what = ["train", "recipe.yaml"] if job == "train" else ["run", "suite.yaml", "--model", BASE]
        environment = {**os.environ, **({} if threads is None else {"OMP_NUM_THREADS": str(threads)})}
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "harness.cli.main", *what, "--offline"], cwd=folder, env=environment, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        seconds = time.perf_counter() - begin
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        kept = folder / ".harness"
        if job == "train":
            (record,) = (kept / "artifacts" / "adapter").glob("*/artifact.json")
            return seconds, str(int(json.loads(record.read_text())["figures"]["threads"]))
        (record,) = (kept / "runs").glob("*/run.json")
        return seconds, json.loads(record.read_text())["environment"]["threads"]


if __name__ == "__main__":
    main()
