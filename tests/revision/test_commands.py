"""`harness revise`, `harness principle try` and `harness constitution`."""

from __future__ import annotations

import json

import pytest

from harness.store.artifacts import artifacts
from harness.store.workspace import Workspace
from tests.cli.adapters import write_adapter
from tests.cli.conftest import Cli

MILD = """\
from harness import Critic, hookimpl


class Mild(Critic):
    def fingerprint(self):
        return "mild 1"

    def score(self, sample, reply, principle, replies, findings):
        return (0.0 if principle.text.split()[-1].rstrip(".") in reply.text else 1.0), "looked for a word"


@hookimpl
def register_critics(register):
    register("mild", Mild)
"""
ASKS = MILD.replace(
    "class Mild(Critic):",
    "class Asks(Critic):\n    roles = ('judge',)\n\n    def requests(self, sample, reply, principle):\n        return ()\n",
).replace('"mild", Mild', '"asks", Asks')
"""A critic that asks a model, so that somebody has to count how often it is right."""
RULES = "id: rules\nprinciples:\n  - {id: fruit, text: Speak of no plums., critics: [mild]}\n"
OTHER = "id: other\nprinciples:\n  - {id: fruit, text: Speak of no figs., critics: [mild]}\n"


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    made = Cli(tmp_path, capsys)
    made.write("mild.py", MILD)
    made.write("rules.yaml", RULES)
    made.write("other.yaml", OTHER)
    made.write("harness.yaml", "model: 'echo:'\nplugins: [./mild.py]\n")
    return made


def write_gated_suite(cli, samples):
    """Write a suite of so many samples, with a gate on a principle whose critic is calibrated."""
    cli.write(
        "tiny.yaml",
        "id: tiny\nsamples: {source: jsonl, path: t.jsonl}\n"
        "measure: [{adherence: {constitution: rules.yaml, calibration: {fruit: {sensitivity: [90, 100], specificity: [90, 100]}}}}]\n"
        "gates:\n  - {metric: adherence.fruit, min: 0.5}\n",
    )
    examples = "examples: {pass: [{prompt: a, response: figs}], fail: [{prompt: a, response: plums}]}"
    cli.write("rules.yaml", RULES.replace("critics: [mild]", f"critics: [mild], {examples}"))
    cli.write("t.jsonl", "".join(f'{{"id": "s{n}", "prompt": "figs {n}", "target": "x"}}\n' for n in range(samples)))


def kept(cli):
    workspace = Workspace.open(cli.folder / ".harness")
    try:
        return [
            json.loads(line)
            for _, folder in artifacts(workspace, "revisions")
            for line in (folder / "revisions.jsonl").read_text().splitlines()
        ]
    finally:
        workspace.close()


def test_a_reply_is_revised_shown_as_a_difference_and_kept(cli):
    code = cli("revise", "What shall I eat?", "--response", "eat plums", "--constitution", "rules.yaml",
               "--role", "reviser=echo:eat figs")  # fmt: skip
    assert code == 0, cli.err
    assert "[-plums-]" in cli.out
    assert "{+figs+}" in cli.out
    assert "passed: keeps the principle that applies after 1 revision" in cli.out
    (history,) = kept(cli)
    assert [one["reply"] for one in history["rounds"]] == ["eat plums", "eat figs"]


def test_a_critic_that_is_not_admitted_informs_until_it_is_or_is_told_to_steer(cli):
    cli.write("asks.py", ASKS)
    cli.write("asked.yaml", RULES.replace("mild", "asks"))
    cli.write("harness.yaml", "model: 'echo:'\nplugins: [./asks.py]\n")
    asked = ("revise", "Eat?", "--response", "plums", "--constitution", "asked.yaml", "--role", "reviser=echo:figs",
             "--role", "judge=echo:")  # fmt: skip
    code, found = cli.json(*asked)
    assert (code, found["steering"], found["informing"]) == (1, {}, {"fruit": "never calibrated here"})
    (history,) = found["revisions"]
    assert (history["status"], len(history["rounds"]), history["rounds"][0]["scores"]) == (
        "unscored",
        1,
        {"fruit": 0.0},
    )
    assert cli(*asked) == 1
    assert "informing alone, since their critics are not admitted: fruit" in cli.out
    assert "harness critic calibrate --constitution asked.yaml" in cli.out

    for option in (("--steer", "all"), ("--principle", "fruit")):
        code, found = cli.json(*asked, *option)
        assert (code, len(found["revisions"][0]["rounds"])) == (0, 2)
        assert found["steering"]["fruit"] == "told to, though its critics are not admitted: never calibrated here"

    rows = [{"prompt": f"Eat {n}?", "response": f"{fruit} {n}", "label": label}
            for n in range(50) for fruit, label in (("plums", "breaks"), ("figs", "follows"))]  # fmt: skip
    cli.write("labels.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert cli("critic", "calibrate", "--constitution", "asked.yaml", "--principle", "fruit", "--data", "labels.jsonl",
               "--role", "judge=echo:") == 0, cli.err  # fmt: skip
    code, found = cli.json(*asked)
    assert (code, found["steering"], found["informing"]) == (
        0,
        {"fruit": "admitted; what scores below 0.50 is revised"},
        {},
    )
    assert len(found["revisions"][0]["rounds"]) == 2


def test_what_is_not_mended_exits_with_one(cli):
    code, found = cli.json("revise", "Eat?", "--response", "plums", "--constitution", "rules.yaml", "--rounds", "2",
                           "--role", "reviser=echo:plums again")  # fmt: skip
    assert code == 1
    assert [one["status"] for one in found["revisions"]] == ["failed"]
    assert len(found["revisions"][0]["rounds"]) == 3


def test_rows_of_a_file_with_and_without_replies(cli):
    cli.write("rows.jsonl", '{"prompt": "plums?", "response": "figs"}\n{"prompt": "plums!"}\n')
    code, found = cli.json("revise", "--data", "rows.jsonl", "--constitution", "rules.yaml", "--role",
                           "reviser=echo:pears")  # fmt: skip
    assert code == 0
    assert [[one["reply"] for one in row["rounds"]] for row in found["revisions"]] == [["figs"], ["plums!", "pears"]]
    assert cli("revise", "--data", "rows.jsonl", "--constitution", "rules.yaml", "--dry-run") == 0
    assert "would judge 2 replies, 1 of them asked first, by fruit; nothing was asked" in cli.out


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("[]", "rows.jsonl:1: is no JSON object"),
        ('{"prompt": 3}', "needs a prompt, or messages"),
        ('{"prompt": "a", "response": 3}', "must be text"),
        ("", "holds no rows"),
    ],
)
def test_bad_rows_get_one_sentence(cli, row, sentence):
    cli.write("rows.jsonl", row + "\n")
    assert cli("revise", "--data", "rows.jsonl", "--constitution", "rules.yaml") == 2
    assert sentence in cli.err
    assert len(cli.err.strip().splitlines()) == 1


def test_nothing_to_revise_and_two_things(cli):
    assert cli("revise") == 2
    assert "name one thing to revise" in cli.err
    assert cli("revise", "a", "--run", "latest") == 2
    assert "--run has its own prompts" in cli.err


def test_try_shows_critique_revision_and_every_critics_score(cli):
    cli_ = ("principle", "try", "fruit", "What shall I eat?", "--constitution", "rules.yaml")
    code, found = cli.json(*cli_, "--response", "plums", "--role", "reviser=echo:figs")
    assert code == 1
    assert found["verdicts"][0]["score"] == 0.0
    assert (found["critique"], found["revision"]) == ("figs", "figs")
    assert found["revision_verdicts"][0]["score"] == 1.0
    assert cli(*cli_, "--response", "pears", "--role", "reviser=echo:figs") == 0
    assert "mild 1.00  looked for a word" in cli.out
    assert "no examples: the principle informs and can gate nothing" in cli.out


def test_a_constitution_is_shown_and_checked(cli):
    assert cli("constitution", "show", "rules.yaml") == 0
    assert "Speak of no plums." in cli.out
    code, found = cli.json("constitution", "validate", "rules.yaml")
    assert code == 0
    assert found["remarks"] == ["fruit has no examples of both kinds: it informs and can gate nothing"]
    cli.write("wrong.yaml", RULES.replace("mild", "milk"))
    assert cli("constitution", "validate", "wrong.yaml") == 1
    assert "fruit: there is no critic 'milk'" in cli.out


def test_a_difference_scores_stored_replies_and_generates_nothing(cli):
    cli.write("tiny.yaml", "id: tiny\nsamples: {source: jsonl, path: t.jsonl}\nmeasure: [exact_match]\n")
    cli.write(
        "t.jsonl", '{"id": "p", "prompt": "plums", "target": "x"}\n{"id": "n", "prompt": "nuts", "target": "x"}\n'
    )
    assert cli("run", "tiny.yaml", "--no-gates") == 0, cli.err
    cli.write("harness.yaml", "model: 'echo:never asked'\nplugins: [./mild.py]\n")
    code, found = cli.json("constitution", "diff", "rules.yaml", "other.yaml", "--run", "latest")
    assert code == 0, cli.err
    assert found["changes"] == ["~ fruit.text: Speak of no plums. → Speak of no figs."]
    assert [(flip["sample"], flip["one"], flip["other"]) for flip in found["flips"]] == [("p", "breaks", "keeps")]
    assert found["decisions"] == []


def test_a_past_decision_whose_gate_would_fall_is_named(cli):
    write_gated_suite(cli, 40)
    config = "model: 'echo:'\nplugins: [./mild.py]\npolicy: mine\npolicies:\n  mine:\n    suites: [tiny.yaml]\n"
    cli.write("harness.yaml", config)
    write_adapter(cli.folder / "one", 0.5)
    assert cli("decide", "--adapter", "./one") in {0, 1}, cli.err
    code, found = cli.json("constitution", "diff", "rules.yaml", "other.yaml", "--run", "latest")
    assert code == 0, cli.err
    (sentence,) = found["decisions"]
    assert "its gate adherence.fruit ≥ 50 % would see 0.0 % instead of 100.0 %; decide again" in sentence
    # Without --run: the runs that past decisions rest on, and nothing is generated.
    cli.write("harness.yaml", config.replace("'echo:'", "'echo:never asked'"))
    code, again = cli.json("constitution", "diff", "rules.yaml", "other.yaml")
    assert code == 0, cli.err
    assert again["decisions"] == found["decisions"]
    assert {flip["run"] for flip in again["flips"]} > {flip["run"] for flip in found["flips"]}, "the baseline's, too"
    code, texts = cli.json("constitution", "diff", "rules.yaml", "other.yaml", "--texts")
    assert (code, texts["flips"], texts["decisions"]) == (0, [], [])
    assert cli("constitution", "diff", "rules.yaml", "other.yaml", "--texts", "--run", "latest") == 2
    assert "--texts judges no run" in cli.err


def test_every_turn_of_a_conversation_is_judged_anew(cli):
    cli.write("tiny.yaml", "id: tiny\nsamples: {source: jsonl, path: t.jsonl}\nmeasure: [length]\n")
    cli.write("t.jsonl", '{"id": "p", "prompt": "nuts", "turns": ["figs", "nuts"]}\n{"id": "q", "prompt": "nuts"}\n')
    assert cli("run", "tiny.yaml", "--no-gates") == 0, cli.err
    code, found = cli.json("constitution", "diff", "rules.yaml", "other.yaml", "--run", "latest")
    assert code == 0, cli.err
    (flip,) = found["flips"]
    assert (flip["sample"], flip["completion"], flip["one"], flip["other"]) == ("p", 1, "keeps", "breaks")
    assert cli("constitution", "diff", "rules.yaml", "other.yaml") == 0
    assert "p (reply 2): keeps → breaks (fruit)" in cli.out
    assert "1 reply of 1 run would be judged otherwise" in cli.out
    code, found = cli.json("revise", "--run", "latest", "--constitution", "other.yaml", "--role", "reviser=echo:dates")
    assert [(one["sample"]["id"], one["status"]) for one in found["revisions"]][:3] == [
        ("p", "passed"), ("p#2", "passed"), ("p#3", "passed"),
    ]  # fmt: skip
    assert len(found["revisions"][1]["rounds"]) == 2


def test_a_workspace_without_runs_compares_texts(cli):
    assert cli("constitution", "diff", "rules.yaml", "other.yaml") == 0, cli.err
    assert "no reply was judged: no run is stored" in cli.out


def test_replies_to_what_decides_are_judged_and_not_shown(cli):
    """Their shares count for what past decisions would say; which reply turns is not said."""
    write_gated_suite(cli, 80)
    cli.write(
        "harness.yaml", "model: 'echo:'\nplugins: [./mild.py]\npolicy: mine\npolicies:\n  mine:\n"
        "    suites: [{suite: tiny.yaml, deciding: 0.6}]\n",
    )  # fmt: skip
    write_adapter(cli.folder / "one", 0.5)
    assert cli("decide", "--adapter", "./one") in {0, 1}, cli.err
    code, found = cli.json("constitution", "diff", "rules.yaml", "other.yaml", "--run", "latest")
    assert code == 0, cli.err
    assert found["flips"] == []
    assert found["hidden"] > 20
    assert "would see 0.0 % instead of 100.0 %" in found["decisions"][0]
    assert cli("constitution", "diff", "rules.yaml", "other.yaml", "--run", "latest") == 0
    assert f"and {found['hidden']} to samples that decide" in cli.out
    assert cli("constitution", "diff", "rules.yaml", "other.yaml", "--run", "latest", "--limit", "1") == 2
    assert "are hidden" in cli.err
