"""harness run with the echo model: exit codes, tables, JSON, repeats, baselines and bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from tests.cli.conftest import SUITE


def test_a_passing_run_prints_its_gate_and_keeps_a_folder(cli):
    assert cli("run", "tiny.yaml", "--model", "echo:") == 0
    assert "exact_match ≥ 50 %" in cli.out
    assert "✓ passed" in cli.out
    (folder,) = (cli.folder / ".harness" / "runs").iterdir()
    assert {path.name for path in folder.iterdir()} == {
        "run.json",
        "samples.parquet",
        "suite.yaml",
        "constitutions.json",
    }
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def test_a_failing_gate_is_exit_code_1(cli):
    cli.rows(40, target="something else")
    assert cli("run", "tiny.yaml", "--model", "echo:") == 1
    assert "✗ failed" in cli.out


def test_an_undecided_gate_is_exit_code_1_and_says_what_would_decide(cli):
    lines = [
        json.dumps({"id": f"s{n}", "prompt": f"say {n}", "target": f"say {n}" if n % 2 else "no"}) for n in range(40)
    ]
    cli.write("tiny.jsonl", "\n".join(lines))
    assert cli("run", "tiny.yaml", "--model", "echo:") == 1
    assert "? inconclusive" in cli.out


def test_json_is_one_document_with_everything(cli):
    code, document = cli.json("run", "tiny.yaml", "--model", "echo:")
    assert code == 0
    (one,) = document["runs"]
    assert one["status"] == "passed"
    (estimate,) = one["run"]["estimates"]
    assert (estimate["value"], estimate["n"], estimate["method"]) == (1.0, 40, "Clopper–Pearson")
    assert one["run"]["environment"]["python"]


def test_a_repeated_run_asks_the_model_nothing(cli):
    _, first = cli.json("run", "tiny.yaml", "--model", "echo:")
    _, second = cli.json("run", "tiny.yaml", "--model", "echo:")
    assert first["runs"][0]["run"]["model_calls"] == 40
    assert second["runs"][0]["run"]["model_calls"] == 0
    assert first["runs"][0]["run"]["estimates"] == second["runs"][0]["run"]["estimates"]


def test_a_limit_takes_a_subset_and_the_run_says_so(cli):
    cli.write("tiny.yaml", SUITE.replace("min: 0.5", "min: 0.1"))
    _, document = cli.json("run", "tiny.yaml", "--model", "echo:", "--limit", "25")
    assert document["runs"][0]["run"]["samples"] == 25
    assert any("subset of 25" in note for note in document["runs"][0]["run"]["notes"])


def test_a_dry_run_counts_and_asks_nothing(cli):
    code, document = cli.json("run", "tiny.yaml", "--model", "echo:", "--dry-run")
    assert code == 0
    (row,) = document["forecast"]
    assert (row["samples"], row["generate"], row["known"]) == (40, 40, 0)
    assert not list((cli.folder / ".harness" / "runs").iterdir())


def test_a_baseline_is_run_once_and_compared(cli):
    cli.write("tiny.yaml", SUITE.replace("min: 0.5", "non_inferior: {to: base, margin: 0.2}"))
    _, document = cli.json("run", "tiny.yaml", "--model", "echo:", "--system", "Be brief.")
    (one,) = document["runs"]
    assert one["run"]["checks"][0]["status"] == "passed"
    assert "promoted" not in one["baselines"]
    assert "base" in one["baselines"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "Missing argument"),
        (["rnu"], "did you mean 'run'?"),
        (["run", "safety-cor"], "no suite is called 'safety-cor'; did you mean 'safety-core'?"),
        (["run", "gone.yaml"], "gone.yaml: no such suite file"),
        (["run", "tiny.yaml", "--model", "smollm-135m"], "smollm2-135m"),
        (["run", "tiny.yaml", "--model", "echo:", "--adapter", "./gone"], "no such adapter folder"),
        (["run", "tiny.yaml", "--model", "echo:", "--limit", "0"], "--limit"),
        (["run", "tiny.yaml", "--model", "echo:", "--limit", "3"], "could not pass even with perfect data"),
        (["run", "tiny.yaml", "--model", "echo:", "--data", "gone.jsonl"], "gone.jsonl: no such"),
        (["run", "tiny.yaml", "--model", "echo:", "-p", "gone.py"], "gone.py: no such plugin file"),
        (["run", "tiny.yaml", "--model", "echo:", "--principle", "be_kindd"], "be_kindd"),
        (["run", "tiny.yaml", "--model", "echo:", "--template", "gone.jinja"], "gone.jinja: no such chat template"),
        (["list", "suits"], "suits"),
        (["show", "suite", "tinyy"], "tinyy"),
    ],
)
def test_bad_arguments_get_one_sentence_and_exit_code_2(cli, arguments, message):
    assert cli(*arguments) == 2
    assert message in " ".join(cli.err.split())
    assert "Traceback" not in cli.err + cli.out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tiny.yaml", SUITE.replace("ask:", "aks:"), "tiny.yaml:4: aks: unknown key; did you mean 'ask'?"),
        ("tiny.yaml", SUITE.replace("[exact_match]", "[exact_mtch]"), "tiny.yaml:5: measure[0]: no metric is called 'exact_mtch'; did you mean 'exact_match'?"),
        ("tiny.yaml", SUITE.replace("metric: exact_match", "metric: exact"), "tiny.yaml:7: gates[0].metric: no measured metric is called 'exact'; did you mean 'exact_match'?"),
        ("tiny.yaml", SUITE.replace("source: jsonl", "source: jsnl"), "tiny.yaml:3: samples.source: no source is called 'jsnl'; did you mean 'jsonl'?"),
        ("tiny.yaml", SUITE.replace("min: 0.5", "min: high"), "tiny.yaml:7: gates[0].min"),
        ("tiny.yaml", "id: tiny\nabout: \xe9\n".encode("latin-1"), "tiny.yaml:2: byte 0xe9 is not UTF-8"),
        ("tiny.jsonl", "", "tiny.jsonl: the suite tiny has no samples"),
        ("tiny.jsonl", '{"id": "a", "prompt": "x"}\n{"id": "a", "prompt": "y"}\n', "the id 'a' stands twice"),
        ("tiny.jsonl", '{"id": "a", "prompt": "x"}\n{"id": "b", "prompt": \n', "tiny.jsonl:2: "),
        ("tiny.jsonl", '{"id": "a", "promt": "x"}\n', "tiny.jsonl:1: promt: unknown key; did you mean 'prompt'?"),
        ("tiny.jsonl", b'{"id": "a", "prompt": "x"}\n{"id": "b", "prompt": "\xff"}\n', "tiny.jsonl:2: "),
        ("harness.yaml", "modle: x\n", "harness.yaml:1: modle: unknown key; did you mean 'model'?"),
    ],
)  # fmt: skip
def test_bad_files_are_named_with_line_and_key(cli, name, content, message):
    cli.write(name, content)
    assert cli("run", "tiny.yaml", "--model", "echo:") == 2
    assert message in " ".join(cli.err.split())
    assert not list((cli.folder / ".harness" / "runs").glob("*")) if (cli.folder / ".harness").exists() else True


def test_a_broken_plugin_stops_a_run_and_costs_a_listing_a_warning(cli):
    cli.write("bad.py", "import nonexistent_thing\n")
    assert cli("run", "tiny.yaml", "--model", "echo:", "-p", "bad.py") == 2
    assert "-p no:bad" in cli.err
    assert cli("list", "suites", "-p", "bad.py") == 0
    assert "warning: the plugin bad is broken" in cli.err
    assert cli("run", "tiny.yaml", "--model", "echo:", "-p", "bad.py", "-p", "no:bad") == 0


def test_a_dropped_in_principle_is_judged(cli):
    cli.write(
        "kind.py",
        "from harness import hookimpl, Principle\n"
        "@hookimpl\ndef register_principles(register):\n"
        "    register(Principle(id='be_kind', text='Be kind.', critics=('judge',)))\n",
    )
    _, document = cli.json("run", "tiny.yaml", "--model", "echo:", "-p", "kind.py", "--principle", "be_kind")
    names = [estimate["metric"] for estimate in document["runs"][0]["run"]["estimates"]]
    assert "adherence.be_kind" in names
    assert any("bare base" in note for note in document["runs"][0]["run"]["notes"])


def test_a_second_process_in_the_workspace_is_told_who_holds_it(cli, monkeypatch):
    monkeypatch.setattr("harness.store.lock.PATIENCE", 0.2)
    holder = subprocess.Popen(
        [sys.executable, "-c",
         "import sys, pathlib\nfrom harness.store.workspace import Workspace\n"
         "ws = Workspace.open(pathlib.Path('.harness').resolve(), create=True)\n"
         "with ws.lock('harness train'):\n    print('held', flush=True)\n    sys.stdin.read()\n"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=cli.folder,
    )  # fmt: skip
    try:
        assert holder.stdout.readline() == "held\n"
        assert cli("run", "tiny.yaml", "--model", "echo:") == 2
        assert str(holder.pid) in cli.err
        assert "harness train" in cli.err
    finally:
        holder.communicate("")
    assert cli("run", "tiny.yaml", "--model", "echo:") == 0


def test_observers_see_the_run(cli):
    cli.write(
        "watch.py",
        "import pathlib\nfrom harness import hookimpl\n"
        "@hookimpl\ndef run_started(spec):\n    pathlib.Path('log').write_text('started ' + spec.suites[0] + '\\n')\n"
        "@hookimpl\ndef sample_finished(record):\n    open('log', 'a').write(record.sample.id + '\\n')\n"
        "@hookimpl\ndef run_finished(run, folder):\n    open('log', 'a').write(f'finished {(folder / \"run.json\").exists()}\\n')\n",
    )
    assert cli("run", "tiny.yaml", "--model", "echo:", "-p", "watch.py") == 0
    lines = (cli.folder / "log").read_text().splitlines()
    assert lines[0] == "started tiny.yaml"
    assert lines[1:-1] == [f"s{n}" for n in range(40)]
    assert lines[-1] == "finished True"


def test_ctrl_c_leaves_the_workspace_whole_and_the_next_run_goes_on(cli):
    cli.write(
        "slow.py",
        "import time\nfrom harness import hookimpl\n"
        "from harness_models.echo import EchoModel\n"
        "class Slow(EchoModel):\n"
        "    def answer(self, candidate, requests, deliver):\n"
        "        for index, request in enumerate(requests):\n"
        "            super().answer(candidate, [request], lambda _, reply, index=index: deliver(index, reply))\n"
        "            open('answered', 'a').write('.')\n"
        "            time.sleep(0.15)\n"
        "@hookimpl\ndef register_models(register):\n    register('slow', Slow)\n",
    )
    command = [sys.executable, "-m", "harness.cli.main", "run", "tiny.yaml", "--model", "slow:", "-p", "slow.py"]
    process = subprocess.Popen(command, cwd=cli.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while not (cli.folder / "answered").exists() or len((cli.folder / "answered").read_text()) < 12:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(2)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not [path for path in (cli.folder / ".harness" / "runs").iterdir() if not path.name.startswith(".")]
    _, document = cli.json("run", "tiny.yaml", "--model", "slow:", "-p", "slow.py")
    assert document["runs"][0]["run"]["model_calls"] < 40
    assert cli("ledger", "verify") == 0


def test_a_closed_pipe_is_no_error(cli):
    command = f"{sys.executable} -m harness.cli.main list | head -1"
    done = subprocess.run(
        command, shell=True, cwd=cli.folder, capture_output=True, text=True, env={**os.environ}, check=False
    )
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


PLUGIN_THAT_EXITS = """\
import sys
from harness import hookimpl
@hookimpl
def run_started(spec):
    sys.exit(0)
"""
METRIC_THAT_EXITS = """\
from harness import hookimpl
from harness.contracts import Metric
class Stop(Metric):
    name, kind, direction, about = "stop", "proportion", "higher", "ends the process"
    def requests(self, sample, ask):
        return ()
    def observe(self, sample, replies, findings, verdicts):
        raise SystemExit(0)
@hookimpl
def register_metrics(register):
    register("stop", lambda options, constitutions: (Stop(),))
"""


def test_a_plugin_that_exits_is_never_taken_for_gates_that_passed(cli):
    cli.write("leaving.py", "import sys\nsys.exit(0)\n")
    assert cli("run", "tiny.yaml", "--model", "echo:", "-p", "leaving.py") == 2
    assert "the plugin leaving is broken: SystemExit: 0" in cli.err
    assert cli("-p", "leaving.py", "list", "suites") == 0
    cli.write("late.py", PLUGIN_THAT_EXITS)
    assert cli("run", "tiny.yaml", "--model", "echo:", "-p", "late.py") == 0
    assert "warning: plugin late failed in run_started" in cli.err
    cli.write("metric.py", METRIC_THAT_EXITS)
    cli.write("tiny.yaml", (cli.folder / "tiny.yaml").read_text().replace("[exact_match]", "[exact_match, stop]"))
    assert cli("run", "tiny.yaml", "--model", "echo:", "-p", "metric.py") == 3


def test_a_name_too_long_for_a_file_is_an_input_error(cli):
    name = "a" * 300
    for arguments in (
        ("tiny.yaml", "--model", name),
        ("tiny.yaml", "--model", "echo:", "--adapter", name),
        (f"{name}.yaml", "--model", "echo:"),
        ("tiny.yaml", "--model", "echo:", "--workspace", name),
    ):
        assert cli("run", *arguments) == 2
        assert "check the path" in cli.err
        assert "defect" not in cli.err


def test_an_argument_that_is_not_utf_8_is_an_input_error(cli):
    assert cli("run", "tiny.yaml", "--model", "echo:\udcff") == 2
    assert "is not UTF-8" in cli.err
    assert cli("run", "tiny.yaml", "--model", "echo:", "--system", "\udcff") == 2


def test_the_suite_is_kept_as_it_was_read_and_not_as_it_became(cli):
    cli.write(
        "editor.py",
        "from pathlib import Path\nfrom harness import hookimpl\n@hookimpl\ndef run_started(spec):\n"
        "    Path('tiny.yaml').write_text('changed: while it ran')\n",
    )
    before = (cli.folder / "tiny.yaml").read_text()
    assert cli("run", "tiny.yaml", "--model", "echo:", "-p", "editor.py") == 0
    (stored,) = cli.folder.glob(".harness/runs/*/suite.yaml")
    assert stored.read_text() == before


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_generator_takes_is_refused(cli, seed):
    for command in (("run", "tiny.yaml"), ("decide",), ("train", "persona")):
        assert cli(*command, "--seed", seed) == 2
        assert f"must be a whole number from 0 to 4294967295, not {seed}" in cli.err


def test_a_terminal_that_lacks_a_character_costs_no_run(cli):
    code = "from harness.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "tiny.yaml", "--model", "echo:"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"passed" in done.stdout


def test_a_run_without_gates_has_passed_nothing(cli):
    cli.write("tiny.yaml", SUITE.split("gates:")[0])
    code, document = cli.json("run", "tiny.yaml", "--model", "echo:")
    assert code == 0
    assert document["runs"][0]["status"] == "ungated"
    _, listed = cli.json("runs", "list")
    assert [run["status"] for run in listed["runs"]] == ["ungated"]


def test_a_few_samples_can_be_looked_at_without_gates(cli):
    assert cli("run", "tiny.yaml", "--model", "echo:", "--limit", "3") == 2
    assert "--no-gates" in cli.err
    code, document = cli.json("run", "tiny.yaml", "--model", "echo:", "--limit", "3", "--no-gates")
    assert code == 0
    assert document["runs"][0]["status"] == "ungated"
    assert document["runs"][0]["run"]["samples"] == 3
