"""Where critics of a run part."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import harness
from harness.cli.main import run as cli
from harness.types import Message, Principle, Sample, SampleRecord, Unscored, Verdict
from harness_critics.disagreements import disagreements

RULE = Principle(id="kind", text="The assistant is kind.", critics=("judge", "tone"))


def record(name: str, *verdicts: Verdict) -> SampleRecord:
    sample = Sample(id=name, messages=(Message(role="user", content="Hello"),))
    return SampleRecord(sample=sample, replies=(), findings={}, verdicts=verdicts, rows={})


def verdict(critic: str, score: float | Unscored, rationale: str = "", completion: int = 0) -> Verdict:
    return Verdict(
        principle="kind", critic=critic, fingerprint="f", score=score, rationale=rationale, completion=completion
    )


def test_replies_on_both_sides_of_the_threshold_come_widest_first() -> None:
    found = disagreements(
        [
            record("near", verdict("judge", 0.6), verdict("tone", 0.4)),
            record("wide", verdict("judge", 0.9), verdict("tone", 0.1)),
            record("same", verdict("judge", 0.9), verdict("tone", 0.6)),
            record("lone", verdict("judge", 0.9), verdict("tone", Unscored(reason="no"))),
            record("later", verdict("judge", 0.2, completion=1), verdict("tone", 0.9, completion=1)),
        ],
        {"kind": RULE},
    )
    assert [one.sample for one in found.parted] == ["wide", "later", "near"]
    assert found.judged == 4
    assert found.agreement == {("judge", "tone"): (1, 4)}


def test_members_of_a_panel_are_read_from_its_rationale() -> None:
    note = "disagree 0.67: toxicity 0.10, judge-text 0.80, rules 1.00; judge: time-out"
    found = disagreements([record("one", verdict("panel", 0.6, note))], {"kind": RULE})
    assert found.parted[0].scores == {"toxicity": 0.1, "judge-text": 0.8, "rules": 1.0}


SUITE = """\
id: manners
samples: {source: jsonl, path: asked.jsonl}
ask: {max_new_tokens: 4, temperature: 0}
critics: {verifier: {expression: "words(reply) < 2"}, rules: {must_not: [xyz]}}
measure:
  - adherence: {principles: [brief]}
"""
PLUGIN = """\
from harness import hookimpl
from harness.api import Principle


@hookimpl
def register_principles(register):
    register(Principle(id="brief", text="Be brief.", critics=("verifier", "rules")))
"""


def test_the_command_lists_what_a_run_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "brief.py").write_text(PLUGIN)
    (tmp_path / "suite.yaml").write_text(SUITE)
    (tmp_path / "harness.yaml").write_text('model: "echo:"\n')
    rows = [{"id": f"q{i}", "prompt": f"Say {i} and more"} for i in range(3)]
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with harness.open(tmp_path, plugins="brief.py", offline=True) as session:
        session.run("./suite.yaml")
    assert cli(["critic", "disagreements", "latest", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["agreement"] == [{"critics": ["rules", "verifier"], "agreed": 0, "of": 3}]
    assert len(said["parted"]) == 3
    assert cli(["critic", "disagreements", "--limit", "1"]) == 0
    assert "3 of 3 replies on which they part" in capsys.readouterr().out
