"""Kills a process that writes, at chosen and at random moments, and checks the workspace after every kill.

Run as `killer.py WORKSPACE MODE COUNT SEED`; prints one JSON document. The mode `events` dies before chosen calls,
`random` after a random time, and `commands` after a random time within real commands: run, decide, promote, rollback. The children are forks, so that a kill costs
milliseconds: everything heavy is imported once, and no database is open across a fork.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "store"))

import builders
import pyarrow.parquet  # noqa: F401 - imported before the forks, which would each spend half a second on it

from harness.store.adapters import check_adapter, list_adapters, resolve_adapters
from harness.store.decisions import find_decision
from harness.store.promoted import alias_path, alias_text, live
from harness.store.runs import check_run, list_runs
from harness.store.workspace import Workspace
from harness_promotion.promoting import promote, rollback
from harness_promotion.reconcile import problems

BATCH = 5


def work(root: Path, step: int) -> None:
    """Do everything that writes: a cache batch, two runs, a decision, a promotion, a rollback."""
    workspace = Workspace.open(root)
    keys = [hashlib.sha256(f"{os.getpid()} {number}".encode()).digest() for number in range(BATCH)]
    workspace.cache.put_many({key.hex(): b"".join(keys) for key in keys})
    folder = root.parent / f"adapter-{step}"
    builders.adapter(folder, float(step))
    who = builders.candidate(*resolve_adapters([str(folder)], workspace))
    now = live(workspace)
    bare = now is None or now.candidate is None
    found = builders.evidence(
        workspace, who, f"fp-{step}-{os.getpid()}", baseline=None if bare else now.candidate,
        baseline_fingerprint="base" if bare else now.fingerprint,
    )  # fmt: skip
    decision = builders.decide(workspace, builders.policy(), found)
    promote(workspace, decision.id, builders.plugins())
    if step % 3 == 0:
        rollback(workspace, builders.plugins())
    workspace.close()


HOME = {
    "harness.yaml": 'model: "echo:"\npolicy: mine\npolicies:\n  mine: {suites: [tiny.yaml]}\n',
    "tiny.yaml": "id: tiny\nsamples: {source: jsonl, path: tiny.jsonl}\nmeasure: [exact_match]\n"
    "gates:\n  - {metric: exact_match, min: 0.5}\n",
    "tiny.jsonl": "".join(f'{{"id": "s{n}", "prompt": "say {n}", "target": "say {n}"}}\n' for n in range(60)),
}


def commands(root: Path, step: int) -> None:
    """Do what a person does: run a suite, decide, promote, and now and then go back."""
    from harness.cli.main import run as harness

    os.chdir(root.parent)
    for name, text in HOME.items():
        Path(name).write_text(text)
    builders.adapter(Path(f"adapter-{step}"), float(step))
    adapter, place = ["--adapter", f"./adapter-{step}"], ["--workspace", str(root)]
    for line in (["run", "tiny.yaml", *adapter], ["decide", *adapter], ["promote", "latest"],
                 *([["rollback"]] if step % 3 == 0 else [])):  # fmt: skip
        code = harness([*line, *place])
        assert code == 0, (line, code)


def check(root: Path, promotions_before: int, *, batches: bool = True) -> int:
    """Assert that the workspace is whole, and return how many promotions and rollbacks it has."""
    workspace = Workspace.open(root)
    assert alias(workspace) == alias_text(workspace), "the alias is not what the ledger says"
    with workspace.lock("check"):
        pass
    leftovers = [str(path) for path in root.rglob("*") if path.name.startswith((".tmp-", ".intent-"))]
    assert not leftovers, leftovers
    workspace.ledger.verify()
    assert list(problems(workspace, deep=True)) == []
    for record in list_runs(workspace):
        check_run(workspace, record.id)
    in_ledger = {entry.body["run"] for entry in workspace.ledger.entries("run")}
    assert in_ledger == {record.id for record in list_runs(workspace)}, "a run and its row are apart"
    decided = {entry.body["decision"] for entry in workspace.ledger.entries("decision")}
    assert decided == {path.stem for path in workspace.decisions.iterdir()}, "a decision and its row are apart"
    for name in decided:
        find_decision(workspace, name)
    for name in list_adapters(workspace):
        resolve_adapters([name], workspace)
    now = live(workspace)
    for spec in () if now is None or now.candidate is None else now.candidate.adapters:
        check_adapter(spec)
    if batches:
        whole_batches(workspace)
    count = len(workspace.ledger.entries("promotion", "rollback"))
    assert count >= promotions_before, "a promotion was lost"
    workspace.close()
    return count


def alias(workspace: Workspace) -> str | None:
    path = alias_path(workspace)
    return path.read_text() if path.exists() else None


def whole_batches(workspace: Workspace) -> None:
    import sqlite3

    connection = sqlite3.connect(workspace.cache_path)
    tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'entries'").fetchone()[0]
    values = connection.execute("SELECT DISTINCT substr(value, 33) FROM entries").fetchall() if tables else []
    connection.close()
    for (value,) in values:
        keys = [value[start : start + 32].hex() for start in range(0, len(value), 32)]
        assert len(keys) == BATCH
        assert len(workspace.cache.get_many(keys)) == BATCH, "a batch is there in part"


def killed_at_event(root: Path, step: int, event: int) -> bool:
    """Fork a worker that kills itself before its `event`th step towards the disk; tell whether it got that far."""
    child = os.fork()
    if child == 0:
        try:
            die_at(event)
            work(root, step)
        except BaseException as error:  # noqa: BLE001 - reported through the exit status
            sys.stderr.write(f"worker: {error!r}\n")
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the worker failed of itself"
    return os.WIFSIGNALED(status)


def die_at(event: int) -> None:
    """Count the calls that reach the disk, and die before the chosen one."""
    left = [event]

    def counted(real):
        def call(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return call

    for name in ("open", "write", "fsync", "rename", "replace", "unlink", "mkdir", "rmdir"):
        setattr(os, name, counted(getattr(os, name)))
    import harness.store.sqlite as module

    connect = module.connect

    def traced(path, **options):
        connection = connect(path, **options)
        connection.set_trace_callback(counted(lambda _: None))
        return connection

    for user in ("harness.store.cache", "harness.store.ledger"):
        sys.modules[user].connect = traced


def killed_at_random(root: Path, step: int, seconds: float, worker: Callable[[Path, int], None]) -> bool:
    """Fork a worker and kill it after so many seconds; tell whether it was still at work."""
    child = os.fork()
    if child == 0:
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        try:
            worker(root, step)
        except BaseException:  # noqa: BLE001 - reported through the exit status
            os._exit(1)
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the worker failed of itself"
    return os.WIFSIGNALED(status)


def main() -> None:
    """Kill and check, `COUNT` times."""
    root, mode, count, chance = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), random.Random(sys.argv[4])
    kills = finished = event = 0
    worker = commands if mode == "commands" else work
    with redirect_stdout(io.StringIO()):
        worker(root, 0)  # imports and compiles what every child would otherwise spend its time on
        begin = time.monotonic()
        worker(root, -1)
    whole, promotions = time.monotonic() - begin, check(root, 0, batches=worker is work)
    for step in range(1, count + 1):
        if mode != "events":
            killed = killed_at_random(root, step, chance.uniform(0.0, whole), worker)
        else:
            event = (step - 1) * int(sys.argv[5]) + chance.randrange(int(sys.argv[5]))
            killed = killed_at_event(root, step, event)
        kills += killed
        finished += not killed
        promotions = check(root, promotions, batches=worker is work)
        if mode == "events" and not killed:
            break
        if step % 12 == 0:  # old runs make the checks slow and prove nothing more
            fresh(root)
            promotions = 0
    print(json.dumps({"kills": kills, "finished": finished, "promotions": promotions, "event": event}))


def fresh(root: Path) -> None:
    shutil.rmtree(root)
    Workspace.open(root, create=True).close()


if __name__ == "__main__":
    main()
