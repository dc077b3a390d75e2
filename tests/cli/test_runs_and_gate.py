"""Stored runs: listed, shown, compared, removed, and their gates checked again without a model."""

from __future__ import annotations

import json

import pytest

from tests.cli.adapters import write_adapter
from tests.cli.conftest import SUITE

WIDE = """\
id: tiny
samples: {source: jsonl, path: tiny.jsonl}
ask: {max_new_tokens: 16}
measure: [exact_match, length, diversity, perplexity, latency]
gates:
  - {metric: exact_match, non_inferior: {to: promoted, margin: 0.2}}
  - {metric: exact_match, max_unscored: 0.1}
"""


@pytest.fixture
def pair(cli):
    """Two runs of one suite: the echo model, and one that answers the same to everything."""
    _, good = cli.json("run", "tiny.yaml", "--model", "echo:")
    _, bad = cli.json("run", "tiny.yaml", "--model", "echo:say 3")
    return cli, good["runs"][0]["run"]["id"], bad["runs"][0]["run"]["id"]


def test_list_and_show(pair):
    cli, good, bad = pair
    assert cli("runs", "list") == 0
    assert good in cli.out
    assert bad in cli.out
    _, listed = cli.json("runs", "list", "--suite", "tiny", "--last", "1")
    assert [run["id"] for run in listed["runs"]] == [bad]
    assert cli.json("runs", "list", "--suite", "other")[1] == {"runs": []}
    assert cli("runs", "show", good[:-3]) == 0
    assert "exact_match" in cli.out
    assert "✓ passed" in cli.out
    assert "python:" in cli.out
    _, shown = cli.json("runs", "show", "latest")
    assert (shown["id"], shown["status"]) == (bad, "failed")


def test_an_unreadable_run_is_a_warning_in_lists(pair):
    cli, good, bad = pair
    (cli.folder / ".harness" / "runs" / good / "run.json").write_text("{")
    assert cli("runs", "list") == 0
    assert bad in cli.out
    assert "run.json" in cli.err
    assert cli("runs", "show", good) == 2


def test_diff_shows_the_difference_and_what_flipped(pair):
    cli, good, bad = pair
    code, found = cli.json("runs", "diff", good, bad, "--flips", "5")
    assert code == 0
    (row,) = [row for row in found["metrics"] if row["metric"] == "exact_match"]
    assert row["difference"] == pytest.approx(-39 / 40)
    assert row["high"] < -0.8
    assert row["verdict"] == "worse"
    assert (len(found["flips"]), found["flips_in_all"]) == (5, 39)
    assert {flip["verdict"] for flip in found["flips"]} == {"worse"}
    assert "s3" not in {flip["sample"] for flip in found["flips"]}
    assert cli("runs", "diff", good, bad) == 0
    assert "39 changes, 39 for the worse; 20 shown" in cli.out
    assert "1 → 0" in cli.out
    _, back = cli.json("runs", "diff", bad, good)
    assert [row["verdict"] for row in back["metrics"]] == ["better"]


def test_one_change_is_one(cli):
    replies = [json.dumps({"prompt": f"say {n}", "response": f"say {n or 'no'}"}) for n in range(40)]
    cli.write("replies.jsonl", "\n".join(replies))
    cli.write("tiny.jsonl", "\n".join(json.dumps({"prompt": f"say {n}", "target": f"say {n}"}) for n in range(40)))
    runs = [
        cli.json("run", "tiny.yaml", "--model", model, "--no-gates")[1] for model in ("echo:", "replay:replies.jsonl")
    ]
    first, second = (run["runs"][0]["run"]["id"] for run in runs)
    assert cli("runs", "diff", first, second) == 0, cli.err
    assert "1 change, 1 for the worse" in cli.out


def test_worse_flips_come_first(cli):
    rows = [{"id": f"s{n}", "prompt": f"say {n % 2}", "target": "say 0"} for n in range(40)]
    cli.write("tiny.jsonl", "\n".join(map(json.dumps, rows)))
    cli("run", "tiny.yaml", "--model", "echo:")
    replies = [json.dumps({"prompt": f"say {n}", "response": f"say {1 - n}"}) for n in range(2)]
    cli.write("replies.jsonl", "\n".join(replies))
    cli("run", "tiny.yaml", "--model", "replay:replies.jsonl")
    _, listed = cli.json("runs", "list")
    _, found = cli.json("runs", "diff", *(run["id"] for run in listed["runs"]), "--flips", "40")
    assert [flip["verdict"] for flip in found["flips"]] == ["worse"] * 20 + ["better"] * 20


def test_diff_of_a_run_with_itself_is_nothing(pair):
    cli, good, _ = pair
    code, found = cli.json("runs", "diff", good, good)
    assert (code, found["flips"], found["metrics"][0]["difference"]) == (0, [], 0.0)
    assert found["metrics"][0]["verdict"] == "unclear"


def test_diff_refuses_other_samples_and_says_which(cli):
    cli.json("run", "tiny.yaml", "--model", "echo:")
    lines = (cli.folder / "tiny.jsonl").read_text().splitlines()
    cli.write("tiny.jsonl", "\n".join([*lines[:3], lines[3].replace('"say 3"', '"shout 3"'), *lines[4:]]))
    cli.json("run", "tiny.yaml", "--model", "echo:")
    _, listed = cli.json("runs", "list")
    first, second = (run["id"] for run in listed["runs"])
    assert cli("runs", "diff", first, second) == 2
    assert "1 samples have the same id but different content" in cli.err
    assert "(s3)" in cli.err
    cli.write("tiny.jsonl", "\n".join(lines[:30]))
    cli.json("run", "tiny.yaml", "--model", "echo:")
    assert cli("runs", "diff", first, "latest") == 2
    assert "s30" in cli.err


def test_every_kind_of_metric_is_compared_and_checked_again(cli):
    cli.write("tiny.yaml", WIDE)
    write_adapter(cli.folder / "one", 1.0)
    code, document = cli.json("run", "tiny.yaml", "--model", "echo:", "--adapter", "./one")
    run = document["runs"][0]["run"]
    assert code == 0, cli.err
    assert cli.json("gate", run["id"])[1]["checks"] == run["checks"]
    _, found = cli.json("runs", "diff", run["baseline_runs"]["promoted"], run["id"])
    kinds = {row["metric"]: row["difference"] for row in found["metrics"]}
    assert set(kinds) == {estimate["metric"] for estimate in run["estimates"]}
    assert kinds["exact_match"] == 0.0
    assert cli("runs", "diff", run["baseline_runs"]["promoted"], run["id"]) == 0


def test_gate_says_what_the_run_said(pair):
    cli, good, bad = pair
    _, shown = cli.json("runs", "show", good)
    code, again = cli.json("gate", good)
    assert (code, again["status"], again["exploratory"]) == (0, "passed", False)
    assert again["checks"] == shown["checks"]
    assert cli("gate", bad) == 1
    assert "✗ failed" in cli.out


def test_gate_needs_neither_the_suite_nor_its_data(pair):
    cli, good, _ = pair
    (cli.folder / "tiny.yaml").unlink()
    (cli.folder / "tiny.jsonl").unlink()
    assert cli("gate", good) == 0


def test_other_gates_are_exploratory(pair):
    cli, good, _ = pair
    cli.write("strict.yaml", SUITE.replace("min: 0.5", "min: 0.99"))
    code, found = cli.json("gate", good, "--suite", "strict.yaml")
    assert (code, found["exploratory"]) == (1, True)
    assert cli("gate", good, "--suite", "strict.yaml") == 1
    assert "exploratory" in cli.out
    cli.write("harness.yaml", "policies: {p: {suites: [{suite: tiny.yaml, gates: [{metric: exact_match, min: 0.1}]}]}}")
    assert cli.json("gate", good, "--policy", "p")[1]["checks"][0]["gate"]["limit"] == 0.1


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ("{metric: exact_macht, min: 0.1}", "did you mean 'exact_match'"),
        ("{metric: exact_match, superior: {to: base}}", "compared with nothing, not with 'base'"),
    ],
)
def test_gates_that_the_run_cannot_answer(pair, gate, words):
    cli, good, _ = pair
    cli.write("other.yaml", SUITE.replace("{metric: exact_match, min: 0.5}", gate))
    assert cli("gate", good, "--suite", "other.yaml") == 2
    assert words in cli.err


def test_gate_uses_the_baseline_that_the_run_names(cli):
    cli.write("tiny.yaml", SUITE.replace("min: 0.5", "non_inferior: {to: base, margin: 0.2}"))
    write_adapter(cli.folder / "one", 1.0)
    code, document = cli.json("run", "tiny.yaml", "--model", "echo:", "--adapter", "./one")
    run = document["runs"][0]["run"]
    assert cli.json("gate", run["id"]) == (code, {
        "run": run["id"], "status": document["runs"][0]["status"], "exploratory": False, "checks": run["checks"],
        "notes": [],
    })  # fmt: skip
    assert cli("runs", "rm", run["baseline_runs"]["base"]) == 0
    assert cli("gate", run["id"]) == 2
    assert "no run is called" in cli.err


def test_a_candidate_that_was_its_own_baseline_is_checked_against_itself(cli):
    cli.write("tiny.yaml", SUITE.replace("min: 0.5", "superior: {to: base}"))
    _, document = cli.json("run", "tiny.yaml", "--model", "echo:")
    run = document["runs"][0]["run"]
    code, found = cli.json("gate", run["id"])
    assert (code, found["checks"]) == (1, run["checks"])


def test_a_changed_run_is_not_judged(pair):
    cli, good, _ = pair
    path = cli.folder / ".harness" / "runs" / good / "suite.yaml"
    path.write_text(path.read_text().replace("min: 0.5", "min: 0.1"))
    assert cli("gate", good) == 3
    assert "suite.yaml: is not what it was" in cli.err
    assert cli("runs", "diff", good, good) == 3


def test_runs_are_removed(pair):
    cli, good, bad = pair
    assert cli("runs", "rm", good, bad) == 0
    assert cli.json("runs", "list")[1] == {"runs": []}
    assert cli("runs", "rm", good) == 2


def test_nothing_is_removed_when_one_name_is_wrong(pair):
    cli, good, _ = pair
    assert cli("runs", "rm", good, "nonsense") == 2
    assert len(cli.json("runs", "list")[1]["runs"]) == 2


@pytest.mark.parametrize("name", ["../../etc", "..", "/etc/passwd", "../adapters"])
@pytest.mark.parametrize("command", [["runs", "show"], ["runs", "rm"], ["gate"]])
def test_names_never_leave_the_workspace(pair, command, name):
    cli, _, _ = pair
    assert cli(*command, name) == 2
    assert "no run is called" in cli.err


def test_diff_says_what_only_one_run_measures_and_what_else_differs(cli):
    assert cli("run", "tiny.yaml", "--model", "echo:") == 0
    suite = (cli.folder / "tiny.yaml").read_text()
    cli.write("tiny.yaml", suite.replace("[exact_match]", "[exact_match, number_match]"))
    assert cli("run", "tiny.yaml", "--model", "echo:wrong", "--system", "Be brief.") == 1
    _, listed = cli.json("runs", "list")
    first, second = (run["id"] for run in listed["runs"])
    code, found = cli.json("runs", "diff", first, second)
    assert code == 0
    assert [row["metric"] for row in found["metrics"]] == ["exact_match"]
    assert "only the second run measures number_match" in found["notes"]
    assert "they had different system prompts" in found["notes"]
    assert {flip["verdict"] for flip in found["flips"]} == {"worse"}


CONSTITUTION = """\
id: {name}
version: 1
principles:
  - {{id: kind, weight: 1.0, text: Be kind., critics: [rules], threshold: 0.5}}
"""


def test_diff_works_across_constitutions_and_names_them(cli):
    for name in ("mild", "strict"):
        cli.write(f"{name}.yaml", CONSTITUTION.format(name=name))
    rule = {"mild": "never said", "strict": "say 1"}
    for name in ("mild", "strict"):
        cli.write("tiny.yaml", f"id: tiny\nsamples: {{source: jsonl, path: tiny.jsonl}}\n"
                  f"critics: {{rules: {{must_not: ['{rule[name]}']}}}}\n"
                  f"measure: [exact_match, {{adherence: {{constitution: ./{name}.yaml}}}}]\n")  # fmt: skip
        assert cli("run", "tiny.yaml", "--model", "echo:") == 0, cli.err
    _, listed = cli.json("runs", "list")
    code, found = cli.json("runs", "diff", *(run["id"] for run in listed["runs"]))
    assert code == 0, cli.err
    by_metric = {row["metric"]: row for row in found["metrics"]}
    assert by_metric["adherence.kind"]["difference"] == pytest.approx(-11 / 40)
    assert by_metric["adherence.kind"]["verdict"] == "worse"
    assert any(note.startswith("they were judged by mild (") and "strict (" in note for note in found["notes"])
    assert {flip["sample"] for flip in found["flips"] if flip["metric"] == "adherence.kind"} == {
        "s1", *(f"s{n}" for n in range(10, 20))
    }  # fmt: skip
