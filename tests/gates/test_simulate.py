"""Simulated decisions: how often gates pass under a stated truth agrees with theory, and what is planned comes true."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from harness.api.stats import Scatter, detectable
from harness.errors import InputError
from harness.stats.misclassified import lang_reiczigel
from harness.stats.power import binomial_power
from harness.types import Calibration, Gate, NotApplicable, Unscored
from harness_gates.power import paired_samples
from harness_gates.trinomial import paired_power
from harness_planning.expected import expected, samples_for
from harness_planning.simulate import CANDIDATE, Planned, Pool, simulable, simulate


def gate(kind, metric="harm", **options):
    return Gate(metric=metric, kind=kind, to=None if kind in {"min", "max"} else "promoted", **options)


def column(yes, no, unscored=0):
    return [(1.0, 1.0)] * yes + [(0.0, 1.0)] * no + [Unscored(reason="time-out")] * unscored


@pytest.fixture
def pool(plain):
    """Two arms of 200 samples, of which each fails 30 and both fail 20."""
    first, second = column(30, 170), [*column(20, 0), *column(0, 10), *column(10, 160)]
    metrics = {"harm": plain("proportion", name="harm")}
    return Pool(metrics=metrics, clusters=[None] * 200, rows={CANDIDATE: {"harm": first}, "promoted": {"harm": second}})


def passes(pool, condition, n=200, times=200, **options):
    tally = simulate([Planned(pool=pool, gates=[condition], n=n)], simulations=times, **options)
    assert tally.by_gate[0]["passed"] == tally.together
    assert sum(tally.by_gate[0].values()) == times
    return tally.together / times


def test_the_power_of_a_limit_is_the_exact_one(pool):
    found = passes(pool, gate("max", limit=0.2))
    assert found == pytest.approx(binomial_power(0.15, 0.2, 200, 0.05), abs=0.1)
    assert passes(pool, gate("max", limit=0.2), n=800, times=50) > 0.9


def test_it_is_the_same_plan_whether_less_is_better_or_more_of_the_opposite(pool, plain):
    opposite = {arm: {"harm": [(1.0 - row[0], 1.0) for row in rows["harm"]]} for arm, rows in pool.rows.items()}
    turned = Pool(metrics={"harm": plain("proportion", "higher", name="harm")}, clusters=pool.clusters, rows=opposite)
    condition = gate("non_inferior", margin=0.1)
    for change in (-0.04, 0.0, 0.04):
        needed = [
            samples_for(condition, one.metrics["harm"], expected(condition, one, "equal", sign * change))
            for one, sign in ((pool, 1), (turned, -1))
        ]
        assert needed[0] == needed[1]


def test_equal_copies_are_rarely_called_better_and_injected_losses_rarely_pass(pool):
    assert passes(pool, gate("superior")) <= 0.05 + 0.05
    # Exactly at the margin: the gate's own level.
    assert passes(pool, gate("non_inferior", margin=0.06), changes={"harm": 0.06}) <= 0.05 + 0.05
    assert passes(pool, gate("equivalent", margin=0.06), changes={"harm": 0.06}) <= 0.05 + 0.05


def test_the_number_of_samples_that_is_named_has_the_power_that_is_wanted(pool):
    for condition, change in (
        (gate("max", limit=0.25), 0.0),
        (gate("non_inferior", margin=0.08), 0.0),
        (gate("non_inferior", margin=0.08), 0.02),
        (gate("superior"), -0.07),
        (gate("equivalent", margin=0.08), 0.0),
    ):
        known = expected(condition, pool, "equal", change)
        needed = samples_for(condition, pool.metrics["harm"], known, 0.8)
        found = passes(pool, condition, n=needed, changes={"harm": change} if change else {})
        assert found == pytest.approx(0.8, abs=0.1), (condition.kind, needed)
    assert samples_for(gate("superior"), pool.metrics["harm"], expected(gate("superior"), pool, "equal", 0.0)) is None


def test_what_is_expected_of_the_pool(pool):
    known = expected(gate("non_inferior", margin=0.1), pool, "equal", 0.02)
    assert (known.value, known.difference) == (pytest.approx(0.17), 0.02)
    # An injected rise turns pairs that agreed, and turns some that differed back.
    assert known.discordant == pytest.approx(0.1 + 0.02 * (0.85 - 0.1) / 0.85)
    assert known.design_effect == 1.0
    assert expected(gate("max", limit=0.2), pool, "seen", 0.0).difference is None


def test_means_and_their_changes(plain):
    generator = np.random.default_rng(0)
    values = generator.normal(10, 2, 150)
    beside = values + generator.normal(0, 1, 150)
    metric = plain("mean", name="harm")
    pool = Pool(
        metrics={"harm": metric}, clusters=[None] * 150,
        rows={CANDIDATE: {"harm": [(float(v), 1.0) for v in values]}, "promoted": {"harm": [(float(v), 1.0) for v in beside]}},
    )  # fmt: skip
    condition = gate("non_inferior", margin=0.25)
    known = expected(condition, pool, "equal", 0.0)
    assert known.spread == pytest.approx(1.0, abs=0.15)
    needed = samples_for(condition, metric, known)
    assert passes(pool, condition, n=needed, times=80) == pytest.approx(0.8, abs=0.15)
    assert passes(pool, condition, n=150, times=60, changes={"harm": 0.25}) <= 0.05 + 0.1


def test_clusters_are_drawn_whole_and_kinds_of_sample_keep_their_share(plain):
    away = NotApplicable(reason="benign")
    harm = [(float(i // 4 % 2), 1.0) if i % 2 else away for i in range(240)]
    metric = plain("proportion", name="harm")
    clusters = [f"c{i // 4}" for i in range(240)]
    pool = Pool(
        metrics={"harm": metric}, clusters=clusters, rows={CANDIDATE: {"harm": harm}, "promoted": {"harm": harm}}
    )
    table = pool.draw(120, "equal", {}, 3)[CANDIDATE]["harm"]
    assert (len(table.ids), table.n) == (120, 60)
    assert len(set(table.clusters)) == 30
    assert table.clustered
    known = expected(gate("max", limit=0.6), pool, "equal", 0.0)
    assert known.design_effect == pytest.approx(2.0, rel=0.1)


def test_so_many_clustered_samples_are_named_that_their_likeness_can_be_seen(plain):
    """Where few clusters differ, a gate counts each as one sample; more of them tell that their samples are not alike."""
    generator = np.random.default_rng(4)
    metric, clusters = plain("proportion", "higher", name="harm"), [f"c{i // 8}" for i in range(144)]
    own = generator.random(144) < 0.6
    beside = own ^ (generator.random(144) < 0.07)
    rows = {arm: {"harm": [(float(one), 1.0) for one in values]} for arm, values in (("", own), ("promoted", beside))}
    pool = Pool(metrics={"harm": metric}, clusters=clusters, rows=rows)
    condition = gate("non_inferior", margin=0.12)
    known = expected(condition, pool, "equal", 0.0)
    needed = samples_for(condition, metric, known)
    assert known.telling < 10 / 144
    assert needed > math.ceil(paired_samples(0.035, 0.035, 0.12, 0.05))
    assert passes(pool, condition, n=needed, times=150) >= 0.65
    assert passes(pool, condition, n=needed // 2, times=150) < 0.6


def test_no_fewer_samples_are_named_than_perfect_data_need(plain):
    rows = [(1.0 + 0.001 * i, 1.0) for i in range(60)]
    metric = plain("mean", name="harm")
    pool = Pool(
        metrics={"harm": metric}, clusters=[None] * 60, rows={CANDIDATE: {"harm": rows}, "promoted": {"harm": rows}}
    )
    condition = gate("max", limit=30.0)
    assert samples_for(condition, metric, expected(condition, pool, "equal", 0.0)) == 149


@pytest.mark.parametrize("weigh", ["clusters", "weights"])
def test_samples_for_bounded_means_reckon_with_what_a_score_may_weigh(plain, weigh):
    generator = np.random.default_rng(5)
    weights = np.where(np.arange(200) % 10 == 0, 5.0, 1.0) if weigh == "weights" else np.ones(200)
    clusters = [f"c{i // 4}" for i in range(200)] if weigh == "clusters" else [None] * 200
    scores = generator.normal(0.01, 0.002, 200).clip(0, 1)
    rows = [(float(s * w), float(w)) for s, w in zip(scores, weights, strict=True)]
    metric = plain("mean" if weigh == "clusters" else "ratio", bounds=(0.0, 1.0), name="harm")
    pool = Pool(metrics={"harm": metric}, clusters=clusters, rows={CANDIDATE: {"harm": rows}})
    condition = gate("max", limit=0.05)
    needed = samples_for(condition, metric, expected(condition, pool, "seen", 0.0))
    assert passes(pool, condition, n=needed + 8, times=20, truth="seen") >= 0.75
    assert passes(pool, condition, n=needed // 2, times=20, truth="seen") <= 0.25


def test_rows_without_weight_plan_nothing(plain):
    metric = plain("ratio", bounds=(0.0, 1.0), name="harm")
    pool = Pool(metrics={"harm": metric}, clusters=[None] * 9, rows={CANDIDATE: {"harm": [(0.0, 0.0)] * 9}})
    condition = gate("max", limit=0.5)
    assert samples_for(condition, metric, expected(condition, pool, "seen", 0.0)) is None


def test_fewer_clusters_than_a_gate_takes_are_never_named(plain):
    rows, clusters = column(11, 39), [f"c{i // 5}" for i in range(50)]
    metric = plain("proportion", name="harm")
    pool = Pool(metrics={"harm": metric}, clusters=clusters, rows={CANDIDATE: {"harm": rows}})
    condition = gate("max", limit=0.9)
    assert samples_for(condition, metric, expected(condition, pool, "seen", 0.0)) >= 100


def test_unscored_samples_stay_unscored(plain):
    rows = {CANDIDATE: {"harm": column(2, 88, 10)}, "promoted": {"harm": column(2, 98)}}
    pool = Pool(metrics={"harm": plain("proportion", name="harm")}, clusters=[None] * 100, rows=rows)
    assert passes(pool, gate("max", limit=0.15), times=100) < passes(pool, gate("max", limit=0.3), times=100)
    assert passes(pool, gate("max", limit=0.08), times=50, truth="seen") == 0.0


def test_what_cannot_be_simulated_or_injected(plain, pool):
    class Odd(plain):
        def estimate(self, sums):
            return np.exp(sums[..., 0] / sums[..., 1])

    rows = [(float(i), 1.0) for i in range(30)]
    odd = Pool(
        metrics={"harm": Odd("ratio", name="harm")}, clusters=[None] * 30,
        rows={CANDIDATE: {"harm": rows}, "promoted": {"harm": rows}}, assumed=frozenset({"harm"}),
    )  # fmt: skip
    assert simulable(gate("max", limit=3.0), odd)
    assert not simulable(gate("superior"), odd)
    assert not simulable(gate("superior", metric="other"), odd)
    with pytest.raises(InputError, match="no change can be injected in harm"):
        odd.draw(30, "equal", {"harm": 0.1}, 0)


def test_what_sameness_and_a_corrected_rate_can_detect(plain):
    metric = plain("proportion", name="harm")
    same = gate("equivalent", margin=0.1)
    assert detectable(same, metric, 60, Scatter(discordant=0.2)) is None
    inside = detectable(same, metric, 400, Scatter(discordant=0.2))
    shares = (0.2 + 0.1 - inside) / 2, (0.2 - 0.1 + inside) / 2
    assert paired_power(*shares, 400, 0.05, least=-0.1, greatest=0.1) == pytest.approx(0.8, abs=1e-3)
    assert detectable(gate("equivalent", margin=0.5), plain("mean"), 100, Scatter(spread=1.0)) == pytest.approx(
        0.24, abs=0.02
    )
    metric.calibration = Calibration(sensitivity=(190, 200), specificity=(180, 200))
    reach = detectable(gate("max", limit=0.3, corrected=True), metric, 300)
    assert reach > detectable(gate("max", limit=0.3), metric, 300)
    assert detectable(gate("max", limit=0.03, corrected=True), metric, 300) is None
    generator = np.random.default_rng(1)
    truth = 0.3 - reach
    counts = binom.rvs(300, truth * 0.95 + (1 - truth) * 0.1, size=2000, random_state=generator)
    cleared = np.mean([lang_reiczigel(int(x), 300, metric.calibration, 0.05).high <= 0.3 for x in counts])
    assert cleared == pytest.approx(0.8, abs=0.05)
