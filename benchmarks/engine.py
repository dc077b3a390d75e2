"""Times whole `harness run` processes against lm-evaluation-harness on the same prompts, and checks that they agree.

    python benchmarks/engine.py --peer .venv-bench/bin/python --data ../shared/data --write

`make bench` prepares the peer's environment and calls this. For each workload the peer's fastest batch size is found
first, on a part of it where that is told by `--part`; then both sides run in turn, `--runs` times, and the medians are
compared. Without `--data` the prompts are made. Progress goes to stderr, the table to stdout and, with `--write`, to
docs/benchmarks.md. `--sweeps FILE` keeps the search, which takes longer than all the rest, and reads it where it is.
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
import workloads
from sections import machine, table, versions, write_section

from harness.contracts import RunContext
from harness.store.runs import list_runs, read_samples
from harness.store.workspace import Workspace, refuse_inside
from harness.types import Completion, LogProb, ModelSpec
from harness.weights import materialise

_CLOSE = 1e-3
"""Most that log p of one request may differ by between the two sides."""
BATCHES = ("1", "2", "4", "16", "64", "auto")


@dataclass(frozen=True, kw_only=True)
class Took:
    """One process."""

    seconds: float
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
    sweep: dict[str, float] = field(default_factory=dict)
    """Seconds of the peer on the part, by batch size."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def timed(command: list[str], **given: Any) -> tuple[float, float]:
    """Run a process; return its wall seconds and peak resident bytes, children that it waited for aside."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **given)
    assert process.stderr is not None
    error = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{error[-3000:]}")
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run_peer(python: str, work: dict[str, Any], batch: str, model: str, options: argparse.Namespace) -> Took:
    with tempfile.TemporaryDirectory() as folder:
        asked, said = Path(folder) / "work.json", Path(folder) / "out.json"
        whole = {**work, "model": model, "batch": batch, "dtype": options.dtype, "device": options.device}
        asked.write_text(json.dumps(whole))
        script = str(Path(__file__).parent / "peer_lm_eval.py")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        environment |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
        seconds, peak = timed([python, script, str(asked), str(said)], env=environment)
        return Took(seconds=seconds, peak=peak, answers=json.loads(said.read_text()))


def run_ours(work: dict[str, Any], model: str, options: argparse.Namespace) -> Took:
    with tempfile.TemporaryDirectory() as folder:
        suite = workloads.write_suite(Path(folder), work)
        workspace = Path(folder) / "workspace"
        command = [
            sys.executable, "-m", "harness.cli.main", "run", str(suite), "--model", model, "--template", "none",
            "--no-gates", "--workspace", str(workspace), "--offline", "--json", "--dtype", options.dtype,
            "--device", options.device,
        ]  # fmt: skip
        seconds, peak = timed(command)
        return Took(seconds=seconds, peak=peak, answers=_stored(workspace, work))


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
        else:
            answers.append(next(reply.text for _, reply in replies if isinstance(reply, Completion)))
    return answers


def sweep(name: str, work: dict[str, Any], model: str, options: argparse.Namespace) -> dict[str, float]:
    """Return the peer's seconds by batch size, from the file of an earlier search where there is one."""
    kept = json.loads(options.sweeps.read_text()) if options.sweeps and options.sweeps.is_file() else {}
    if name not in kept:
        part = {**work, "items": work["items"][: max(8, len(work["items"]) // options.part)]}
        kept[name] = {}
        for batch in options.batches:
            kept[name][batch] = run_peer(options.peer, part, batch, model, options).seconds
            say(f"{name}: peer with batch size {batch} on {len(part['items'])} items: {kept[name][batch]:.1f} s")
        if options.sweeps:
            options.sweeps.write_text(json.dumps(kept, indent=1))
    found: dict[str, float] = kept[name]
    return found


def measure(name: str, work: dict[str, Any], model: str, options: argparse.Namespace) -> Outcome:
    """Find the peer's fastest batch size, then run both sides in turn."""
    found = sweep(name, work, model, options)
    outcome = Outcome(name=name, batch=min(found, key=lambda batch: found[batch]), sweep=found)
    if options.runs:
        run_ours({**work, "items": work["items"][:4]}, model, options)  # hashes the weights once, as a first run does
    for turn in range(options.runs):
        outcome.ours.append(run_ours(work, model, options))
        outcome.peers.append(run_peer(options.peer, work, outcome.batch, model, options))
        ours, peer = outcome.ours[-1], outcome.peers[-1]
        say(f"{name} {turn + 1}/{options.runs}: ours {ours.seconds:.1f} s {ours.peak / 1e9:.2f} GB, "
            f"peer {peer.seconds:.1f} s {peer.peak / 1e9:.2f} GB")  # fmt: skip
    return outcome


def agreement(work: dict[str, Any], outcome: Outcome) -> str:
    """Say how far the answers of both sides are apart."""
    ours, peers = outcome.ours[-1].answers, outcome.peers[-1].answers
    if work["kind"] == "loglikelihood":
        missing = sum(value is None for value in ours)
        worst = max(abs(a - b) for a, b in zip(ours, peers, strict=True) if a is not None)
        if missing or worst > _CLOSE:
            raise SystemExit(f"{outcome.name}: log p differ by {worst:.1e}, {missing} missing: nothing to compare")
        return f"max abs. difference of log p {worst:.1e}"
    same = sum(a.strip() == b.strip() for a, b in zip(ours, peers, strict=True))
    return f"{same} of {len(ours)} texts the same"


def row(work: dict[str, Any], outcome: Outcome) -> list[str]:
    def middle(values: list[float]) -> float:
        return statistics.median(values)

    ours, peer = (middle([took.seconds for took in side]) for side in (outcome.ours, outcome.peers))
    memory, peers_memory = (middle([took.peak for took in side]) for side in (outcome.ours, outcome.peers))
    return [
        outcome.name, f"{ours:.1f} s", f"{peer:.1f} s (batch {outcome.batch})", f"**{peer / ours:.1f}**",
        f"{memory / 1e9:.2f} GB", f"{peers_memory / 1e9:.2f} GB", f"{100 * memory / peers_memory:.0f} %",
        agreement(work, outcome),
    ]  # fmt: skip


def main() -> None:
    """Measure the workloads and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="a Python that has lm_eval")
    parser.add_argument("--data", type=Path, help="folder with bbq/Age.jsonl.gz and gsm8k/test.jsonl.gz")
    parser.add_argument("--model", default="smollm2-135m", help="a catalogue name or a folder")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--part", type=int, default=1, help="one in so many items decides on the peer's batch size")
    parser.add_argument("--sweeps", type=Path, help="JSON file that keeps the search for the peer's batch size")
    parser.add_argument("--batches", nargs="+", default=list(BATCHES))
    parser.add_argument("--workload", nargs="+", choices=sorted(workloads.NAMES), default=list(workloads.NAMES))
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    parser.add_argument("--log", type=Path, help="append the raw figures to this file as JSON lines")
    options = parser.parse_args()
    for path in filter(None, (options.sweeps, options.log)):
        refuse_inside(path.resolve())
    model = str(_folder(options.model))
    rows, sweeps = [], []
    for name in options.workload:
        work = workloads.make(name, options.data)
        outcome = measure(name, work, model, options)
        if not outcome.ours:
            continue
        rows.append(row(work, outcome))
        sweeps.append(f"{name} " + ", ".join(f"{batch}: {seconds:.0f} s" for batch, seconds in outcome.sweep.items()))
        if options.log:
            raw = {
                "workload": name, "batch": outcome.batch, "sweep": outcome.sweep, "row": rows[-1],
                "ours": [[took.seconds, took.peak] for took in outcome.ours],
                "peer": [[took.seconds, took.peak] for took in outcome.peers],
            }  # fmt: skip
            with options.log.open("a") as stream:
                stream.write(json.dumps(raw) + "\n")
    if not rows:
        return
    data = "public data" if options.data else "made prompts"
    text = "\n\n".join(
        [
            table(
                ["workload", "harness", "lm-eval", "ratio", "memory", "lm-eval's", "share", "agreement"], rows
            ),
            f"Medians of {options.runs} runs in turn, whole processes, {options.model} in {options.dtype} on "
            f"{options.device}, {data}. {machine()}; {versions('torch', 'transformers')}; the peer: "
            f"{versions('lm_eval', 'torch', 'transformers', python=options.peer)}. The peer's batch size is its "
            f"fastest ({'; '.join(sweeps)}).",
        ]
    )  # fmt: skip
    print(text)
    if options.write:
        write_section(f"engine {options.device} {options.dtype}", text)


def _folder(model: str) -> Path:
    if Path(model).is_dir():
        return Path(model).resolve()
    store = Path(os.environ.get("HARNESS_WEIGHTS", Path.home() / ".cache" / "harness" / "weights"))
    spec = ModelSpec(reference=model, scheme="hf", name=model)
    return materialise(spec, RunContext(offline=True, weights=store))


if __name__ == "__main__":
    main()
