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
    assert base["seconds"] is None, "no run of this base is stored yet"
    assert 0 < base["tokens"] < candidate["tokens"]
    run = mixed("--system", "Be brief.")["runs"][0]["run"]
    assert run["requests"] == 120
    again = mixed("--dry-run", "--system", "Be brief.")["forecast"]
    assert [(row["known"], row["tokens"], row["seconds"]) for row in again] == [(120, 0, 0.0)] * 2


def test_time_goes_by_the_pace_of_an_earlier_run(mixed):
    mixed()
    base, candidate = mixed("--dry-run", "--system", "Be brief.")["forecast"]
    assert (base["known"], base["seconds"]) == (120, 0.0)
    assert candidate["seconds"] > 0
    half = mixed("--dry-run", "--system", "Be brief.", "--limit", "20")["forecast"][1]
    assert 0.3 * candidate["seconds"] < half["seconds"] < 0.7 * candidate["seconds"]


def test_no_model_is_loaded_for_a_forecast(mixed, monkeypatch):
    mixed()
    monkeypatch.setattr("harness_models.hf.loading.load", lambda *_: pytest.fail("a model is loaded"))
    assert mixed("--dry-run", "--system", "Be brief.")["forecast"][1]["tokens"] > 0


def test_the_table_says_unknown_where_no_run_tells_and_a_time_where_one_does(cli):
    cli.write("tiny.yaml", SUITE)
    assert cli("run", "tiny.yaml", "--model", "echo:", "--dry-run") == 0
    assert "unknown: no earlier run in this workspace asked these models" in cli.out
    assert "nothing was asked" in cli.out
    cli("run", "tiny.yaml", "--model", "echo:")
    cli("run", "tiny.yaml", "--model", "echo:", "--system", "Be brief.", "--dry-run")
    assert "at the pace of earlier runs" in cli.out
