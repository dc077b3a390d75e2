"""`harness run --dry-run`: what would be asked, what it would take, and nothing for what is known."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import SUITE

MIXED = """\
id: tiny
samples: {source: jsonl, path: tiny.jsonl}
ask: {max_new_tokens: 10}
measure: [accuracy, exact_match]
gates:
  - {metric: accuracy, non_inferior: {to: base, margin: 0.5}}
"""


@pytest.fixture
def mixed(cli, tiny_base, monkeypatch):
    """The command line on a suite of questions and choices, with a tiny real model."""
    monkeypatch.setenv("HARNESS_WEIGHTS", str(cli.folder / "store"))
    cli.write("tiny.yaml", MIXED)
    words = ["quick", "brown", "fox", "jumps", "over", "lazy", "dog"]
    rows = [
        {"id": f"s{n}", "prompt": f"what is {words[n % 7]} {n} ?", "choices": ["Yes", "No"], "answer": n % 2,
         "target": words[n % 5]}
        for n in range(40)
    ]  # fmt: skip
    cli.write("tiny.jsonl", "\n".join(map(json.dumps, rows)))

    def call(*options):
        cli("run", "tiny.yaml", "--model", tiny_base, "--device", "cpu", *options, "--json")
        assert cli.out, cli.err
        return json.loads(cli.out)

    return call


def test_a_forecast_says_what_the_run_then_does_and_costs_nothing_once_it_is_done(mixed):
    base, candidate = mixed("--dry-run", "--system", "Be brief.")["forecast"]
    assert (base["arm"], base["generate"], base["score"], base["known"]) == ("base", 40, 80, 0)
    assert (candidate["generate"], candidate["score"], candidate["known"]) == (40, 80, 0)
    assert base["generate_most"] == 400
    assert 0 < base["generate_expected"] < 400
    assert 0 < base["seconds_expected"] <= base["seconds_most"]
    assert base["start_seconds"] > 0
    assert candidate["start_seconds"] == 0  # one base, loaded once
    assert base["tokens"] > 0
    assert candidate["tokens"] > 0
    assert base["memory"] > 1e6
    run = mixed("--system", "Be brief.")["runs"][0]["run"]
    assert run["requests"] == 120
    again = mixed("--dry-run", "--system", "Be brief.")["forecast"]
    assert [(row["known"], row["tokens"], row["seconds_most"], row["start_seconds"]) for row in again] == [
        (120, 0, 0.0, 0.0)
    ] * 2


def test_the_length_of_replies_is_that_of_an_earlier_run(mixed):
    before = mixed("--dry-run")["forecast"][0]
    mixed()
    after = mixed("--dry-run", "--system", "Be brief.")["forecast"][1]
    assert before["basis"] == "replies of half their limit"
    assert after["basis"].startswith("replies of ")
    assert "half" not in after["basis"]


def test_of_a_model_that_cannot_tell_the_table_says_unknown(cli):
    cli.write("tiny.yaml", SUITE)
    assert cli("run", "tiny.yaml", "--model", "echo:", "--dry-run") == 0
    assert "unknown" in cli.out
    assert "nothing was asked" in cli.out
    _, document = cli.json("run", "tiny.yaml", "--model", "echo:", "--dry-run")
    (row,) = document["forecast"]
    assert (row["generate"], row["tokens"], row["seconds_expected"], row["memory"]) == (40, None, None, None)


def test_the_table_has_times_and_memory(mixed, cli, tiny_base):
    assert cli("run", "tiny.yaml", "--model", tiny_base, "--device", "cpu", "--dry-run") == 0
    assert "to load models" in cli.out
    assert " s to " in cli.out or " s," in cli.out
    assert "B of memory" in cli.out
