"""Large suites go through the pass window by window: the same results whatever the windows, and little memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engine import programs
from harness.evaluation import samples as sample_stream
from harness.store.runs import list_runs, read_samples
from harness.store.workspace import Workspace
from harness.types import Completion, LogProb

CRITICS = """\
critics:
  rules: {must_not: [w7]}
"""
SUITE = f"""\
id: long
samples: {{source: jsonl, path: long.jsonl}}
ask: {{max_new_tokens: 8}}
classifiers:
  missing: {{optional: true}}
{CRITICS}measure: [exact_match, repetition, diversity, capitals, {{adherence: {{constitution: manners}}}}]
gates:
  - {{metric: exact_match, min: 0.5}}
  - {{metric: exact_match, non_inferior: {{to: base, margin: 0.1}}}}
"""
MANNERS = """\
id: manners
version: 1
principles:
  - id: keeps_secrets
    weight: 1
    text: Never say seven.
    critique: Point out sevens.
    revise: Leave sevens out.
    critics: [rules, judge]
    threshold: 0.5
    examples:
      pass: [{prompt: a, response: fine}]
      fail: [{prompt: a, response: w7, why: says it}]
      near_miss: [{prompt: a, response: seventh, why: says none}]
"""
PLUGIN = """\
from pathlib import Path
from harness import Classifier, Finding, Metric, hookimpl
from harness.errors import InputError
from harness.types import Generate, NotApplicable, Unscored

class Capitals(Classifier):
    def fingerprint(self):
        return "capitals 1"
    def classify(self, texts):
        return [(Finding(label="CAPITAL", probability=0.9 if "W" in text else 0.1),) for text in texts]

class Shares(Metric):
    name, kind, direction, bounds, gates = "capitals", "mean", "lower", (0.0, 1.0), False
    classifiers = ("capitals", "missing")
    def requests(self, sample, ask):
        return (Generate(messages=sample.messages, decoding=ask),)
    def observe(self, sample, replies, findings, verdicts):
        if "odd" in sample.tags:
            return NotApplicable(reason="odd")
        if sample.id.endswith("4"):
            return Unscored(reason="four")
        return (findings["capitals"][0].probability, 1.0)

def missing(options, surroundings):
    raise InputError("its weights are not here")

@hookimpl
def register_classifiers(register):
    register("capitals", Capitals)
    register("missing", missing)

@hookimpl
def register_metrics(register):
    register("capitals", lambda options, constitutions: [Shares()])

@hookimpl
def register_constitutions(register):
    register("manners", Path(__file__).with_name("manners.yaml"))
"""


def write(cli, count: int) -> None:
    cli.write("long.yaml", SUITE)
    cli.write("manners.yaml", MANNERS)
    cli.write("plugin.py", PLUGIN)
    lines = []
    for n in range(count):
        asked = n % (count - 7)  # the last questions are those of the first samples
        text = " ".join(f"{'W' if asked % 5 == 0 else 'w'}{(asked * k) % 13}" for k in range(1, 4 + asked % 3))
        row = {"id": f"s{n}", "prompt": f"{asked} {text}", "target": f"{n} {text}"}
        row |= {"tags": ["odd"] if n % 2 else [], "cluster": f"c{n // 2}" if n % 3 else None}
        lines.append(json.dumps(row))
    cli.write("long.jsonl", "\n".join(lines) + "\n")


def outcome(cli, workspace: str, *options: str):
    arguments = ("long.yaml", "--model", "echo:", "--system", "Repeat.", "-p", "plugin.py", "--workspace", workspace)
    assert cli("run", *arguments, *options) == 0, cli.err
    opened = Workspace.open(cli.folder / workspace)
    runs = list_runs(opened)
    records = [[untimed(record) for record in read_samples(opened, run.id)] for run in runs]
    opened.close()
    return runs, records


def untimed(record):
    """A reply that two windows share is timed in the first of them alone."""
    replies = tuple(
        (request, replace(reply, timing=None) if isinstance(reply, Completion | LogProb) else reply)
        for request, reply in record.replies
    )
    return replace(record, replies=replies)


@pytest.mark.parametrize("limit", [[], ["--limit", "200"]])
def test_the_size_of_the_windows_changes_nothing(cli, monkeypatch, limit):
    write(cli, 600)
    whole, expected = outcome(cli, "whole", *limit)
    assert [run.samples for run in whole] == [200 if limit else 600] * 2
    for requests, held in ((7, 0), (97, 10_000)):
        monkeypatch.setattr(programs, "BATCH_REQUESTS", requests)
        monkeypatch.setattr(sample_stream, "HELD", held)
        runs, records = outcome(cli, f"{requests}-{held}", *limit)
        assert records == expected
        for run, before in zip(runs, whole, strict=True):
            assert run.estimates == before.estimates
            assert run.checks == before.checks
            assert run.samples_fingerprint == before.samples_fingerprint
            assert run.model_calls == before.model_calls
            assert run.notes == before.notes


def test_long_texts_make_small_windows(cli, monkeypatch):
    write(cli, 200)
    _, expected = outcome(cli, "whole")
    sizes = []
    cut = programs.batches

    def watched(made):
        for lives in cut(made):
            sizes.append(len(lives))
            yield lives

    monkeypatch.setattr("harness.evaluation.arm.batches", watched)
    monkeypatch.setattr(programs, "BATCH_CHARACTERS", 500)
    _, records = outcome(cli, "short")
    assert records == expected
    assert max(sizes) < 40


def test_a_repeated_run_asks_nothing_in_any_window(cli, monkeypatch):
    write(cli, 400)
    monkeypatch.setattr(programs, "BATCH_REQUESTS", 50)
    outcome(cli, "here")
    runs, _ = outcome(cli, "here")
    assert [run.model_calls for run in runs][-1] == 0
    assert len(runs) == 3, "the baseline is not stored again, and its records are dropped"
    assert not [path for path in (cli.folder / "here" / "runs").iterdir() if path.name.startswith(".")]


def test_a_file_that_changes_while_it_is_used_breaks_the_run(cli, monkeypatch):
    write(cli, 400)
    monkeypatch.setattr(programs, "BATCH_REQUESTS", 50)
    monkeypatch.setattr(sample_stream, "HELD", 0)
    cli.write(
        "changing.py",
        "from harness import hookimpl\nfrom pathlib import Path\n"
        "@hookimpl\ndef run_started(spec):\n"
        '    path = Path(\'long.jsonl\')\n    path.write_text(path.read_text().replace(\'"id": "s300"\', \'"id": "x"\'))\n',
    )
    code = cli("run", "long.yaml", "--model", "echo:", "-p", "plugin.py", "-p", "changing.py")
    assert code == 3
    assert "the samples of long changed while they were in use: number 301, 's300', is now 'x'" in cli.err
    assert not list((cli.folder / ".harness" / "runs").iterdir())


def test_an_id_that_stands_twice_far_apart_is_found(cli):
    write(cli, 9000)
    with (cli.folder / "long.jsonl").open("a") as stream:
        stream.write('{"id": "s17", "prompt": "again", "target": "x"}\n')
    assert cli("run", "long.yaml", "--model", "echo:", "-p", "plugin.py") == 2
    assert "the id 's17' stands twice (samples 18 and 9001)" in cli.err


def test_a_kill_in_the_middle_leaves_the_workspace_whole(cli):
    """The first windows are on disk already when the process dies; nobody sees them, and they are swept."""
    write(cli, 4500)
    cli.write(
        "slow.py",
        "import time\nfrom harness import hookimpl\nfrom harness_models.echo import EchoModel\n"
        "class Slow(EchoModel):\n"
        "    def answer(self, candidate, requests, deliver):\n"
        "        if len(requests) < 4000:\n"
        "            open('reached', 'w').close()\n            time.sleep(60)\n"
        "        super().answer(candidate, requests, deliver)\n"
        "@hookimpl\ndef register_models(register):\n    register('slow', Slow)\n",
    )
    cli.write("long.yaml", SUITE.replace(CRITICS, "").replace(", {adherence: {constitution: manners}}", ""))
    command = ["run", "long.yaml", "--model", "slow:", "-p", "slow.py", "-p", "plugin.py"]
    process = subprocess.Popen([sys.executable, "-m", "harness.cli.main", *command], cwd=cli.folder)
    deadline = time.monotonic() + 240
    while not (cli.folder / "reached").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    runs = cli.folder / ".harness" / "runs"
    (unfinished,) = runs.iterdir()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (unfinished / "samples.parquet").stat().st_size > 100_000
    assert cli("runs", "list") == 0
    assert unfinished.name not in cli.out
    cli.write("slow.py", (cli.folder / "slow.py").read_text().replace("time.sleep(60)", "pass"))
    code, document = cli.json(*command)
    assert code == 0
    assert not unfinished.exists()
    run = document["runs"][0]["run"]
    assert run["model_calls"] < 1000, "what the first windows asked is known"
    assert sorted(path.name for path in runs.iterdir()) == sorted([run["id"], *run["baseline_runs"].values()])
    assert cli("ledger", "verify") == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_thousand_samples_take_little_memory():
    script = Path(__file__).parents[2] / "benchmarks" / "streaming.py"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), "--json"], capture_output=True, text=True, env=environment, check=True
    )
    rows = json.loads(done.stdout)["rows"]
    assert [(row["command"], row["samples"]) for row in rows] == [
        (command, samples) for samples in (1_000, 200_000) for command in ("run", "run again", "gate")
    ]
    assert {row["command"]: row["growth"] for row in rows if row["growth"] > 300_000_000} == {}
