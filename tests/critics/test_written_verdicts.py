"""Judges without log-probabilities: written verdicts, and multiple choice by letters, from a server on loopback."""

from __future__ import annotations

import json

import pytest

from harness.cli.main import run as harness_cli
from harness.errors import InputError
from harness.types import Completion, LogLikelihood
from harness_critics.judge_text import JudgeTextCritic, Scale, read_written
from tests.critics.test_more_critics import completion, judge, logprob
from tests.models.serving import Server, said

SCALE = {"poor": "it is rude", "fair": "it is curt", "good": "it is civil"}


def test_a_scale_of_ones_own_is_asked_for_and_read():
    asked = []

    def answer(role, request):
        asked.append(request.messages[-1].content)
        return completion('{"reasons": "Short.", "mark": "fair"}')

    score, note = judge("judge-text", {"scale": SCALE, "weighted": False}, "Good day", answer)
    assert (score, note) == (0.5, "mark fair: Short.")
    assert "poor: it is rude\nfair: it is curt\ngood: it is civil" in asked[0]
    assert '"mark": "poor" or "fair" or "good"' in asked[0]


def test_marks_of_a_scale_are_weighted_by_their_probabilities():
    chances = {"poor": 0.0625, "fair": 0.1875, "good": 0.75}

    def answer(role, request):
        if isinstance(request, LogLikelihood):
            return logprob(chances[request.continuation])
        return completion('{"reasons": "Civil.", "mark": "good"}')

    score, _ = judge("judge-text", {"scale": SCALE}, "Good day", answer)
    assert score == pytest.approx((0.1875 + 2 * 0.75) / 2)


@pytest.mark.parametrize("mark", ["great", 2, "Good"])
def test_another_mark_is_no_answer(mark):
    written, problem = read_written(json.dumps({"reasons": "x", "mark": mark}), Scale.of(SCALE))
    assert written is None
    assert "poor, fair, good" in problem


def test_one_mark_is_no_scale():
    with pytest.raises(InputError, match="one mark tells nothing apart"):
        JudgeTextCritic({"scale": {"good": "it is"}})


def test_the_scale_is_part_of_the_critic():
    prints = {
        JudgeTextCritic(options).fingerprint() for options in ({}, {"scale": SCALE}, {"scale": {**SCALE, "best": "x"}})
    }
    assert len(prints) == 3


@pytest.fixture
def server():
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


SUITE = """\
id: served
samples: {source: jsonl, path: rows.jsonl}
ask: {max_new_tokens: 16}
measure: [letter_accuracy, {adherence: {constitution: rules.yaml}}]
"""
RULES = """\
id: rules
principles:
  - {id: civil, text: Be civil., critics: [judge]}
"""


def test_a_server_without_probabilities_judges_and_chooses(server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    places = []

    def answer(body):
        text = body["messages"][-1]["content"]
        if "logprobs" in body or "to be judged" in text or "could not be read" in text:
            written = "no JSON at first" if len(body["messages"]) == 1 else '{"reasons": "Civil.", "mark": 5}'
            return said("Yes" if "logprobs" in body else written)
        lines = [line for line in text.splitlines() if line.endswith(". Paris")]
        if not lines:
            return said("It is Paris.")
        (line,) = lines
        places.append(line[0])
        return said(f"({line[0]})")

    server.answer = answer
    rows = [
        {
            "id": f"q{n}",
            "prompt": f"Capital of France, {n}?",
            "choices": ["Rome", "Paris", "Bern"],
            "answer": 1,
            "target": "Paris",
        }
        for n in range(8)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "served.yaml").write_text(SUITE)
    (tmp_path / "rules.yaml").write_text(RULES)
    model = f"openai:some@{server.url}"

    def ran(*more):
        code = harness_cli(["run", "served.yaml", "--model", model, "--judge", model, "--no-gates", "--json", *more])
        out = capsys.readouterr()
        assert code == 0, out.err
        return {one["metric"]: one for one in json.loads(out.out)["runs"][0]["run"]["estimates"]}

    plain = ran()
    assert (plain["letter_accuracy"]["value"], plain["letter_accuracy"]["unscored"]) == (1.0, 0)
    assert len(set(places)) > 1
    assert plain["adherence.civil"]["unscored"] == 8
    written = ran("--set", "critics.judge.writes=true")
    assert (written["adherence.civil"]["value"], written["adherence.civil"]["unscored"]) == (1.0, 0)


def test_a_judge_that_never_writes_the_form_leaves_everything_unscored():
    score, _ = judge("judge", {"writes": True}, "Good day", lambda role, request: completion("Fine!"))
    assert "nothing that could be read in 3 answers" in score.reason
    assert isinstance(completion("x"), Completion)
