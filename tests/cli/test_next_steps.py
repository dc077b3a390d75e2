"""What a newcomer meets in the first hour: errors and empty answers that name the next step."""

from __future__ import annotations

import json

import pytest

from tests.cli.adapters import write_adapter

MINE = """\
id: mine
version: 1
principles:
  - id: short
    text: The reply is short.
    critics: [verifier]
    examples:
      pass: [{prompt: Hi., response: Hello.}]
      fail: [{prompt: Hi., response: Hello and welcome to all of you here today.}]
"""


def test_a_verifier_that_is_told_nothing_names_file_and_step(cli):
    cli.write("mine.yaml", MINE)
    assert cli("principle", "test", "mine.yaml") == 2
    assert "mine.yaml: critics.verifier: the verifier is not told what to check" in cli.err
    assert "--suite" in cli.err
    assert cli("run", "tiny.yaml", "--model", "echo:", "--no-gates") == 0, cli.err
    assert cli("constitution", "diff", "mine.yaml", "mine.yaml") == 2
    assert "the verifier is not told what to check" in cli.err
    cli.write(
        "short.yaml", (cli.folder / "tiny.yaml").read_text() + "critics: {verifier: {expression: words(reply) < 4}}\n"
    )
    assert cli("principle", "test", "mine.yaml", "--suite", "short.yaml") == 0, cli.err
    assert cli("constitution", "diff", "mine.yaml", "mine.yaml", "--suite", "short.yaml") == 0, cli.err
    assert "0 replies" in cli.out


def test_the_options_of_critics_of_a_run_are_those_of_its_own_suite(cli):
    cli.write("mine.yaml", MINE)
    own = (
        (cli.folder / "tiny.yaml")
        .read_text()
        .replace("measure: [exact_match]", "measure: [exact_match, {adherence: {constitution: mine.yaml}}]")
    )
    cli.write("tiny.yaml", own + "critics: {verifier: {expression: words(reply) < 4}}\n")
    assert cli("run", "tiny.yaml", "--model", "echo:", "--no-gates") == 0, cli.err
    assert cli("constitution", "diff", "mine.yaml", "mine.yaml") == 0, cli.err


def test_adapters_are_listed_and_named_where_one_is_unknown(cli):
    cli.write("harness.yaml", 'model: "echo:"\npolicy: mine\npolicies: {mine: {suites: [tiny.yaml]}}\n')
    assert cli("list", "adapters") == 0
    assert "harness train RECIPE" in cli.out
    assert cli("runs", "list") in {0, 2}
    write_adapter(cli.folder / "a1", 1)
    assert cli("decide", "--adapter", "./a1") == 0, cli.err
    assert cli("promote", "latest") == 0, cli.err
    _, found = cli.json("list", "adapters")
    (row,) = found["adapters"]
    assert set(row) == {"id", "label", "base", "made", "recipe", "promoted"}
    assert row["promoted"] is True
    assert cli("list", "adapters") == 0
    assert row["id"] in cli.out
    assert cli("decide", "--adapter", "ADAPTER") == 2
    assert "harness list adapters" in cli.err


def test_exporting_what_is_promoted_before_anything_is(cli):
    assert cli("export", "hf", "promoted", "out", "--model", "smollm2-135m") == 2
    assert "nothing is promoted yet" in cli.err
    assert "harness list adapters" in cli.err


def test_samples_say_how_many_a_metric_is_not_for(cli):
    rows = [{"id": f"t{n}", "prompt": "say it", "target": "say it"} for n in range(3)]
    rows += [{"id": f"c{n}", "prompt": "which?", "choices": ["a", "b"], "answer": 0} for n in range(2)]
    cli.write("tiny.jsonl", "\n".join(json.dumps(row) for row in rows) + "\n")
    cli.write("tiny.yaml", "id: tiny\nsamples: {source: jsonl, path: tiny.jsonl}\nmeasure: [exact_match, accuracy]\n")
    assert cli("run", "tiny.yaml", "--model", "echo:", "--no-gates") == 0, cli.err
    assert cli("samples", "latest", "--metric", "exact_match") == 0, cli.err
    assert "3 of 3 samples" in cli.out
    assert "exact_match does not apply to 2 others (" in cli.out


def test_one_gate_is_one_gate_and_an_unknown_key_of_a_gate_names_plugins(cli):
    assert cli("suite", "check", "tiny.yaml", "--set", "gates=[{metric: exact_match, min: 0.5}]") in {0, 2}
    cli.write("harness.yaml", 'model: "echo:"\n')
    assert cli("suite", "check", "tiny.yaml") == 0, cli.err
    assert "its one gate can be passed" in cli.out
    cli.write("tiny.yaml", (cli.folder / "tiny.yaml").read_text().replace("min: 0.5", "between: [0, 1]"))
    assert cli("suite", "check", "tiny.yaml") == 2
    assert "-p PLUGIN" in cli.err


def test_a_plan_of_a_superior_gate_says_what_to_hope_for(cli):
    cli.write("harness.yaml", 'model: "echo:"\n')
    text = (cli.folder / "tiny.yaml").read_text().replace("min: 0.5", "superior: {to: base}")
    cli.write("tiny.yaml", text)
    assert cli("run", "tiny.yaml", "--model", "echo:", "--no-gates") == 0, cli.err
    assert cli("plan", "tiny.yaml", "--simulations", "10") == 0, cli.err
    assert "--change exact_match=X" in cli.out


def test_train_dry_run_warns_of_nothing(cli, tiny_base):
    cli.write("train.jsonl", json.dumps({"messages": [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"},
    ]}) + "\n")  # fmt: skip
    cli.write("mine.yaml", f"id: mine\nbase: {tiny_base}\nstages: [{{sft: {{data: train.jsonl, epochs: 1}}}}]\n")
    assert cli("train", "mine.yaml", "--dry-run") == 0, cli.err
    assert "warning" not in cli.err
    assert "sft would take" in cli.out


@pytest.mark.parametrize("command", [("approve", "latest"), ("reject", "latest"), ("policy", "reset", "mine")])
def test_a_missing_reason_says_what_it_is_for(cli, command):
    assert cli(*command) == 2
    assert "Recorded in the ledger. For example: harness " in cli.err
    assert cli.err.count('--reason "') == 1


def test_a_missing_argument_shows_an_example(cli):
    assert cli("constitution", "diff") == 2
    assert "For example: harness constitution diff personal ./mine.yaml" in cli.err


def test_a_folder_of_several_files_names_them(cli):
    (cli.folder / "data").mkdir()
    cli.write("data/one.jsonl", "{}\n")
    cli.write("data/two.jsonl", "{}\n")
    assert cli("run", "tiny.yaml", "--model", "echo:", "--data", "data") == 2
    assert "name the file in it: one.jsonl, two.jsonl" in cli.err


def test_files_of_samples_are_said_to_be_written(cli):
    assert cli("run", "tiny.yaml", "--model", "echo:", "--no-gates") == 0, cli.err
    assert cli("samples", "latest", "--csv", "out.csv") == 0, cli.err
    assert "wrote out.csv" in cli.out
