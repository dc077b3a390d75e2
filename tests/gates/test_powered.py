"""Gates by labels of people, on tables: comparisons, and what leaves them open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.api.stats import check_gate
from harness.types import DrawnSample, Gate, HumanLabels, LabelSample
from tests.stats.conftest import Plain
from tests.stats.conftest import table as make_table

SAMPLES = 120


def labelled(rows, labels, strata=None):
    """Return a table whose first samples are labelled."""
    table = make_table(Plain("proportion", "higher", name="m"), [(float(row), 1.0) for row in rows])
    sample = LabelSample(
        run="r1", samples_sha256="", metric=table.metric.name, population="p", by="uniform", seed=0,
        strata=strata or {"all": table.ids},
        drawn=tuple(
            DrawnSample(id=name, content_hash="", reply_sha256="", probability=len(labels) / len(rows))
            for name in table.ids[: len(labels)]
        ),
    )  # fmt: skip
    said = {name: None if label is None else float(label) for name, label in zip(table.ids, labels, strict=False)}
    return replace(table, labels=HumanLabels(sample=sample, labels=said, raters=1))


def gate(**fields):
    return Gate(metric="m", correction="prediction_powered", **{"kind": "non_inferior", "to": "base", **fields})


def test_a_comparison_goes_by_the_labels_of_both_arms():
    verdicts = [i % 2 for i in range(SAMPLES)]
    own, its = labelled(verdicts, [1] * 60), labelled([1] * SAMPLES, [1] * 60)
    by_people = check_gate(gate(margin=0.1), own, its)
    assert by_people.status == "passed"
    assert by_people.difference == 0.0
    assert -0.1 < by_people.low < 0.0 < by_people.high < 0.1
    assert "by 60 labels of 120 samples (PPI++)" in by_people.sentence
    as_judged = check_gate(replace(gate(margin=0.1), correction=""), own, its)
    assert (as_judged.status, as_judged.difference) == ("failed", -0.5)
    worse = check_gate(gate(margin=0.1), labelled(verdicts, [0, 1] * 30), its)
    assert (worse.status, worse.difference) == ("failed", pytest.approx(-0.5))


def test_arms_whose_labels_do_not_pair_decide_nothing():
    own, its = labelled([1] * SAMPLES, [1] * 60), labelled([1] * SAMPLES, [1] * 50)
    found = check_gate(gate(margin=0.1), own, its)
    assert found.status == "inconclusive"
    assert "are of different samples: draw both together" in found.sentence
    missing = check_gate(gate(margin=0.1), own, replace(its, labels=None))
    assert missing.status == "inconclusive"
    assert "m of base has no labels by people" in missing.sentence


@pytest.mark.parametrize(("table", "why"), [
    (labelled([1] * SAMPLES, [1] * 20), "m has 20 labels, and at least 30 are needed"),
    (labelled([1] * SAMPLES, [1] * 60, {"all": ("elsewhere",)}), "were drawn from other samples"),
    (replace(labelled([1] * SAMPLES, [1] * 60), clusters=("a",) * SAMPLES), "come in clusters"),
], ids=["few", "other samples", "clusters"])  # fmt: skip
def test_labels_that_cannot_decide_leave_a_gate_open(table, why):
    found = check_gate(gate(kind="min", limit=0.5, to=None), table)
    assert found.status == "inconclusive"
    assert why in found.sentence
    assert found.corrected is None


def test_a_reply_that_nobody_could_judge_is_no_pass():
    sure = check_gate(gate(kind="min", limit=0.9, to=None), labelled([1] * SAMPLES, [1] * 60))
    unsure = check_gate(gate(kind="min", limit=0.9, to=None), labelled([1] * SAMPLES, [1] * 50 + [None] * 10))
    assert (sure.status, unsure.status) == ("passed", "inconclusive")
