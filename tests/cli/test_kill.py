"""kill -9 at random moments: the next run goes on from there, and the result is that of a run that nobody disturbed."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.models.serving import Server, said

BATCH = 8
SAMPLES = 320
SUITE = """\
id: long
samples: {source: jsonl, path: long.jsonl}
ask: {max_new_tokens: 4}
measure: [exact_match, length]
gates:
  - {metric: exact_match, min: 0.1}
"""
PLUGIN = f"""
import os, time
from harness import Model, hookimpl
from harness.types import Completion

class Batches(Model):
    supports = frozenset({{"generate"}})

    def fingerprint(self, candidate):
        return {{"weights": "batches"}}

    def answer(self, candidate, requests, deliver):
        asked = os.open("asked", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for begin in range(0, len(requests), {BATCH}):
            batch = range(begin, min(begin + {BATCH}, len(requests)))
            os.write(asked, b"." * len(batch))
            time.sleep(0.04)
            for index in batch:
                text = requests[index].messages[-1].content
                deliver(index, Completion(text=text, prompt_tokens=1, completion_tokens=1, finish="stop"))
        os.close(asked)

@hookimpl
def register_models(register):
    register("batches", Batches, about="answers in batches")
"""


def start(cli, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "harness.cli.main", *map(str, arguments)]
    return subprocess.Popen(command, cwd=cli.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kept(cli) -> int:
    path = cli.folder / ".harness" / "cache.db"
    if not path.exists():
        return 0
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        try:
            count: int = connection.execute("SELECT count(*) FROM entries").fetchone()[0]
        except sqlite3.OperationalError:  # killed before the table was made
            count = 0
    connection.close()
    return count


def kill_after(process: subprocess.Popen[bytes], begun, seconds: float) -> bool:
    """Kill a run so many seconds after it began to ask; tell whether it still lived."""
    while process.poll() is None and not begun():
        time.sleep(0.005)
    time.sleep(seconds)
    lived = process.poll() is None
    if lived:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return lived


def result_of(cli, options, folder: Path) -> tuple[object, object]:
    """Return the estimates and the samples of a run in a workspace."""
    code, document = cli.json(*options, "--workspace", folder)
    assert code in (0, 1), cli.err
    run = document["runs"][0]["run"]
    from harness.store.runs import read_samples
    from harness.store.workspace import Workspace

    records = list(read_samples(Workspace.open(folder), run["id"]))
    assert len(records) == run["samples"]
    return run, ([e["value"] for e in run["estimates"]], [(r.sample.id, r.text, r.rows) for r in records])


def test_killed_at_random_moments_it_loses_at_most_the_batch_in_flight(cli):
    cli.write("long.yaml", SUITE)
    cli.rows(SAMPLES, "long.jsonl")
    cli.write("batches.py", PLUGIN)
    options = ["run", "long.yaml", "--model", "batches:", "-p", "./batches.py"]
    asked = cli.folder / "asked"
    asked.touch()
    chance = random.Random(20)
    kills = 0
    while kills < 5:
        had, before = kept(cli), asked.stat().st_size
        process = start(cli, *options)
        lived = kill_after(process, lambda before=before: asked.stat().st_size > before, chance.uniform(0.0, 0.25))
        now = kept(cli)
        assert now >= had
        if not lived:
            break
        kills += 1
        asked_now = asked.stat().st_size - before
        # The batch in flight; and, where the kill came within the moment of a commit, the one just delivered.
        assert 0 <= asked_now - (now - had) <= 2 * BATCH
    assert kills >= 3
    had, before = kept(cli), asked.stat().st_size
    run, disturbed = result_of(cli, options, cli.folder / ".harness")
    assert run["model_calls"] == SAMPLES - had == asked.stat().st_size - before
    _, undisturbed = result_of(cli, options, cli.folder / "other")
    assert disturbed == undisturbed


def test_killed_while_a_server_answers_it_asks_only_for_what_it_had_not_got(cli):
    server = Server()

    def slowly(body):
        time.sleep(0.04)
        return said(body["messages"][-1]["content"])

    server.answer = slowly
    cli.write("long.yaml", SUITE)
    cli.rows(200, "long.jsonl")
    options = ["run", "long.yaml", "--model", f"openai:tiny@{server.url}"]
    chance = random.Random(7)
    for _ in range(2):
        had, before = kept(cli), len(server.bodies)
        process = start(cli, *options)
        kill_after(process, lambda before=before: len(server.bodies) > before, chance.uniform(0.0, 0.2))
        time.sleep(0.05)  # what was in flight arrives at the server
        assert len(server.bodies) - before - (kept(cli) - had) <= 2 * 8
    had, before = kept(cli), len(server.bodies)
    run, disturbed = result_of(cli, options, cli.folder / ".harness")
    assert run["model_calls"] == 200 - had == len(server.bodies) - before
    _, undisturbed = result_of(cli, options, cli.folder / "other")
    server.http.shutdown()
    server.http.server_close()
    assert disturbed == undisturbed


@pytest.mark.slow
def test_killed_with_a_real_model_it_goes_on_to_the_same_numbers(cli, tiny_base):
    cli.write("long.yaml", SUITE.replace("length]", "perplexity, length]").replace("_tokens: 4", "_tokens: 24"))
    cli.rows(600, "long.jsonl")
    options = ["run", "long.yaml", "--model", tiny_base]
    chance = random.Random(3)
    kills = 0
    for _ in range(4):
        had = kept(cli)
        process = start(cli, *options)
        kills += kill_after(process, lambda had=had: kept(cli) > had, chance.uniform(0.0, 0.8))
    assert kills
    had = kept(cli)
    run, disturbed = result_of(cli, options, cli.folder / ".harness")
    assert run["model_calls"] == run["requests"] - had
    _, undisturbed = result_of(cli, options, cli.folder / "other")
    assert disturbed == undisturbed
