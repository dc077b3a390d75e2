"""What is set for one run: it stands in the record, and such a run pairs with no other unseen."""

from __future__ import annotations

import json

import pytest

from tests.cli.adapters import write_adapter

SUITE = """\
id: tiny
samples: {source: jsonl, path: tiny.jsonl}
ask: {max_new_tokens: 16}
measure: [exact_match, {length: {}}]
gates:
  - {metric: exact_match, min: 0.1}
"""

DICE = """
from harness import hookimpl
from harness.types import Completion
from harness_models.echo import EchoModel


class Dice(EchoModel):
    def answer(self, candidate, requests, deliver):
        for index, request in enumerate(requests):
            text = f"{request.decoding.seed} {request.draw}"
            deliver(index, Completion(text=text, prompt_tokens=1, completion_tokens=1, finish="stop"))


@hookimpl
def register_models(register):
    register("dice", Dice, about="It says its seed.")
"""

FIRST_RIGHT = """
from collections import Counter

from harness import hookimpl
from harness.types import Completion
from harness_models.echo import EchoModel


class FirstRight(EchoModel):
    seen = Counter()

    def answer(self, candidate, requests, deliver):
        for index, request in enumerate(requests):
            said = request.messages[-1].content
            self.seen[said] += 1
            text = said if self.seen[said] == 1 else "something else"
            deliver(index, Completion(text=text, prompt_tokens=1, completion_tokens=1, finish="stop"))


@hookimpl
def register_models(register):
    register("first", FirstRight, about="Right at the first draw of each prompt, and wrong after.")
"""
DRAWN = ("-p", "first.py", "--model", "first:", "--epochs", "4", "--temperature", "1", "--no-gates")


@pytest.fixture
def home(cli):
    rows = [
        {"id": f"s{n}", "prompt": f"say {n}", "target": f"say {n}", "tags": ["odd"] if n % 2 else ["even"]}
        for n in range(12)
    ]
    cli.write("tiny.jsonl", "\n".join(json.dumps(row) for row in rows) + "\n")
    cli.write("tiny.yaml", SUITE)
    cli.write("harness.yaml", 'model: "echo:"\npolicy: mine\npolicies:\n  mine: {suites: [tiny.yaml]}\n')
    return cli


def ran(cli, *arguments):
    code, found = cli.json("run", "tiny.yaml", *arguments)
    assert code in {0, 1}, cli.err
    return found["runs"][0]["run"]


def asked(cli, run):
    _, found = cli.json("samples", run["id"], "--limit", "50")
    return [sample["sample"] for sample in found["samples"]]


def test_decoding_is_set_in_record_and_fingerprint(home):
    plain, hot = ran(home), ran(home, "--temperature", "0.7", "--top-p", "0.9", "--max-new-tokens", "1")
    assert plain["settings"] == {}
    assert hot["settings"] == {"ask.temperature": 0.7, "ask.top_p": 0.9, "ask.max_new_tokens": 1}
    assert plain["suite_fingerprint"] != hot["suite_fingerprint"]
    assert ran(home, "--set", "ask.temperature=0.7", "--set", "ask.top_p=0.9", "--set", "ask.max_new_tokens=1")[
        "suite_fingerprint"] == hot["suite_fingerprint"]  # fmt: skip
    assert home("runs", "show", hot["id"]) == 0
    assert "set for this run, which counts as no policy's: ask.max_new_tokens=1, ask.temperature=0.7" in home.out
    assert home("runs", "diff", plain["id"], hot["id"]) == 0
    assert "they ran under other settings: the suite's own, and ask.max_new_tokens=1" in " ".join(home.out.split())


def test_a_run_under_other_settings_is_no_policys(home):
    write_adapter(home.folder / "one", 1.0)
    home("decide", "--adapter", "./one")
    before = home.json("runs", "list")[1]["runs"]
    write_adapter(home.folder / "two", 2.0)
    ran(home, "--adapter", "./two", "--temperature", "0.5")
    code, found = home.json("decide", "--adapter", "./two")
    assert code == 0
    assert found["reused_runs"] == 0
    (run,) = found["decision"]["runs"]
    assert home.json("runs", "show", run)[1]["settings"] == {}
    assert before


def test_samples_are_picked_by_id_and_tag_and_shuffled(home):
    assert asked(home, ran(home, "--sample-id", "s3", "--sample-id", "s5")) == ["s3", "s5"]
    odd = asked(home, ran(home, "--tag", "odd"))
    assert odd == [f"s{n}" for n in range(1, 12, 2)]
    assert asked(home, ran(home, "--exclude-tag", "even")) == odd
    one, two = ran(home, "--shuffle"), ran(home)
    assert sorted(asked(home, one)) == sorted(asked(home, two))
    assert asked(home, one) != asked(home, two)
    assert asked(home, ran(home, "--shuffle")) == asked(home, one)
    assert asked(home, ran(home, "--shuffle", "--seed", "1")) != asked(home, one)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--sample-id", "s33"), "no sample is called 's33'; did you mean"),
        (("--tag", "od"), "no tag is called 'od'; did you mean 'odd'"),
        (("--tag", "odd", "--exclude-tag", "odd"), "no sample is left"),
        (("--set", "ask.temperatur=1"), "ask.temperatur: unknown key; did you mean 'temperature'"),
        (("--set", "ask.temperature=hot"), "ask.temperature: must be a number"),
        (("--set", "gates=[]"), "gates cannot be set for one run: gates are chosen before the numbers are known"),
        (("--set", "ask"), "'ask' sets nothing"),
        (("--set", "measure.bleu.a=1"), "the suite has nothing called 'bleu' there"),
        (("--set", "ask.temperature=1", "--temperature", "1"), "ask.temperature is set twice"),
        (("--set", "ask.stop=[2026-01-01]"), "is no value for ask.stop"),
        (("--epochs", "3"), "epochs: 3 draws of each sample would all be the same at temperature 0"),
        (("--epochs-reducer", "worst"), "epochs_reducer: worst needs 2 draws of each sample, and there are 1"),
        (("--epochs", "3", "--temperature", "1", "--epochs-reducer", "pass@4"), "pass@4 needs 4 draws of each sample"),
        (("--epochs", "3", "--temperature", "1", "--epochs-reducer", "most"), "epochs_reducer: "),
        (("--few-shot", "12"), "12 examples are wanted before 's0', and the suite's own data has 11 with an answer"),
    ],
)
def test_what_cannot_be_set_is_one_sentence(home, arguments, said):
    assert home("run", "tiny.yaml", *arguments) == 2
    assert said in home.err
    assert home.err.count("\n") == 1


def test_examples_stand_before_each_question_and_the_number_in_the_record(home):
    plain, few = ran(home), ran(home, "--few-shot", "2")
    assert (plain["few_shot"], few["few_shot"]) == (0, 2)
    assert plain["samples_fingerprint"] != few["samples_fingerprint"]
    assert any("2 solved examples of the suite's own data before each question" in note for note in few["notes"])
    assert home("runs", "diff", plain["id"], few["id"]) == 2  # other prompts: they do not pair
    _, found = home.json("samples", few["id"], "--limit", "1")
    assert found["samples"][0]["prompt"] == "say 0"
    again = ran(home, "--few-shot", "2")
    assert again["samples_fingerprint"] == few["samples_fingerprint"]
    assert ran(home, "--few-shot", "2", "--seed", "0", "--set", "few_shot.seed=5")["samples_fingerprint"] != few[
        "samples_fingerprint"]  # fmt: skip
    home.write("tiny.yaml", SUITE + "few_shot: {n: 2, as: text}\n")
    assert ran(home)["few_shot"] == 2
    assert home("samples", "latest", "--id", "s0") == 0
    assert "say 0" in home.out


def test_draws_of_a_sample_are_one_cluster_with_seeds_of_their_own(home):
    home.write("dice.py", DICE)
    one = ran(home, "-p", "dice.py", "--model", "dice:", "--epochs", "3", "--temperature", "1", "--no-gates")
    assert (one["samples"], one["settings"]) == (36, {"ask.temperature": 1.0, "epochs": 3})
    _, found = home.json("samples", one["id"], "--limit", "50", "--metric", "exact_match")
    replies = {sample["sample"]: sample["reply"] for sample in found["samples"]}
    assert set(replies) == {f"s{n}#{k}" for n in range(12) for k in (1, 2, 3)}
    assert len({replies[f"s0#{k}"] for k in (1, 2, 3)}) == 3
    (estimate,) = [e for e in one["estimates"] if e["metric"] == "exact_match"]
    assert estimate["n"] == 36
    assert home("runs", "diff", one["id"], one["id"], "-p", "dice.py") == 0, home.err
    assert ran(home, "-p", "dice.py", "--model", "dice:", "--epochs", "3", "--temperature", "1", "--no-gates")[
        "samples_fingerprint"] == one["samples_fingerprint"]  # fmt: skip


def test_a_limit_counts_samples_and_not_their_draws(home):
    home.write("first.py", FIRST_RIGHT)
    once = asked(home, ran(home, "--limit", "5"))
    run = ran(home, *DRAWN, "--limit", "5")
    assert run["samples"] == 20
    assert {name.partition("#")[0] for name in asked(home, run)} == set(once)
    assert any("a subset of 5 of 12 samples" in note for note in run["notes"])
    assert home("run", "tiny.yaml", *DRAWN, "--limit", "1") == 0, home.err


@pytest.mark.parametrize(
    ("how", "value", "n"),
    [("mean", 0.25, 48), ("worst", 0.0, 12), ("best", 1.0, 12), ("pass@1", 0.25, 12), ("pass@2", 0.5, 12)],
)
def test_draws_are_reduced_to_one_row_for_each_sample(home, how, value, n):
    home.write("first.py", FIRST_RIGHT)
    run = ran(home, *DRAWN, "--epochs-reducer", how)
    found = {estimate["metric"]: estimate for estimate in run["estimates"]}
    assert (found["exact_match"]["n"], found["exact_match"]["value"]) == (n, pytest.approx(value))
    assert next(one["n"] for name, one in found.items() if name != "exact_match") == 48, "no way is better: all draws"
    assert any("each sample was drawn 4 times" in note for note in run["notes"])
    code, checked = home.json("gate", run["id"], "--suite", "tiny.yaml", "-p", "first.py")
    assert code in {0, 1}, home.err
    assert checked
    assert home("runs", "diff", run["id"], run["id"], "-p", "first.py") == 0, home.err


def test_the_record_says_which_split_the_examples_are_of(home):
    problem = {"question": "How many?", "answer": "So 3.\n#### 3"}
    other = {"question": "How many more?", "answer": "So 4.\n#### 4"}
    home.write("test.jsonl", json.dumps(problem) + "\n" + json.dumps(other) + "\n")
    for expected in ("the suite's own data", "the split train"):
        code, found = home.json("run", "gsm8k", "--data", "test.jsonl", "--few-shot", "1")
        assert code == 0, home.err
        assert f"1 solved example of {expected} before each question" in found["runs"][0]["run"]["notes"]
        home.write("train.jsonl", json.dumps({"question": "How many less?", "answer": "So 2.\n#### 2"}) + "\n")
