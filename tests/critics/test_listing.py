"""`harness critic list`: which principles are scored by admitted critics, and why the others are not."""

from __future__ import annotations

import json

import pytest

from harness.api import Admission
from harness_critics.listing import labels_needed, why_not
from tests.cli.conftest import Cli

PLUGIN = """\
from harness import Critic, hookimpl


class Word(Critic):
    def fingerprint(self):
        return f"word {self.options}"

    def score(self, sample, reply, principle, replies, findings):
        return (0.0 if "fool" in reply.text else 1.0), ""


@hookimpl
def register_critics(register):
    register("word", Word)
"""
RULES = "id: rules\nprinciples:\n  - {id: polite, text: Be polite., critics: [word]}\n"


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    made = Cli(tmp_path, capsys)
    made.write("word.py", PLUGIN)
    made.write("rules.yaml", RULES)
    made.write("harness.yaml", "model: 'echo:'\nplugins: [./word.py]\n")
    return made


def labels(cli, missed, count=60):
    rows = [
        {"prompt": f"p{n}", "response": f"{word} {n}", "label": label}
        for n in range(count)
        for word, label in (("twit" if n < missed else "fool", "breaks"), ("sir", "follows"))
    ]
    cli.write("labels.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert cli("critic", "calibrate", "--constitution", "rules.yaml", "--principle", "polite", "--data",
               "labels.jsonl") == 0, cli.err  # fmt: skip


def test_a_principle_is_listed_as_never_calibrated_then_admitted_then_changed(cli):
    code, (one,) = cli.json("critic", "list", "rules.yaml")
    assert (code, one["admitted"], one["labels"]) == (0, False, [0, 0])
    command = "harness critic calibrate --constitution rules.yaml --principle polite --data FILE"
    assert one["why"] == f"never calibrated here: {command}"
    labels(cli, missed=1)
    _, (one,) = cli.json("critic", "list", "rules.yaml")
    assert (one["admitted"], one["why"]) == (True, "")
    assert cli("critic", "list", "rules.yaml") == 0
    assert "1 of 1 principle scored by critics that are admitted here" in cli.out
    cli.write("rules.yaml", RULES.replace("Be polite.", "Be kind."))
    _, (one,) = cli.json("critic", "list", "rules.yaml")
    assert not one["admitted"]
    assert one["why"].startswith("critics, judge or principle have changed since it was calibrated")


def test_a_critic_that_showed_too_little_is_listed_with_the_reason(cli):
    labels(cli, missed=40)
    _, (one,) = cli.json("critic", "list", "rules.yaml")
    assert not one["admitted"]
    assert one["why"].startswith("too weak: Se + Sp − 1 at least 0.2")


def test_labels_that_are_missing_are_told_from_a_critic_that_is_too_weak():
    usual = Admission()
    assert why_not((48, 50), (48, 50), usual) == ""
    assert labels_needed((39, 50), (39, 50), usual) == 60
    assert "too few labels: Se + Sp − 1 at least 0.39; 60 + 60 labels" in why_not((39, 50), (39, 50), usual)
    assert labels_needed((30, 50), (38, 50), usual) is None
    assert why_not((30, 50), (38, 50), usual).startswith("too weak: ")
    assert labels_needed((20, 20), (20, 20), usual) == 50
    assert why_not((0, 6), (6, 6), usual) == "too few labels: 6 + 6, and admission asks for 50 + 50"


def test_the_bundled_constitutions_are_listed_with_the_labels_that_ship(cli):
    cli.write("harness.yaml", "model: 'echo:'\n")
    code, found = cli.json("critic", "list", "--judge", "echo:")
    assert code == 0, cli.err
    assert len(found) == 19
    assert all(min(one["labels"]) >= 50 for one in found)
    assert all(one["why"].startswith("never calibrated here") for one in found)


def test_options_that_a_suite_gives_its_critics_hold(cli):
    cli.write("rules.yaml", RULES.replace("[word]", "[verifier]"))
    assert cli("critic", "list", "rules.yaml") == 2
    assert "name it with --suite" in cli.err
    cli.write(
        "suite.yaml",
        "id: s\nsamples: {source: jsonl, path: q.jsonl}\ncritics: {verifier: {expression: \"'fool' not in reply\"}}\n"
        "measure: [{adherence: {constitution: rules.yaml}}]\n",
    )
    cli.write("q.jsonl", '{"id": "a", "prompt": "b"}\n')
    code, (one,) = cli.json("critic", "list", "rules.yaml", "--suite", "./suite.yaml")
    assert code == 0, cli.err
    assert one["why"].startswith("never calibrated here: harness critic calibrate --constitution rules.yaml --suite")
