"""Labels by people: drawn once with known probabilities, kept, and believed for the very replies they are of."""

from __future__ import annotations

import io
import json

import pytest

import harness
from harness.cli.main import run as cli
from harness.errors import InputError
from harness_review.agreement import agreement, krippendorff_alpha

PLUGIN = """
from harness import hookimpl
from harness.api import Critic, Example, Principle


class Word(Critic):
    def fingerprint(self):
        return "word 1"

    def score(self, sample, reply, principle, replies, findings):
        return (0.0 if "1" in reply.text else 1.0), ""


@hookimpl
def register_critics(register):
    register("word", Word)


@hookimpl
def register_principles(register):
    examples = (Example(kind="fail", prompt="Hi", response="1"),)
    register(Principle(id="polite", text="Be polite.", critics=("word",), examples=examples))
"""
SUITE = """\
id: manners
samples: {source: jsonl, path: asked.jsonl}
ask: {max_new_tokens: 4, temperature: 0}
measure:
  - adherence: {principles: [polite]}
gates:
  - {metric: adherence, each: principle, min: 0.8, correction: prediction_powered}
"""
METRIC = "adherence.polite"


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "manners.py").write_text(PLUGIN)
    (tmp_path / "harness.yaml").write_text('model: "echo:"\nplugins: [./manners.py]\n')
    (tmp_path / "suite.yaml").write_text(SUITE)
    ask(tmp_path, 200)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(place, count):
    rows = [{"id": f"q{i}", "prompt": f"Say {i}"} for i in range(count)]
    (place / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def gate():
    with harness.open(offline=True) as session:
        (check,) = session.run("./suite.yaml").checks
        return check


def called(capsys, *words, keys=None, monkeypatch=None):
    if keys is not None:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{key}\n" for key in keys)))
    code = cli(["review", *words])
    found = capsys.readouterr()
    return code, found.out, found.err


def sheet(place, capsys, label, *words, name="sheet.jsonl"):
    assert called(capsys, "latest", "--sheet", name, *words)[0] == 0
    rows = [json.loads(line) for line in (place / name).read_text().splitlines()]
    for row in rows:
        row["label"] = label(row["conversation"])
    (place / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def test_a_gate_waits_for_labels_and_then_goes_by_them(place, capsys):
    before = gate()
    assert before.status == "inconclusive"
    assert f"harness review latest --metric {METRIC}, and run again" in before.sentence
    assert before.corrected is None
    # The critic says that 81 of 200 follow, people that all do.
    rows = sheet(place, capsys, lambda turns: "follows")
    assert len(rows) == 100
    assert not any("word" in json.dumps(row) or "echo" in json.dumps(row) for row in rows)  # blind
    code, out, _ = called(capsys, "latest", "--data", "sheet.jsonl", "--rater", "ann")
    assert code == 0
    assert "100 of 100 replies labelled by 1 rater" in out
    assert "passed: adherence.polite is 100.0 %" in out
    after = gate()
    assert after.status == "passed"
    assert after.estimate.value == pytest.approx(81 / 200)
    assert after.corrected.value == 1.0
    assert after.low > 0.93
    assert "by 100 labels of 200 samples (PPI++)" in after.sentence


def test_labels_of_other_replies_count_for_nothing(place, capsys):
    gate()
    sheet(place, capsys, lambda turns: "follows")
    called(capsys, "latest", "--data", "sheet.jsonl")
    assert gate().status == "passed"
    ask(place, 201)
    assert gate().status == "inconclusive"


def test_half_a_sample_decides_nothing(place, capsys):
    gate()
    rows = sheet(place, capsys, lambda turns: "follows")
    (place / "sheet.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:60]))
    code, out, _ = called(capsys, "latest", "--data", "sheet.jsonl")
    assert (code, "60 of 100 replies labelled" in out) == (0, True)
    check = gate()
    assert check.status == "inconclusive"
    assert "40 of the 100 replies drawn for adherence.polite are not labelled yet" in check.sentence


def test_keys_resume_go_back_and_skip(place, capsys, monkeypatch):
    gate()
    how = {"monkeypatch": monkeypatch}
    code, out, _ = called(capsys, "latest", "--sample", "40", "--rater", "ann", keys="ffbq", **how)
    assert code == 0
    assert "1 of 40: [f]ollows, [b]reaks, [s]kip, [u]ndo, [q]uit" in out
    assert "Does the reply follow this principle? Be polite." in out
    assert "3 of 40 replies labelled by 1 rater" in out
    # The fourth is taken back and said anew.
    code, out, _ = called(capsys, "latest", "--rater", "ann", keys=["f", "u", "s", "?", *"f" * 36], **how)
    assert "4 of 40: " in out
    assert "40 of 40 replies labelled by 1 rater" in out
    code, out, _ = called(capsys, "latest", "--json", "--rater", "ann")
    found = json.loads(out)
    assert sorted(found["labels"]["ann"][0].values()).count("yes") == 38
    assert sorted(found["labels"]["ann"][0].values()).count("skip") == 1
    assert found["missing"] == 0
    assert {one["probability"] for one in found["samples"][0]["drawn"]} == {0.2}
    assert found["samples"][0]["run"].endswith("manners-" + found["samples"][0]["run"][-6:])


def test_several_raters_and_their_agreement(place, capsys):
    gate()
    rows = sheet(place, capsys, lambda turns: "follows", "--sample", "40")
    called(capsys, "latest", "--data", "sheet.jsonl", "--rater", "ann")
    for row in rows[:20]:
        row["label"] = "breaks"
    (place / "sheet.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, out, _ = called(capsys, "latest", "--data", "sheet.jsonl", "--rater", "ben")
    assert "40 of 40 replies labelled by 2 raters; Krippendorff's alpha -0.32 [" in out
    check = gate()  # where two are at odds nobody knows, and each bound takes the worst
    assert check.low < 0.4
    assert check.high > 0.95


def test_other_draws_of_the_same_replies_are_refused(place, capsys):
    gate()
    called(capsys, "latest", "--sample", "40", "--json")
    code, _, err = called(capsys, "latest", "--sample", "50", "--json")
    assert code == 2
    assert "40 of these replies were drawn already, uniform, with seed 0" in err
    code, _, err = called(capsys, "latest", "--seed", "1", "--json")
    assert code == 2
    assert "leave out --seed" in err


def test_a_dry_run_keeps_nothing(place, capsys):
    gate()
    code, out, _ = called(capsys, "latest", "--sample", "40", "--dry-run")
    assert code == 0
    assert "40 of 200 samples for adherence.polite, uniform" in out
    assert called(capsys, "latest", "--sample", "50", "--json")[0] == 0


def test_by_uncertainty_probabilities_are_known(place, capsys):
    gate()
    _, out, _ = called(capsys, "latest", "--by", "uncertainty", "--sample", "100", "--json")
    (sample,) = json.loads(out)["samples"]
    strata = sample["strata"]
    assert {name: len(members) for name, members in strata.items()} == {"near the threshold": 50, "far from it": 150}
    near = [one for one in sample["drawn"] if one["id"] in strata["near the threshold"]]
    assert len(near) == 45
    assert {one["probability"] for one in near} == {0.9}
    assert {one["probability"] for one in sample["drawn"]} == {0.9, 55 / 150}
    sheet(place, capsys, lambda turns: "follows")
    called(capsys, "latest", "--data", "sheet.jsonl")
    assert gate().status == "passed"


@pytest.mark.parametrize(("row", "why"), [
    ('{"review": "nothing", "label": "follows"}', "'nothing' is not among the 40 replies drawn here"),
    ('{"label": "follows"}', "this is no label (Field required)"),
    ('{"review": "x", "label": "perhaps"}', "this is no label"),
    ("", "holds no labels"),
])  # fmt: skip
def test_what_is_no_label_is_refused_with_its_line(place, capsys, row, why):
    gate()
    called(capsys, "latest", "--sample", "40", "--json")
    (place / "bad.jsonl").write_text(row + "\n")
    code, _, err = called(capsys, "latest", "--data", "bad.jsonl")
    assert code == 2
    assert why in err
    assert "bad.jsonl" in err


def test_what_is_not_measured_is_refused(place, capsys):
    gate()
    code, _, err = called(capsys, "latest", "--metric", "adherence")
    assert (code, "does not measure the share 'adherence'" in err) == (2, True)
    code, _, err = called(capsys, "latest", "--sample", "500", "--json")
    assert (code, "500 samples are wanted, and 200 have a reply" in err) == (2, True)


@pytest.mark.parametrize(("line", "why"), [
    ("{metric: adherence, each: principle, min: 0.8, correction: prediction_powered, evidence: point}", "for bounds, without"),
    ("{metric: adherence, each: principle, min: 0.8, correction: prediction_powered, corrected: true}", "keep one"),
    ("{metric: repetition, max: 0.5, correction: prediction_powered}", "is for shares, and repetition is none"),
])  # fmt: skip
def test_gates_that_labels_cannot_decide_are_refused(place, line, why):
    text = SUITE[: SUITE.index("  - {metric")] + f"  - {line}\n"
    (place / "suite.yaml").write_text(text.replace("gates:", "  - repetition\ngates:"))
    with pytest.raises(InputError, match=why):
        gate()


def test_alpha_is_krippendorffs():
    # Krippendorff, Computing Krippendorff's alpha-reliability (2011), example C: nominal, four observers, missing data.
    observers = (
        "1 2 3 3 2 1 4 1 2 * * *",
        "1 2 3 3 2 2 4 1 2 5 * 3",
        "* 3 3 3 2 3 4 2 2 5 1 *",
        "1 2 3 3 2 4 4 1 2 5 1 *",
    )
    items = [
        [label for label in labels if label != "*"] for labels in zip(*(one.split() for one in observers), strict=True)
    ]
    assert krippendorff_alpha(items) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha([["a", "a"], ["a", "a"]]) is None
    assert krippendorff_alpha([["a"], ["b"]]) is None
    raters = {f"r{n}": {str(i): label for i, label in enumerate(one.split()) if label != "*"}
              for n, one in enumerate(observers)}  # fmt: skip
    found = agreement(raters)
    assert (found.items, found.raters) == (11, 4)
    assert found.low < 0.743 < found.high <= 1.0
