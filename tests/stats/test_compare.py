"""Comparisons: pairing, unscored sides, every kind, the same resamples for both arms."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import ttest_rel

from harness.contracts import Metric
from harness.errors import InputError
from harness.stats import MetricTable, compare
from harness.types import NotApplicable, Sample, Unscored

GONE = Unscored(reason="time-out")
ASIDE = NotApplicable(reason="")


def reordered(table, order, **changes):
    pick = {
        name: tuple(getattr(table, name)[i] for i in order) for name in ("ids", "content_hashes", "clusters", "rows")
    }
    return dataclasses.replace(table, **{**pick, **changes})


def test_pairs_are_made_by_id_and_not_by_place(plain, make_table):
    metric = plain("proportion")
    first = make_table(metric, [(1, 1), (0, 1), (1, 1), (0, 1)])
    same = compare(first, reordered(first, [3, 1, 0, 2]))
    assert (same.difference, same.gains, same.losses, same.discordant) == (0.0, 0, 0, 0)


def test_other_samples_are_refused_by_name(plain, make_table):
    first = make_table(plain("mean"), [(1.0, 1.0)] * 8)
    second = reordered(first, range(6))
    with pytest.raises(InputError, match=r"2 are only in the candidate's run \(s6, s7\)"):
        compare(first, second)
    with pytest.raises(InputError, match=r"2 are only in the baseline's run \(s6, s7\)"):
        compare(second, first)


def test_changed_content_is_refused_by_name(plain, make_table):
    first = make_table(plain("mean"), [(1.0, 1.0)] * 8)
    with pytest.raises(InputError, match=r"7 samples .* different content .* \(s1, s2, s3, s4, s5, …\)"):
        compare(first, dataclasses.replace(first, content_hashes=("h", *["other"] * 7)))


def test_other_metrics_are_refused(plain, make_table):
    with pytest.raises(InputError, match="different metrics"):
        compare(make_table(plain("mean"), []), make_table(plain("mean", name="other"), []))


def test_proportions_by_hand(plain, make_table):
    metric = plain("proportion")
    candidate = make_table(metric, [(1, 1)] * 10 + [(0, 1)] * 50)
    baseline = make_table(metric, [(1, 1)] * 5 + [(0, 1)] * 53 + [(1, 1)] * 2)
    found = compare(candidate, baseline)
    assert (found.gains, found.losses, found.n) == (5, 2, 60)
    assert (found.candidate, found.baseline, found.difference) == pytest.approx((10 / 60, 7 / 60, 3 / 60))
    assert found.p_above == pytest.approx(29 / 128)
    assert found.p == pytest.approx(58 / 128)


@pytest.mark.parametrize("side", ["candidate", "baseline", "both"])
def test_unscored_pairs_are_the_worst_for_each_bound(side, plain, make_table):
    metric = plain("proportion")
    rows = [(1, 1)] * 5 + [(0, 1)] * 45
    whole = compare(make_table(metric, [*rows, (1, 1)]), make_table(metric, [*rows, (1, 1)]))
    holes = compare(
        make_table(metric, [*rows, GONE if side != "baseline" else (1, 1)]),
        make_table(metric, [*rows, GONE if side != "candidate" else (1, 1)]),
    )
    assert (holes.n, holes.unscored) == (51, 1)
    assert holes.low <= whole.low
    assert holes.high >= whole.high
    expected = {"candidate": (-1 / 51, 0.0), "baseline": (0.0, 1 / 51), "both": (-1 / 51, 1 / 51)}[side]
    assert holes.worst == pytest.approx(expected)


def test_what_applies_in_one_run_only_is_unscored_in_the_other(plain, make_table):
    metric = plain("proportion")
    found = compare(make_table(metric, [ASIDE, ASIDE, (0, 1)]), make_table(metric, [(1, 1), ASIDE, (0, 1)]))
    assert (found.n, found.unscored) == (2, 1)


def test_unbounded_means_have_no_bounds_once_a_side_is_unscored(plain, make_table):
    rows = [(float(i), 1.0) for i in range(40)]
    found = compare(make_table(plain("mean"), [*rows, GONE]), make_table(plain("mean"), [*rows, (1.0, 1.0)]))
    assert (found.low, found.high, found.p) == (None, None, None)


def test_nothing_in_common_cannot_decide(plain, make_table):
    found = compare(make_table(plain("mean"), [GONE] * 3), make_table(plain("mean"), [(1.0, 1.0)] * 3))
    assert found.difference is None
    assert found.obstacle


def test_paired_means_use_the_pairs(plain, make_table):
    generator = np.random.default_rng(0)
    base = generator.normal(50, 20, 150)
    better = base + generator.normal(1.0, 2.0, 150)
    found = compare(
        make_table(plain("mean"), [(float(x), 1.0) for x in better]),
        make_table(plain("mean"), [(float(x), 1.0) for x in base]),
    )
    exact = ttest_rel(better, base).confidence_interval(0.90)
    assert found.low == pytest.approx(exact.low, abs=0.05)
    assert found.high == pytest.approx(exact.high, abs=0.05)
    assert found.p_above < 0.001


def test_identical_ratios_are_equal_and_bounded_only_by_the_metric(plain, make_table):
    rows = [(float(i % 9), 10.0) for i in range(80)]
    unbounded = compare(make_table(plain("ratio"), rows), make_table(plain("ratio"), rows))
    assert (unbounded.difference, unbounded.low, unbounded.high) == (0.0, None, None)
    metric = plain("ratio", bounds=(0.0, 1.0))
    bounded = compare(make_table(metric, rows), make_table(metric, rows))
    assert bounded.low == pytest.approx(-(1 - 0.05 ** (1 / 80)))


def test_clusters_are_resampled_whole(plain, make_table):
    generator = np.random.default_rng(1)
    shift = np.repeat(generator.normal(0.0, 1.0, 40), 5)
    names = [f"c{i // 5}" for i in range(200)]
    rows = [(float(x), 1.0) for x in generator.normal(0, 1, 200)]
    moved = [(row[0] + float(s), 1.0) for row, s in zip(rows, shift, strict=True)]
    alone = compare(make_table(plain("mean"), moved), make_table(plain("mean"), rows))
    together = compare(make_table(plain("mean"), moved, names), make_table(plain("mean"), rows, names))
    assert together.high - together.low > 1.8 * (alone.high - alone.low)


def test_clustered_pairs_of_proportions_count_as_fewer(plain, make_table):
    metric = plain("proportion")
    names = [f"c{i // 4}" for i in range(200)]
    rows, base = [(1, 1)] * 40 + [(0, 1)] * 160, [(0, 1)] * 200
    alone, together = (compare(make_table(metric, rows, c), make_table(metric, base, c)) for c in (None, names))
    assert together.low < alone.low
    assert together.p_above > alone.p_above
    assert not together.obstacle
    few = [f"c{i // 20}" for i in range(200)]
    assert "10 clusters" in compare(make_table(metric, rows, few), make_table(metric, base, few)).obstacle


def test_a_corpus_leaves_the_same_samples_out_of_both():
    class Mean(Metric):
        name, kind, direction = "corpus_mean", "corpus", "higher"

        def resample(self, records, indices):
            return float(np.mean([records[i][0].metadata["x"] for i in indices]))

    def build(values):
        n = len(values)
        return MetricTable(
            metric=Mean(), ids=tuple(f"s{i}" for i in range(n)), content_hashes=("h",) * n, clusters=(None,) * n,
            rows=((),) * n, records=tuple((Sample(id=f"s{i}", metadata={"x": x}), ()) for i, x in enumerate(values)),
        )  # fmt: skip

    base = np.random.default_rng(0).normal(0, 50, 120)
    noise = np.random.default_rng(1).normal(1, 1, 120)
    found = compare(build((base + noise).tolist()), build(base.tolist()))
    exact = ttest_rel(base + noise, base).confidence_interval(0.90)
    assert found.low == pytest.approx(exact.low, abs=0.08)
    assert found.high == pytest.approx(exact.high, abs=0.08)


def test_run_metrics_compare_without_an_interval(plain):
    first, second = (MetricTable.of_run(plain("run"), value) for value in (2.0, 3.0))
    found = compare(first, second)
    assert (found.difference, found.low, found.high, found.p) == (-1.0, None, None, None)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_difference_that_no_resample_reverses_has_extreme_and_finite_p(plain, make_table, side):
    metric = plain("mean", direction="higher")
    rng = np.random.default_rng(3)
    base = rng.normal(0.0, 1.0, 80)
    better = base + side * (5.0 + rng.exponential(1.0, 80))
    found = compare(
        make_table(metric, [(float(v), 1.0) for v in better]), make_table(metric, [(float(v), 1.0) for v in base])
    )
    for p in (found.p, found.p_above, found.p_below):
        assert p is None or 0.0 <= p <= 1.0
    assert found.p < 0.001
