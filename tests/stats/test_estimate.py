"""Estimates of every kind, degenerate data, unscored samples, clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.contracts import Metric
from harness.errors import BrokenRunError, InputError
from harness.serial import from_json, to_json
from harness.stats import MetricTable, assess, estimate
from harness.types import Completion, Estimate, NotApplicable, Sample, Unscored

GONE = Unscored(reason="time-out")
ASIDE = NotApplicable(reason="not harmful")


class Distinct(Metric):
    """Share of distinct texts: set-like."""

    name, kind, direction, bounds = "distinct", "corpus", "higher", (0.0, 1.0)

    def resample(self, records, indices):
        texts = [reply.text for i in indices for reply in records[i][1]]
        return len(set(texts)) / len(texts) if texts else float("nan")


def corpus(texts, clusters=None):
    n = len(texts)
    samples = tuple(Sample(id=f"s{i}") for i in range(n))
    reply = {t: Completion(text=t, prompt_tokens=1, completion_tokens=1, finish="stop") for t in texts}
    return MetricTable(
        metric=Distinct(), ids=tuple(f"s{i}" for i in range(n)), content_hashes=("h",) * n,
        clusters=clusters or (None,) * n, rows=((),) * n,
        records=tuple((sample, (reply[t],)) for sample, t in zip(samples, texts, strict=True)),
    )  # fmt: skip


def test_a_proportion(events):
    found = estimate(events(4, 116))
    assert found.value == pytest.approx(4 / 120)
    assert (found.low, found.high) == pytest.approx((0.011465, 0.074653), abs=1e-6)
    assert (found.n, found.unscored, found.method, found.confidence) == (120, 0, "Clopper–Pearson", 0.9)


def test_unscored_samples_stay_in_the_denominator_with_their_worst(events):
    found = estimate(events(4, 110, unscored=6))
    assert (found.n, found.unscored) == (120, 6)
    assert found.value == pytest.approx(4 / 114)
    assert found.worst_case == pytest.approx((estimate(events(4, 116)).low, estimate(events(10, 110)).high))


def test_not_applicable_samples_are_outside_the_denominator(plain, make_table):
    found = estimate(make_table(plain("proportion"), [(1, 1), ASIDE, (0, 1), ASIDE]))
    assert (found.n, found.not_applicable, found.value) == (2, 2, 0.5)


@pytest.mark.parametrize("kind", ["proportion", "mean", "ratio", "run"])
@pytest.mark.parametrize("rows", [[], [GONE, GONE], [ASIDE]])
def test_nothing_scored_has_no_value(kind, rows, plain, make_table):
    found = assess(make_table(plain(kind), rows), null=0.5)
    assert (found.estimate.value, found.estimate.low, found.estimate.high) == (None, None, None)
    assert found.obstacle


def test_rows_without_a_number_are_unscored(plain, make_table):
    found = estimate(make_table(plain("mean"), [(1.0, 1.0), (float("nan"), 1.0), (float("inf"), 1.0)]))
    assert (found.n, found.unscored, found.value) == (3, 2, 1.0)


@pytest.mark.parametrize(
    "rows", [[(0.5, 1.0)], [(0.5, 1.0)] * 40, [(0.5, 1.0)] * 39 + [(0.9, 1.0)], [(0.1, 1.0), (0.9, 1.0)]]
)
def test_degenerate_means_are_never_narrow(rows, plain, make_table):
    bounded = estimate(make_table(plain("mean", bounds=(0.0, 1.0)), rows))
    least = 0.5 * (1 - 0.05 ** (1 / len(rows)))
    assert bounded.value - bounded.low >= 0.99 * least
    assert bounded.high - bounded.value >= 0.99 * min(least, 1 - bounded.value)
    unbounded = estimate(make_table(plain("mean"), rows))
    assert (unbounded.low, unbounded.high) == (None, None)
    assert "too few" in unbounded.note


def test_an_undefined_ratio_has_no_value(plain, make_table):
    found = estimate(make_table(plain("ratio"), [(0.0, 0.0)] * 30))
    assert (found.value, found.low, found.high) == (None, None, None)


def test_a_mean_agrees_with_the_t_interval_on_plain_data(plain, make_table):
    data = np.random.default_rng(0).normal(5, 2, 200)
    found = estimate(make_table(plain("mean"), [(float(x), 1.0) for x in data]))
    half = 1.6525 * data.std(ddof=1) / np.sqrt(200)
    assert found.low == pytest.approx(data.mean() - half, abs=0.06 * half)
    assert found.high == pytest.approx(data.mean() + half, abs=0.06 * half)


def test_unscored_means(plain, make_table):
    rows = [(float(x), 1.0) for x in np.linspace(0.2, 0.8, 60)]
    bounded = estimate(make_table(plain("mean", bounds=(0.0, 1.0)), [*rows, GONE, GONE, GONE]))
    assert bounded.worst_case[0] < bounded.low < bounded.high < bounded.worst_case[1]
    unbounded = assess(make_table(plain("mean"), [*rows, GONE]))
    assert unbounded.estimate.worst_case is None
    assert (unbounded.worst.low, unbounded.worst.high) == (None, None)


def test_an_unscored_sample_of_a_ratio_weighs_as_the_heaviest(plain, make_table):
    rows = [(float(i % 7), 10.0) for i in range(50)]
    found = assess(make_table(plain("ratio", bounds=(0.0, 1.0)), [*rows, (8.0, 40.0), GONE]))
    scored = sum(row[0] for row in rows) + 8.0
    assert found.worst_values == pytest.approx((scored / 580, (scored + 40) / 580))


def test_an_unscored_sample_of_another_form_can_be_anything(make_table):
    class Squared(Metric):
        name, kind, bounds = "squared", "ratio", (0.0, 1.0)

        def estimate(self, sums):
            return (sums[..., 0] / sums[..., 1]) ** 2

    rows = [(i / 60, 1.0) for i in range(60)]
    assert estimate(make_table(Squared(), rows)).method.startswith("BCa")
    assert estimate(make_table(Squared(), [*rows, GONE])).worst_case == (0.0, 1.0)


def test_clusters_widen_a_mean(plain, make_table):
    data = np.repeat(np.random.default_rng(0).normal(0, 1, 40), 5)
    rows = [(float(x), 1.0) for x in data]
    names = [f"c{i // 5}" for i in range(200)]
    alone = estimate(make_table(plain("mean"), rows))
    together = estimate(make_table(plain("mean"), rows, names))
    assert together.high - together.low > 1.9 * (alone.high - alone.low)


def test_few_clusters_cannot_decide(plain, make_table):
    found = assess(make_table(plain("proportion"), [(0, 1)] * 100, [f"c{i % 10}" for i in range(100)]), null=0.5)
    assert "10 clusters" in found.obstacle


def test_twins_of_which_one_counts_are_no_cluster(plain, make_table):
    rows = [(0, 1), ASIDE] * 15
    found = assess(make_table(plain("proportion"), rows, [f"c{i // 2}" for i in range(30)]))
    assert not found.obstacle
    assert found.estimate.high == pytest.approx(1 - 0.05 ** (1 / 15))


def test_a_run_metric_has_no_interval(plain):
    found = estimate(MetricTable.of_run(plain("run", unit="s"), 1.5))
    assert (found.value, found.low, found.high, found.worst_case) == (1.5, None, None, None)


def test_a_corpus_is_left_out_and_not_repeated():
    generator = np.random.default_rng(0)
    found = estimate(corpus([f"t{generator.integers(0, 300)}" for _ in range(200)]))
    assert found.method == "delete-a-group jackknife (50 groups)"
    assert found.low < found.value < found.high <= 1.0
    # A bootstrap would repeat texts, and put even its upper bound below the value.
    assert found.high > found.value + 0.01


def test_a_corpus_of_one_text_is_not_narrow():
    assert (estimate(corpus(["a"])).low, estimate(corpus(["a"])).high) == (0.0, 1.0)
    different = estimate(corpus([f"t{i}" for i in range(40)]))
    assert (different.value, different.low, different.high) == (1.0, 0.0, 1.0)


def test_rows_that_break_their_kind_are_the_metrics_fault(plain, make_table):
    with pytest.raises(BrokenRunError, match="is a proportion, but its row for s1"):
        make_table(plain("proportion"), [(1, 1), (0.5, 1)])
    with pytest.raises(BrokenRunError, match="different lengths"):
        make_table(plain("mean"), [(1.0, 1.0), (1.0, 1.0, 1.0)])
    with pytest.raises(InputError, match="more than once: a"):
        MetricTable(
            metric=plain("mean"), ids=("a", "a"), content_hashes=("", ""), clusters=(None, None), rows=(GONE, GONE)
        )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.just((0, 1)), st.just((1, 1)), st.just(GONE), st.just(ASIDE)), max_size=40))
def test_any_proportion_is_ordered_and_survives_storage(plain, make_table, rows):
    found = estimate(make_table(plain("proportion"), rows))
    if found.value is not None:
        low, high = found.worst_case
        assert 0 <= low <= found.low <= found.value <= found.high <= high <= 1
    assert from_json(Estimate, to_json(found)) == found
