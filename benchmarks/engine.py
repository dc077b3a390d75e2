"""Times whole `harness run` processes against lm-evaluation-harness on the same prompts, and checks that they agree.

    python benchmarks/engine.py --peer .venv-bench/bin/python --data ../shared/data --workload "HellaSwag 200" --write

`make bench` prepares the peer's environment and calls this; `make bench WORKLOAD="HellaSwag 200"` runs one. For each
workload the peer's fastest batch size is found first, on a part of it where that is told by `--part`; then both sides
run in turn, `--runs` times, and the medians are compared. Processor seconds count (user and system, of the whole
process): they hold beside other work, where wall seconds say nothing. `--cores` binds both sides to the same cores.

Without `--data` the prompts are made, where they can be. Progress goes to stderr, the table to stdout. `--write` merges
what was run into docs/results/engine.json, and writes the table of docs/benchmarks.md from all that stands there.
`--sweeps FILE` keeps the search, which takes longer than all the rest, and reads it where it is.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import engine_table
import workloads

from harness.contracts import RunContext
from harness.store.runs import list_runs, read_samples
from harness.store.workspace import Workspace, refuse_inside
from harness.types import Completion, LogProb, ModelSpec
from harness.weights import materialise

_CLOSE = 1e-3
"""Most that log p of one request may differ by between the two sides."""
_CLOSE_ROLLING = 5e-2
"""The same of a whole document, a sum over some 3,000 tokens: the peer's is off by about 1e-5 for each, see
`rolling_error.py`."""
BATCHES = ("1", "2", "4", "8", "16", "32", "64", "auto")
_NO_MEMORY = ("out of memory", "can't allocate memory", "MemoryError", "Killed")


class PeerOutOfMemoryError(Exception):
    """The peer's batch size does not fit this machine."""


@dataclass(frozen=True, kw_only=True)
class Took:
    """One process."""

    cpu: float
    """Processor seconds, user and system."""
    wall: float
    peak: float
    """Largest resident set, bytes."""
    answers: list[Any]


@dataclass(kw_only=True)
class Outcome:
    """One workload."""

    name: str
    batch: str
    ours: list[Took] = field(default_factory=list)
    peers: list[Took] = field(default_factory=list)
    sweep: dict[str, float | None] = field(default_factory=dict)
    """Processor seconds of the peer on the part, by batch size; None where memory ran out."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def timed(command: list[str], cores: str, **given: Any) -> tuple[float, float, float]:
    """Run a process; return its processor seconds, wall seconds and peak resident bytes.

    Raises:
        PeerOutOfMemoryError: where it says so, or the system killed it.
    """
    begin = time.perf_counter()
    bound = ["taskset", "-c", cores, *command] if cores else command
    process = subprocess.Popen(bound, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **given)
    assert process.stderr is not None
    error = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    code = os.waitstatus_to_exitcode(status)
    if code == -9 or (code != 0 and any(words in error for words in _NO_MEMORY)):
        raise PeerOutOfMemoryError
    if code != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{error[-3000:]}")
    return usage.ru_utime + usage.ru_stime, seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run_peer(work: dict[str, Any], batch: str, model: str, options: argparse.Namespace) -> Took:
    with tempfile.TemporaryDirectory() as folder:
        asked, said = Path(folder) / "work.json", Path(folder) / "out.json"
        whole = {**work, "model": model, "batch": batch, "dtype": options.dtype, "device": options.device}
        asked.write_text(json.dumps(whole))
        script = str(Path(__file__).parent / "peer_lm_eval.py")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        environment |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", **_threads(options)}
        command = [options.peer, script, str(asked), str(said)]
        cpu, wall, peak = timed(command, options.cores, env=environment)
        return Took(cpu=cpu, wall=wall, peak=peak, answers=json.loads(said.read_text()))


def _threads(options: argparse.Namespace) -> dict[str, str]:
    """Give both sides as many threads as cores: the peer would otherwise start as many as the machine has."""
    return {"OMP_NUM_THREADS": str(options.threads)}


def run_ours(work: dict[str, Any], model: str, options: argparse.Namespace) -> Took:
    with tempfile.TemporaryDirectory() as folder:
        suite = workloads.write_suite(Path(folder), work)
        workspace = Path(folder) / "workspace"
        command = [
            sys.executable, "-m", "harness.cli.main", "run", str(suite), "--model", model, "--template", "none",
            "--no-gates", "--workspace", str(workspace), "--offline", "--json", "--dtype", options.dtype,
            "--device", options.device,
        ]  # fmt: skip
        cpu, wall, peak = timed(command, options.cores, env=os.environ | _threads(options))
        return Took(cpu=cpu, wall=wall, peak=peak, answers=_stored(workspace, work))


def _stored(folder: Path, work: dict[str, Any]) -> list[Any]:
    """Read what the run folder holds, in the order of the peer's requests."""
    workspace = Workspace.open(folder)
    by_id = {record.sample.id: record for record in read_samples(workspace, list_runs(workspace)[-1].id)}
    answers: list[Any] = []
    for number, item in enumerate(work["items"]):
        replies = by_id[f"q{number}"].replies
        if work["kind"] == "loglikelihood":
            known = {request.continuation: reply for request, reply in replies}  # type: ignore[union-attr] # kinds do not mix
            found = [known[choice] for choice in item["choices"]]
            answers += [reply.logprob if isinstance(reply, LogProb) else None for reply in found]
        elif work["kind"] == "rolling":
            answers += [reply.logprob if isinstance(reply, LogProb) else None for _, reply in replies]
        else:
            answers.append(next(reply.text for _, reply in replies if isinstance(reply, Completion)))
    return answers


def sweep(name: str, work: dict[str, Any], model: str, options: argparse.Namespace) -> dict[str, float | None]:
    """Return the peer's processor seconds by batch size, from the file of an earlier search where there is one."""
    kept = json.loads(options.sweeps.read_text()) if options.sweeps and options.sweeps.is_file() else {}
    if name not in kept:
        part = {**work, "items": work["items"][: max(8, len(work["items"]) // options.part)]}
        kept[name] = {}
        for batch in options.batches:
            try:
                kept[name][batch] = run_peer(part, batch, model, options).cpu
            except PeerOutOfMemoryError:
                kept[name][batch] = None
            took = "out of memory" if kept[name][batch] is None else f"{kept[name][batch]:.1f} s"
            say(f"{name}: peer with batch size {batch} on {len(part['items'])} items: {took}")
        if options.sweeps:
            options.sweeps.write_text(json.dumps(kept, indent=1))
    found: dict[str, float | None] = kept[name]
    return found


def measure(name: str, work: dict[str, Any], model: str, options: argparse.Namespace) -> Outcome:
    """Find the peer's fastest batch size where there is a choice, then run both sides in turn."""
    found = sweep(name, work, model, options) if len(options.batches) > 1 else {}
    fitting = {batch: seconds for batch, seconds in found.items() if seconds is not None}
    batch = min(fitting, key=lambda batch: fitting[batch]) if fitting else options.batches[0]
    outcome = Outcome(name=name, batch=batch, sweep=found)
    if options.runs:
        run_ours({**work, "items": work["items"][:2]}, model, options)  # hashes the weights once, as a first run does
    for turn in range(options.runs):
        outcome.ours.append(run_ours(work, model, options))
        outcome.peers.append(run_peer(work, outcome.batch, model, options))
        ours, peer = outcome.ours[-1], outcome.peers[-1]
        say(f"{name} {turn + 1}/{options.runs}: ours {ours.cpu:.1f} CPU s {ours.peak / 1e9:.2f} GB, "
            f"peer {peer.cpu:.1f} CPU s {peer.peak / 1e9:.2f} GB")  # fmt: skip
    return outcome


def agreement(work: dict[str, Any], outcome: Outcome) -> str:
    """Say how far the answers of both sides are apart."""
    ours, peers = outcome.ours[-1].answers, outcome.peers[-1].answers
    if work["kind"] != "generate":
        missing = sum(value is None for value in ours)
        worst = max(abs(a - b) for a, b in zip(ours, peers, strict=True) if a is not None)
        if missing or worst > (_CLOSE_ROLLING if work["kind"] == "rolling" else _CLOSE):
            raise SystemExit(f"{outcome.name}: log p differ by {worst:.1e}, {missing} missing: nothing to compare")
        return f"max abs. difference of log p {worst:.1e}"
    same = sum(a.strip() == b.strip() for a, b in zip(ours, peers, strict=True))
    return f"{same} of {len(ours)} texts the same"


def record(work: dict[str, Any], outcome: Outcome, options: argparse.Namespace) -> dict[str, Any]:
    """Return what is kept of one workload."""
    sides = {
        side: {
            "cpu": statistics.median(took.cpu for took in found),
            "wall": statistics.median(took.wall for took in found),
            "memory": statistics.median(took.peak for took in found),
            "runs": [[took.cpu, took.wall, took.peak] for took in found],
        }
        for side, found in (("ours", outcome.ours), ("peer", outcome.peers))
    }
    return {
        "workload": outcome.name, "n": len(work["items"]), "batch": outcome.batch, "sweep": outcome.sweep,
        "part": options.part, **sides, "agreement": agreement(work, outcome), **engine_table.conditions(options),
    }  # fmt: skip


def main() -> None:
    """Measure the workloads and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="a Python that has lm_eval")
    parser.add_argument("--data", type=Path, help="folder with the public files")
    parser.add_argument("--model", default="smollm2-135m", help="a catalogue name or a folder")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--items", type=int, help="only so many items of each workload")
    parser.add_argument("--part", type=int, default=1, help="one in so many items decides on the peer's batch size")
    parser.add_argument("--sweeps", type=Path, help="JSON file that keeps the search for the peer's batch size")
    parser.add_argument("--batches", nargs="+", default=list(BATCHES))
    parser.add_argument("--workload", nargs="+", choices=workloads.NAMES, help="default: all that the data allows")
    parser.add_argument("--cores", default="", help="bind both sides to these cores, such as 0,1")
    parser.add_argument("--load", default="nothing else known", help="what else the machine did, for the table")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--write", action="store_true", help="merge into docs/results/engine.json and the table")
    options = parser.parse_args()
    if options.sweeps:
        refuse_inside(options.sweeps.resolve())
    options.threads = len(options.cores.split(",")) if options.cores else len(os.sched_getaffinity(0))
    model = str(_folder(options.model))
    records = []
    for name in options.workload or (workloads.NAMES if options.data else workloads.MADE):
        work = workloads.make(name, options.data)
        work["items"] = work["items"][: options.items]
        outcome = measure(name, work, model, options)
        if outcome.ours:
            records.append(record(work, outcome, options))
            if options.write:
                engine_table.merge(records[-1:])
    print(engine_table.text(records))


def _folder(model: str) -> Path:
    if Path(model).is_dir():
        return Path(model).resolve()
    store = Path(os.environ.get("HARNESS_WEIGHTS", Path.home() / ".cache" / "harness" / "weights"))
    spec = ModelSpec(reference=model, scheme="hf", name=model)
    return materialise(spec, RunContext(offline=True, weights=store))


if __name__ == "__main__":
    main()
