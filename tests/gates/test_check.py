"""Three-way verdicts, their sentences, and that nothing missing ever passes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api.stats import check_gate
from harness.errors import InputError
from harness.serial import from_json, to_json
from harness.stats import MetricTable
from harness.types import Check, Gate, Unscored

GONE = Unscored(reason="time-out")


def gate(kind="max", limit=None, **options):
    return Gate(metric="harm", kind=kind, limit=limit, **options)


NON_INFERIOR = gate("non_inferior", margin=0.08, to="promoted")
SUPERIOR = gate("superior", to="promoted")


def test_the_sentence_of_the_manual(events):
    found = check_gate(gate(limit=0.05), events(4, 116))
    assert found.sentence == (
        "inconclusive: harm is 3.3 % [1.1, 7.5] against a limit of 5 %; "
        "about 968 samples would decide at this rate with 80 % power"
    )
    assert (found.status, found.method) == ("inconclusive", "Clopper–Pearson")


@pytest.mark.parametrize(
    "condition", [gate(limit=0.1), NON_INFERIOR, gate("max_worse", 0.05, to="promoted", margin=0.5)]
)
def test_without_advice_the_verdict_is_the_same(events, condition):
    arms = events(5, 35), events(2, 38) if condition.to else None
    whole, short = (check_gate(condition, *arms, advises=advises) for advises in (True, False))
    assert whole.status == short.status == "inconclusive"
    assert "would decide" in whole.sentence
    assert short.sentence == whole.sentence.partition("; ")[0]


@pytest.mark.parametrize(
    ("condition", "yes", "no", "unscored", "sentence"),
    [
        (gate(limit=0.3), 4, 116, 0, "passed: harm is 3.3 % [1.1, 7.5], within the limit of 30 %"),
        (gate(limit=0.05), 40, 80, 0, "failed: harm is 33.3 % [26.2, 41.1] against a limit of 5 %"),
        (gate("min", 0.9), 119, 1, 0, "passed: harm is 99.2 % [96.1, 100.0], above the minimum of 90 %"),
        (gate("min", 0.9), 60, 60, 0, "failed: harm is 50.0 % [42.1, 57.9] against a minimum of 90 %"),
        (gate(limit=0.05), 0, 20, 0,
         ("inconclusive: harm is 0.0 % [0.0, 13.9] against a limit of 5 %; "
          "20 samples could not pass even with perfect data, at least 59 are needed")),
        (gate(limit=0.1), 4, 110, 6,
         ("inconclusive: harm is 3.5 % [1.1, 13.7], with 6 of 120 unscored taken as the worst, against a limit of 10 %; "
          "the unscored samples alone keep it open: see why they could not be scored")),
        (gate(limit=0.05, evidence="point"), 4, 116, 0,
         "passed: harm is 3.3 %, within the limit of 5 % (point value, no interval)"),
        (gate(limit=0.05), 0, 0, 5, "inconclusive: harm has no value: nothing could be scored"),
        (gate(limit=0.05), 0, 0, 0, "inconclusive: harm has no value: no sample is in the denominator"),
        (gate("max_unscored", 0.1), 4, 110, 6,
         "passed: 6 of 120 samples of harm are unscored (5.0 %), within a limit of 10 %"),
        (gate("max_unscored", 0.01), 4, 110, 6,
         "failed: 6 of 120 samples of harm are unscored (5.0 %), against a limit of 1 %"),
        (gate("max_unscored", 0.01), 0, 0, 0, "inconclusive: no sample is in the denominator of harm"),
    ],
)  # fmt: skip
def test_sentences_of_limits(condition, yes, no, unscored, sentence, events):
    found = check_gate(condition, events(yes, no, unscored))
    assert found.sentence == sentence
    assert sentence.startswith(found.status)


@pytest.mark.parametrize(
    ("condition", "candidate", "baseline", "sentence"),
    [
        (NON_INFERIOR, (4, 116), (3, 117),
         "passed: harm is 3.3 % against 2.5 % of promoted: +0.8 points [-1.4, 3.9], within a margin of 8 points"),
        (NON_INFERIOR, (40, 80), (4, 116),
         "failed: harm is 33.3 % against 3.3 % of promoted: +30.0 points [23.6, 37.6], against a margin of 8 points"),
        (NON_INFERIOR, (0, 20), (0, 20),
         ("inconclusive: harm is 0.0 % against 0.0 % of promoted: +0.0 points [-13.9, 13.9], against a margin of 8 "
          "points; 20 samples could not pass even with a candidate that gives the baseline's result on every sample, at least "
              "36 are needed")),
        (SUPERIOR, (4, 116), (40, 80),
         "passed: harm is 3.3 % against 33.3 % of promoted: -30.0 points [-37.6, -23.6], which is better"),
        (SUPERIOR, (40, 80), (4, 116),
         "failed: harm is 33.3 % against 3.3 % of promoted: +30.0 points [23.6, 37.6], which is worse"),
        (SUPERIOR, (10, 50), (13, 47),
         ("inconclusive: harm is 16.7 % against 21.7 % of promoted: -5.0 points [-12.4, 0.0], where it should be better; "
          "about 134 samples would decide at this difference with 80 % power")),
        (gate("superior", to="base", evidence="point"), (10, 50), (13, 47),
         "passed: harm is 16.7 % against 21.7 % of base: -5.0 points, which is better (point values, no interval)"),
    ],
)  # fmt: skip
def test_sentences_of_comparisons(condition, candidate, baseline, sentence, events):
    found = check_gate(condition, events(*candidate), events(*baseline))
    assert found.sentence == sentence
    assert found.baseline is not None


def test_a_higher_metric_is_compared_the_other_way(events):
    better, worse = events(100, 20, direction="higher"), events(20, 100, direction="higher")
    assert check_gate(SUPERIOR, better, worse).status == "passed"
    assert check_gate(NON_INFERIOR, worse, better).status == "failed"


def test_a_perplexity_that_rose_within_its_margin(plain, make_table):
    generator = np.random.default_rng(0)
    metric = plain("ratio", name="harm")
    tokens = generator.integers(10, 40, 200).astype(float)
    base = tokens * generator.gamma(20, 0.15, 200)
    rise = base + tokens * generator.normal(0.04, 0.1, 200)
    tables = [
        make_table(metric, [(float(a), float(b)) for a, b in zip(sums, tokens, strict=True)]) for sums in (rise, base)
    ]
    condition = gate("non_inferior", margin=0.1, to="promoted")
    found = check_gate(condition, *tables)
    assert found.status == "passed"
    assert 0 < found.difference < found.high < 0.1
    assert found.p < 0.05
    tight = check_gate(gate("non_inferior", margin=0.045, to="promoted"), *tables)
    assert tight.status == "inconclusive"
    assert "samples would decide at this difference" in tight.sentence


def test_a_comparison_counts_pairs_and_says_so(plain, make_table):
    metric = plain("proportion", name="harm")
    candidate = make_table(metric, [(0, 1)] * 120)
    baseline = make_table(metric, [GONE] * 3 + [(0, 1)] * 117)
    found = check_gate(gate("non_inferior", margin=0.2, to="promoted"), candidate, baseline)
    assert "with 3 of 120 pairs unscored taken as the worst" in found.sentence
    assert found.estimate.unscored == 0


def test_unscored_samples_of_an_unbounded_metric_decide_nothing(plain, make_table):
    rows = [(float(i % 13), 1.0) for i in range(60)]
    found = check_gate(gate(limit=100.0), make_table(plain("mean", name="harm"), [*rows, GONE]))
    assert found.status == "inconclusive"
    assert "1 of 61 unscored that could be anything" in found.sentence


def test_few_clusters_decide_nothing_by_bounds(plain, make_table):
    table = make_table(plain("proportion", name="harm"), [(0, 1)] * 200, [f"c{i % 10}" for i in range(200)])
    found = check_gate(gate(limit=0.5), table)
    assert found.status == "inconclusive"
    assert found.sentence.endswith("its 200 samples come in 10 clusters, and at least 20 are needed")
    assert check_gate(gate(limit=0.5, evidence="point"), table).status == "passed"


def test_a_run_metric_by_its_point(plain):
    metric = plain("run", name="harm", unit="ms")
    condition = gate(limit=500, evidence="point")
    assert check_gate(condition, MetricTable.of_run(metric, 431.2)).sentence == (
        "passed: harm is 431 ms, within the limit of 500 ms (point value, no interval)"
    )
    assert check_gate(condition, MetricTable.of_run(metric, GONE)).status == "inconclusive"


def test_a_comparison_without_a_baseline_is_an_input_error(events):
    with pytest.raises(InputError, match=r"compares with promoted.*--baseline"):
        check_gate(NON_INFERIOR, events(1, 9))


OUTCOMES = st.lists(st.sampled_from(["yes", "no", "gone"]), min_size=1, max_size=80)
CONDITIONS = st.sampled_from(
    [
        gate(limit=0.2),
        gate("min", 0.2),
        gate(limit=0.5, evidence="point"),
        NON_INFERIOR,
        SUPERIOR,
        gate("equivalent", margin=0.2, to="base"),
    ]
)


@settings(max_examples=120, deadline=None)
@given(OUTCOMES, OUTCOMES, CONDITIONS, st.sampled_from(["higher", "lower"]))
def test_losing_a_score_never_makes_a_gate_pass(plain, make_table, first, second, condition, direction):
    n = min(len(first), len(second))
    metric = plain("proportion", direction, name="harm")
    rows = {"yes": (1, 1), "no": (0, 1), "gone": GONE}
    candidate, baseline = ([rows[name] for name in names[:n]] for names in (first, second))
    tables = make_table(metric, candidate), make_table(metric, baseline)
    whole = check_gate(condition, *tables)
    with_hole = check_gate(condition, make_table(metric, [GONE, *candidate[1:]]), tables[1])
    if with_hole.status == "passed":
        assert whole.status == "passed"
    if whole.estimate.value is None:
        assert whole.status == "inconclusive"
    if condition.evidence == "bound" and whole.p is not None:
        assert (whole.status == "passed") == (whole.p <= 0.05 + 1e-9)
    assert from_json(Check, to_json(whole)) == whole
