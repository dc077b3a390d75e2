"""Comparisons by labels: both arms are labelled together, and nobody sees whose reply it is."""

from __future__ import annotations

import json

import harness
from harness.cli.main import run as cli

PLUGIN = """
from harness import hookimpl
from harness.api import Critic, Example, Principle


class Half(Critic):
    def fingerprint(self):
        return "half 1"

    def score(self, sample, reply, principle, replies, findings):
        return float(len(reply.text) % 2), ""


@hookimpl
def register_critics(register):
    register("half", Half)


@hookimpl
def register_principles(register):
    examples = (Example(kind="fail", prompt="Hi", response="1"),)
    register(Principle(id="polite", text="Be polite.", critics=("half",), examples=examples))
"""
SUITE = """\
id: manners
samples: {source: jsonl, path: asked.jsonl}
ask: {max_new_tokens: 3, temperature: 0}
measure:
  - adherence: {principles: [polite]}
gates:
  - metric: adherence
    each: principle
    non_inferior: {to: base, margin: 0.2}
    correction: prediction_powered
"""


def test_a_comparison_goes_by_labels_of_both_arms(tmp_path, monkeypatch, capsys, tiny_base, tiny_adapter):
    (tmp_path / "manners.py").write_text(PLUGIN)
    (tmp_path / "harness.yaml").write_text(f"model: {tiny_base}\nplugins: [./manners.py]\n")
    (tmp_path / "suite.yaml").write_text(SUITE)
    rows = [{"id": f"q{i}", "prompt": f"Say {i}"} for i in range(60)]
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)

    def decided():
        with harness.open(offline=True) as session:
            found = session.run("./suite.yaml", adapter=str(tiny_adapter))
            return found.record.baseline_runs["base"], found.checks[0]

    base, before = decided()
    assert before.status == "inconclusive"
    assert "harness review latest --metric adherence.polite --with RUN-OF-THE-OTHER" in before.sentence
    together = ["review", "latest", "--with", base, "--sample", "40"]
    assert cli([*together, "--sheet", "sheet.jsonl"]) == 0
    shown = [json.loads(line) for line in (tmp_path / "sheet.jsonl").read_text().splitlines()]
    assert len(shown) == 80
    text = json.dumps(shown)
    assert not any(word in text for word in ("tiny-adapter", "promoted"))
    for row in shown:
        row["label"] = "follows"
    (tmp_path / "sheet.jsonl").write_text("".join(json.dumps(row) + "\n" for row in shown))
    assert cli([*together, "--data", "sheet.jsonl", "--rater", "ann"]) == 0
    assert "80 of 80 replies labelled by 1 rater" in capsys.readouterr().out
    _, after = decided()
    assert after.status == "passed", after.sentence
    assert after.difference == 0.0
    assert -0.1 < after.low < 0.0 < after.high < 0.1
    assert "by 40 labels of 60 samples (PPI++)" in after.sentence
