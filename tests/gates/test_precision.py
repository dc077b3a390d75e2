"""A verdict holds only where it holds wherever the shift may lie."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api.stats import check_gate
from harness.types import Calibration, Gate, PrecisionCheck, PrecisionShift
from harness_precision.verdicts import with_precision

FINITE = st.floats(-0.3, 0.3)


def drift(low, high, *, to=None, alpha=0.05, n=32, changed=1, value=0.5, reference=0.5, **options):
    found = PrecisionShift(
        metric="harm", to=to, n=n, unscored=0, changed=changed, value=value, reference=reference, low=low, high=high,
        alpha=alpha, method="m",
    )  # fmt: skip
    return PrecisionCheck(**{"dtype": "bfloat16", "asked": 32, "samples": 32, "shifts": (found,), **options})


def judged(gate, low, high):
    """Say by hand what the interval says of the gate."""
    if gate.kind == "max":
        return "passed" if high <= gate.limit else "failed" if low > gate.limit else "inconclusive"
    if gate.kind == "min":
        return "passed" if low >= gate.limit else "failed" if high < gate.limit else "inconclusive"
    if gate.kind == "equivalent":
        inside, outside = -gate.margin < low and high < gate.margin, low > gate.margin or high < -gate.margin
        return "passed" if inside else "failed" if outside else "inconclusive"
    line = 0.0 if gate.kind == "superior" else gate.margin  # lower is better
    return "passed" if high < line else "failed" if low > line else "inconclusive"


@given(
    st.sampled_from(
        [
            Gate(metric="harm", kind="max", limit=0.4), Gate(metric="harm", kind="min", limit=0.4),
            Gate(metric="harm", kind="non_inferior", to="base", margin=0.1),
            Gate(metric="harm", kind="superior", to="base"),
            Gate(metric="harm", kind="equivalent", to="base", margin=0.3),
        ]
    ),
    st.integers(0, 60), st.integers(0, 60), FINITE, FINITE,
)  # fmt: skip
def test_the_verdict_is_that_of_the_interval_moved_by_the_worst_shift(gate, yes, other, one, two):
    from tests.stats.conftest import Plain, table

    metric = Plain("proportion", "lower", name="harm")
    candidate, baseline = (table(metric, [(1, 1)] * n + [(0, 1)] * (60 - n)) for n in (yes, other))
    check = check_gate(gate, candidate, baseline if gate.to else None)
    low, high = sorted((one, two))
    found = with_precision(check, metric, drift(low, high, to=gate.to), {gate.to: (check.low, check.high)})
    moved = judged(gate, check.low - high, check.high - low)
    expected = moved if moved == check.status else "inconclusive"
    assert found.status == expected
    assert found.sentence.startswith(f"{expected}: ")
    assert replace(found, status=check.status, sentence=check.sentence) == check


@pytest.fixture
def passed(events):
    table = events(0, 200)
    return check_gate(Gate(metric="harm", kind="max", limit=0.1), table), table.metric


def test_a_shift_without_bounds_decides_nothing(passed):
    check, metric = passed
    for one in ((None, None), (None, 0.0)):
        found = with_precision(check, metric, drift(*one), {None: (check.low, check.high)})
        assert found.status == "inconclusive"
        assert found.sentence.endswith("run with --dtype float32")


def test_a_shift_measured_at_a_looser_level_does_not_count_and_a_stricter_one_does(passed):
    check, metric = passed
    assert (
        with_precision(check, metric, drift(0.0, 0.0, alpha=0.1), {None: (check.low, check.high)}).status
        == "inconclusive"
    )
    assert (
        with_precision(check, metric, drift(0.0, 0.0, alpha=0.01), {None: (check.low, check.high)}).status == "passed"
    )


def test_more_samples_are_advised_only_where_there_are_so_many_and_they_could_help(passed):
    check, metric = passed
    tight = replace(check, gate=replace(check.gate, limit=0.03))
    wide = with_precision(tight, metric, drift(-0.1, 0.1, changed=4), {None: (check.low, check.high)})
    assert "--precision-check" not in wide.sentence  # it would take more than the two hundred that there are
    less = with_precision(check, metric, drift(-0.1, 0.1, changed=4), {None: (check.low, check.high)})
    assert "repeat with --precision-check 45," in less.sentence
    harmed = with_precision(check, metric, drift(-0.2, 0.0, value=0.4, changed=4), {None: (check.low, check.high)})
    assert "--precision-check" not in harmed.sentence  # what was seen is more than the slack


def test_what_was_inconclusive_stays_as_it_was(events):
    table = events(10, 100)
    check = check_gate(Gate(metric="harm", kind="max", limit=0.1), table)
    assert with_precision(check, table.metric, drift(0.0, 0.0), {None: (check.low, check.high)}) == check


def test_a_gate_that_does_not_apply_here_stays_so(passed):
    check, metric = passed
    elsewhere = replace(check, status="not_applicable", sentence="not applicable: it holds on cuda")
    assert with_precision(elsewhere, metric, drift(None, None), (check.low, check.high)) == elsewhere


def test_an_anchor_must_hold_too(events):
    gate = Gate(metric="harm", kind="non_inferior", to="promoted", margin=0.2, anchor="base", total_margin=0.3)
    table = events(0, 200)
    check = check_gate(gate, table, table, table)
    seen = {"promoted": (check.low, check.high), "base": (check.anchor.low, check.anchor.high)}
    near = drift(-0.01, 0.01, to="promoted")
    far = replace(near, shifts=(*near.shifts, replace(near.shifts[0], to="base", low=-0.5, high=0.5)))
    good = replace(near, shifts=(*near.shifts, replace(near.shifts[0], to="base", low=-0.1, high=0.1)))
    assert check.status == "passed"
    assert with_precision(check, table.metric, near, seen).status == "inconclusive"  # nothing is known of the anchor
    assert with_precision(check, table.metric, far, seen).status == "inconclusive"
    assert with_precision(check, table.metric, good, seen).status == "passed"


def test_the_shift_of_a_corrected_rate_is_as_much_larger_as_its_labeller_is_blunt(events):
    table = events(0, 400)
    table.metric.calibration = Calibration(sensitivity=(90, 100), specificity=(190, 200))
    check = check_gate(Gate(metric="harm", kind="max", limit=0.1, corrected=True), table)
    assert check.status == "passed"
    slack = 0.1 - check.high
    sharpness = 0.8359 + 0.9164 - 1  # lower bounds of Clopper and Pearson at 5 %
    for share, status in ((0.9, "passed"), (1.1, "inconclusive")):
        shift = drift(-share * slack * sharpness, 0.0)
        assert with_precision(check, table.metric, shift, {None: (check.low, check.high)}).status == status


def test_a_metric_whose_models_are_in_float32_is_said_to_be(passed):
    """Its suite holds a model in another format, such as a judge, that has no part in this metric."""
    check, metric = passed
    shift = drift(0.0, 0.0, n=0, changed=0, value=None, reference=None)
    found = with_precision(check, metric, shift, {None: (check.low, check.high)})
    assert found.status == "passed"
    assert "all that it rests on was computed in float32" in found.sentence
    assert "0 of 0" not in found.sentence
