"""Calibrations: counted on labelled replies, kept as artifacts, and believed only for what was calibrated."""

from __future__ import annotations

import json

import pytest

import harness
from harness.cli.main import run as cli
from harness.errors import BrokenRunError, InputError
from harness.evaluation.calibrate import read_labelled

PLUGIN = '''
"""A critic that looks for a word, and a principle that it judges."""

from harness import hookimpl
from harness.api import Critic, Principle


class Word(Critic):
    def fingerprint(self):
        return "word 1"

    def score(self, sample, reply, principle, replies, findings):
        return (0.0 if "fool" in reply.text else 1.0), ""


@hookimpl
def register_critics(register):
    register("word", Word)


@hookimpl
def register_principles(register):
    register(Principle(id="polite", text="Be polite.", critics=("word",)))
'''
SUITE = """\
id: manners
samples: {source: jsonl, path: asked.jsonl}
ask: {max_new_tokens: 4, temperature: 0}
measure:
  - adherence: {principles: [polite], calibration: {polite: stored}}
gates:
  - {metric: adherence.polite, min: 0.5, evidence: point}
"""


def rows(count=30, missed=1):
    """Return labelled replies; the critic misses some violations."""
    bad = [{"prompt": f"p{i}", "response": "you fool" if i >= missed else "you twit", "label": 0} for i in range(count)]
    good = [{"prompt": f"p{i}", "response": f"thank you {i}", "label": "follows"} for i in range(count)]
    return bad + good


def write(path, values):
    path.write_text("".join(json.dumps(value) + "\n" for value in values), "utf-8")
    return path


@pytest.fixture
def session(tmp_path):
    (tmp_path / "manners.py").write_text(PLUGIN)
    (tmp_path / "harness.yaml").write_text('model: "echo:"\n')
    (tmp_path / "suite.yaml").write_text(SUITE)
    write(tmp_path / "asked.jsonl", [{"id": f"q{i}", "prompt": f"Say {i}"} for i in range(20)])
    with harness.open(tmp_path, plugins=str(tmp_path / "manners.py"), offline=True) as opened:
        yield opened


def test_it_counts_and_keeps(session, tmp_path):
    found = session.calibrate("word", "polite", write(tmp_path / "data.jsonl", rows()))
    assert (found.sensitivity, found.specificity, found.unscored) == ((29, 30), (30, 30), 0)
    assert found.auc == pytest.approx(1 - 1 / 60)
    assert found.labeller.startswith("sha256:")
    assert session.calibrations() == [found]
    folder = session.workspace.artifacts / "calibration" / found.id
    record = json.loads((folder / "artifact.json").read_text())
    assert record["inputs"]["data"] == found.data
    assert record["inputs"]["critic word"] == found.fingerprints["word"]
    assert session.calibrate("word", "polite", tmp_path / "data.jsonl").id == found.id  # the same counts of the same
    (folder / "calibration.json").write_text("{}")
    with pytest.raises(BrokenRunError, match="has changed since it was stored"):
        session.calibrations()


def gate(session):
    (check,) = session.run("./suite.yaml").checks
    return check


def test_a_gate_rests_on_the_calibration_of_what_judges_and_on_no_other(session, tmp_path):
    before = gate(session)
    assert before.status == "inconclusive"
    assert (
        "never calibrated for polite: harness critic calibrate word --principle polite --data FILE" in before.sentence
    )
    data = write(tmp_path / "data.jsonl", rows())
    found = session.calibrate("word", "polite", data)
    after = gate(session)
    assert after.status == "passed"
    assert f"found 29 of 30 violations and let 30 of 30 others through (calibration {found.id})" in after.sentence
    (tmp_path / "other").mkdir()
    plugin = tmp_path / "other" / "manners.py"
    plugin.write_text(PLUGIN.replace('"word 1"', '"word 2"'))  # the critic's code is another now
    changed = harness.open(tmp_path, plugins=str(plugin), offline=True)
    assert gate(changed).status == "inconclusive"


def test_critics_that_are_no_better_than_guessing_hold_no_gate(session, tmp_path):
    session.calibrate("word", "polite", write(tmp_path / "data.jsonl", rows(missed=28)))
    check = gate(session)
    assert check.status == "inconclusive"
    assert "its labeller found" in check.sentence


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (rows()[:30], "every reply breaks the principle"),
        ([], "holds no rows"),
        ([*rows(2), {**rows(2)[0], "label": 1}], r"data.jsonl:5: label: this reply is labelled otherwise on line 1"),
        ([*rows(2), {"prompt": "p", "response": "r"}], r"data.jsonl:5: label: the key 'label' is missing"),
        ([*rows(2), {"prompt": "p", "response": "r", "label": "good"}], r"data.jsonl:5: label: "),
        ([*rows(2), {"response": "r", "label": 1}], "needs either prompt or messages"),
        ([*rows(2), "text"], r"data.jsonl:5: is no JSON object"),
    ],
)
def test_data_that_are_not_what_they_should_be_get_one_sentence(tmp_path, values, message):
    with pytest.raises(InputError, match=message) as error:
        read_labelled(write(tmp_path / "data.jsonl", values))
    assert "\n" not in str(error.value)


def test_what_is_no_json_lines_is_refused(tmp_path):
    (tmp_path / "data.jsonl").write_text("prompt,response,label\n")
    with pytest.raises(InputError, match=r"data.jsonl:1: "):
        read_labelled(tmp_path / "data.jsonl")


def test_twins_count_once(tmp_path):
    assert len(read_labelled(write(tmp_path / "data.jsonl", rows(3) + rows(3)))) == 6


def test_the_commands(session, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    data = write(tmp_path / "data.jsonl", rows())
    asked = ["critic", "calibrate", "word", "--principle", "polite", "--data", str(data), "-p", "manners.py"]
    assert cli(asked) == 0
    text = capsys.readouterr().out
    assert "29/30" in text
    assert "0.98" in text
    assert cli(["critic", "show", "polite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["sensitivity"] == [29, 30]
