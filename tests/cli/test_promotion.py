"""From decide to promote, status, history and rollback, as a person types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.adapters import write_adapter

CONFIG = """\
model: "echo:"
policy: mine
policies:
  mine:
    suites: [tiny.yaml]
  harder:
    suites:
      - {suite: tiny.yaml, gates: [{metric: exact_match, superior: {to: promoted}}]}
  empty:
    suites: [no-gates.yaml]
"""
HOLD = """\
import time
from harness.store.workspace import Workspace
with Workspace.open(".harness").lock("harness train persona"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def home(cli):
    """A folder with policies and two adapters, of which the echo model only minds the ids."""
    cli.write("harness.yaml", CONFIG)
    for name, weight in (("one", 1.0), ("two", 2.0)):
        write_adapter(cli.folder / name, weight)
    return cli


def test_the_whole_way(home):
    assert home("decide", "--adapter", "./one") == 0, home.err
    assert "may be promoted: the one gate of the policy mine passed" in home.out
    assert "next: harness promote" in home.out
    assert home("promote", "latest") == 0, home.err
    assert "promoted echo: + ./one (" in home.out
    assert "--head" in home.out
    assert home("status") == 0
    assert "echo: + ./one (" in home.out
    assert "by decision" in home.out
    _, first = home.json("status")
    alias = json.loads(Path(first["alias"]).read_text())
    assert alias["head"] == first["entry"]["hash"]
    assert alias["adapters"] == [
        str(home.folder / ".harness" / "artifacts" / "adapter" / Path(alias["adapters"][0]).name)
    ]

    assert home("decide", "--adapter", "./two") == 0, home.err
    assert "echo: + ./one" in home.out
    assert home("promote", "latest") == 0
    assert home("rollback", "--reason", "too terse") == 0, home.err
    assert "rolled back to echo: + ./one (" in home.out
    assert home("rollback") == 0, home.err
    assert "nothing was changed: rolled back already to echo: + ./one (" in home.out
    assert "to go further back: harness rollback --from" in home.out
    assert home("history") == 0
    assert [line.split()[3] for line in home.out.splitlines() if "UTC" in line] == ["UTC"] * 3
    assert "too terse" in home.out
    assert home("history", "--decisions") == 0
    assert home.out.count("may be promoted") == 2
    assert home("ledger", "verify", "--head", first["entry"]["hash"][:16]) == 0
    assert home("rollback", "--to", "base") == 0
    assert "the bare base" in home.out


def test_decide_uses_what_is_stored(home):
    _, first = home.json("decide", "--adapter", "./one")
    code, second = home.json("decide", "--adapter", "./one")
    assert code == 0
    assert (first["reused_runs"], second["reused_runs"]) == (0, 1)
    assert second["decision"]["runs"] == first["decision"]["runs"]
    assert second["decision"]["id"] != first["decision"]["id"]
    _, third = home.json("decide", "--adapter", "./one", "--fresh")
    assert third["reused_runs"] == 0
    home.rows(41)
    _, fourth = home.json("decide", "--adapter", "./one")
    assert fourth["reused_runs"] == 0
    _, fifth = home.json("decide", "--adapter", "./one", "--policy", "harder")
    assert fifth["reused_runs"] == 0


def test_decide_uses_no_run_against_another_baseline(home):
    home("decide", "--adapter", "./one")
    home("promote", "latest")
    home("decide", "--adapter", "./two")
    home("rollback")
    _, again = home.json("decide", "--adapter", "./two")
    assert again["reused_runs"] == 0
    assert again["decision"]["baseline"]["adapters"] == []
    assert home("promote", "latest") == 0


def test_a_refused_decision_is_kept_and_cannot_be_promoted(home):
    assert home("decide", "--adapter", "./one", "--policy", "harder") == 1
    assert (
        "may not be promoted under the policy harder at attempt 1 (level 0.0304): the one gate is inconclusive (tiny exact_match)"
        in home.out
    )
    assert home("promote", "latest") == 1
    assert home.err.startswith("error: the decision ")
    assert "may not be promoted" in home.err
    assert home("status") == 0
    assert "nothing yet: the bare base" in home.out
    assert "may not be promoted" in home.out


def test_an_unknown_decision_or_run_is_answered_with_the_newest(home):
    for name in ("one", "two"):
        home("decide", "--adapter", f"./{name}")
    _, listed = home.json("history", "--decisions")
    one, two = (entry["body"]["decision"] for entry in listed["history"])
    assert home("promote", "zzz") == 2
    assert f"'zzz'; the newest: {two}, {one}; see: harness history --decisions" in home.err
    ids = sorted((run["id"] for run in home.json("runs", "list")[1]["runs"]), reverse=True)
    assert home("runs", "show", "zzz") == 2
    assert f"'zzz'; the newest: {', '.join(ids[:3])}; see: harness runs list" in home.err


def test_a_stale_decision_is_an_input_error(home):
    home("decide", "--adapter", "./one")
    home("decide", "--adapter", "./two")
    _, listed = home.json("history", "--decisions")
    one, two = (entry["body"]["decision"] for entry in listed["history"])
    assert home("promote", one) == 0
    assert home("promote", two) == 2
    assert "decide again" in home.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["decide"], "is the bare base"),
        (["decide", "--adapter", "./three"], "no such adapter folder"),
        (["decide", "--adapter", "./one", "--policy", "mien"], "did you mean 'mine'"),
        (["promote", "abc"], "no decision is called 'abc'; there are none yet; make one with: harness decide"),
        (["promote", "../../etc/passwd"], "no decision is called"),
        (["promote", "latest"], "there are no decisions yet"),
        (["rollback"], "nothing was ever promoted"),
        (["ledger", "verify", "--head", "xyz"], "is not a head"),
        (["decide", "--adapter", "./one", "--policy", "empty"], "has no gates"),
    ],
)
def test_bad_input_is_one_sentence(home, arguments, words):
    home.write("no-gates.yaml", (home.folder / "tiny.yaml").read_text().split("gates:")[0])
    home("run", "tiny.yaml")
    assert home(*arguments) == 2, home.out + home.err
    assert words in home.err
    assert "Traceback" not in home.err
    assert len(home.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "command", ["promote x", "rollback", "status", "history", "runs list", "gate x", "ledger verify"]
)
def test_without_a_workspace_the_next_step_is_named(cli, command):
    assert cli(*command.split()) == 2
    assert "harness init" in cli.err
    assert not (cli.folder / ".harness").exists()


@pytest.mark.parametrize(
    "command",
    ["decide", "promote", "rollback", "status", "history", "runs list", "runs show", "runs diff", "runs rm", "gate",
     "ledger verify", "ledger export"],
)  # fmt: skip
def test_help_has_examples(cli, command):
    assert cli(*command.split(), "--help") == 0
    assert "Examples:" in cli.out
    assert f"harness {command}" in cli.out


def test_a_changed_run_is_exit_code_3(home):
    home("decide", "--adapter", "./one")
    for path in (home.folder / ".harness" / "runs").glob("*/samples.parquet"):
        path.write_bytes(b"x")
    assert home("promote", "latest") == 3
    assert "samples.parquet: is not what it was" in home.err


def test_a_plugins_veto_is_shown_and_blocks(home):
    home.write(
        "guard.py",
        "from harness import hookimpl\n\n@hookimpl\ndef veto_promotion(run, baseline):\n    return 'not on a Friday'\n",
    )
    assert home("decide", "--adapter", "./one", "-p", "guard.py") == 1
    assert "veto by guard: not on a Friday" in home.out
    assert home("decide", "--adapter", "./one") == 0
    assert home("promote", "latest", "-p", "guard.py") == 1
    assert "vetoed by guard: not on a Friday" in home.err


def test_broken_plugins_stop_decisions_but_not_status(home):
    home.write("bad.py", "raise RuntimeError('oops')\n")
    home("decide", "--adapter", "./one")
    assert home("decide", "--adapter", "./two", "-p", "bad.py") == 2
    assert "no:bad" in home.err
    assert home("promote", "latest", "-p", "bad.py") == 2
    assert home("status", "-p", "bad.py") == 0


def test_a_second_process_is_told(home, monkeypatch):
    monkeypatch.setattr("harness.store.lock.PATIENCE", 0.2)
    home("decide", "--adapter", "./one")
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        assert home("promote", "latest") == 2
        assert f"process {process.pid} (harness train persona, since" in home.err
        assert home("status") == 0
        assert home("runs", "list") == 0
        process.kill()


def test_export_is_the_whole_chain(home):
    home("decide", "--adapter", "./one")
    home("promote", "latest")
    assert home("ledger", "export") == 0
    lines = [json.loads(line) for line in home.out.splitlines()]
    kinds = [line["kind"] for line in lines[:-1]]
    declared = kinds.count("policy")
    assert kinds == ["policy"] * declared + ["attempt", "run", "run", "decision", "promotion"]
    assert {line["body"]["policy"] for line in lines[:declared]} >= {"mine", "harder", "demo"}
    assert lines[-1] == {"entries": declared + 5, "head": lines[-2]["hash"]}
    assert home("ledger", "export", "-o", "ledger.jsonl") == 0
    assert (home.folder / "ledger.jsonl").read_text().splitlines()[0] == json.dumps(lines[0])
    _, verified = home.json("ledger", "verify")
    assert verified == {"whole": True, "entries": declared + 5, "head": lines[-1]["head"], "problems": []}


@pytest.mark.parametrize(
    ("suites", "where", "words"),
    [("[tiny.yaml, {suite: tiny.yaml}]", "decide", "the suite 'tiny.yaml' stands twice"),
     ("[tiny.yaml, ./tiny.yaml]", "promote", "1 runs for the 2 suites")],
)  # fmt: skip
def test_a_policy_that_names_a_suite_twice_is_told(home, suites, where, words):
    home.write("harness.yaml", f'model: "echo:"\npolicy: mine\npolicies:\n  mine: {{suites: {suites}}}\n')
    home("decide", "--adapter", "./one")
    decided = home("decide", "--adapter", "./one")  # both take the newest stored run
    assert (decided if where == "decide" else home("promote", "latest")) == 2
    assert words in home.err


@pytest.mark.parametrize("name", ["ledger.db", "adapters/promoted", "new.jsonl"])
def test_an_export_never_overwrites_what_the_workspace_keeps(home, name):
    home("decide", "--adapter", "./one")
    home("promote", "latest")
    assert home("ledger", "export", "-o", f".harness/{name}") == 2
    assert "lies in the workspace" in home.err
    assert home("ledger", "verify") == 0


def test_terminal_codes_in_names_are_not_obeyed(home):
    assert home("decide", "--adapter", "./one", "--system", "x") == 0
    assert home("promote", "latest") == 0
    assert home("rollback", "--reason", "\x1b[2Jgone [bold]markup[/bold]") == 0
    assert home("history") == 0
    assert "\x1b[2J" not in home.out
    assert "[bold]markup[/bold]" in home.out


def test_decide_uses_no_run_of_another_limit(home):
    assert home("run", "tiny.yaml", "--adapter", "./one", "--baseline", "promoted", "--limit", "4000") == 0, home.err
    code, found = home.json("decide", "--adapter", "./one")
    assert (code, found["reused_runs"]) == (0, 0)


def test_decide_uses_no_run_of_another_version_of_a_plugin(home):
    home.write("extra.py", "VERSION = 1\n")
    home.json("decide", "--adapter", "./one", "-p", "extra.py")
    _, same = home.json("decide", "--adapter", "./one", "-p", "extra.py")
    home.write("extra.py", "VERSION = 2\n")
    _, other = home.json("decide", "--adapter", "./one", "-p", "extra.py")
    assert (same["reused_runs"], other["reused_runs"]) == (1, 0)


@pytest.mark.parametrize("name", ["run.json", "samples.parquet", "suite.yaml"])
def test_a_damaged_run_is_not_built_upon_and_blocks_nothing(home, name):
    _, first = home.json("decide", "--adapter", "./one")
    for run in (home.folder / ".harness" / "runs").iterdir():
        (run / name).write_text("garbage")
    code, second = home.json("decide", "--adapter", "./one")
    assert (code, second["reused_runs"]) == (0, 0)
    assert not set(second["decision"]["baseline_runs"]) & set(first["decision"]["baseline_runs"])
    assert home("promote", second["decision"]["id"]) == 0, home.err


def test_a_promoted_adapter_that_was_edited_in_place_is_not_compared_with(home):
    home("decide", "--adapter", "./one")
    home("promote", "latest")
    (kept,) = (path for path in (home.folder / ".harness" / "artifacts" / "adapter").iterdir() if path.is_dir())
    write_adapter(kept, 9.0)
    assert home("decide", "--adapter", "./two") == 3
    assert "has changed since it was stored" in home.err
    assert home("run", "tiny.yaml", "--adapter", "./two", "--baseline", "promoted") == 3


def test_a_decision_against_a_promoted_system_prompt_is_stale_on_the_bare_base(home):
    home("decide", "--system", "Be brief.")
    assert home("promote", "latest") == 0, home.err
    home("decide", "--adapter", "./one")
    home("rollback")
    assert home("promote", "latest") == 2
    assert "what is promoted is the bare base" in home.err


def test_decide_uses_what_is_stored_of_a_candidate_that_is_its_own_baseline(home):
    home.write("harness.yaml", CONFIG + "  base:\n    suites:\n      - {suite: tiny.yaml, gates: [{metric: exact_match,"
               " non_inferior: {to: base, margin: 0.2}}]}\n")  # fmt: skip
    assert home("decide", "--adapter", "./one") == 0
    assert home("promote", "latest") == 0
    _, first = home.json("decide", "--policy", "base")
    _, second = home.json("decide", "--policy", "base")
    assert (first["reused_runs"], second["reused_runs"]) == (0, 1)
    assert second["decision"]["checks"] == first["decision"]["checks"]
    assert home("decide", "--policy", "base") == 0
    assert "the candidate is itself `base`: comparisons with that say nothing" in home.out


def test_a_run_keeps_an_adapters_name_when_something_else_is_promoted(home):
    assert home("decide", "--adapter", "./one") == 0
    assert home("promote", "latest") == 0
    assert home("run", "tiny.yaml", "--adapter", "promoted") == 0
    head = home.out.splitlines()[1]
    assert "promoted" not in head
    assert len(head.rpartition("+ ")[2]) == 16


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("suites: [tiny.yaml]", "alpha: 0.1\n    suites: [tiny.yaml]"),
            "the policy mine has changed since the decision",
        ),
        (("  mine:\n    suites: [tiny.yaml]\n", ""), "no policy is called 'mine'"),
    ],
)
def test_a_decision_under_a_policy_that_has_changed_is_stale(home, change, words):
    assert home("decide", "--adapter", "./one") == 0, home.err
    home.write("harness.yaml", CONFIG.replace(*change))
    assert home("promote", "latest") == 2
    assert words in home.err
    home.write("harness.yaml", CONFIG)
    assert home("promote", "latest") == 0, home.err
