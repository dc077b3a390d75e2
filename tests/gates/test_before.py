"""What is asked of a gate before a run: its metric, its sense, and whether it could pass at all."""

from __future__ import annotations

import numpy as np
import pytest

from harness.api.stats import (
    Scatter,
    check_gate,
    detectable,
    find_metric,
    require_attainable,
    require_valid,
    samples_needed,
)
from harness.errors import InputError
from harness.types import Gate


def gate(kind="max", limit=None, **options):
    return Gate(metric="harm", kind=kind, limit=limit, **options)


def test_a_misspelt_metric_is_answered_with_the_nearest(plain):
    metrics = [plain("mean", name="harmful_compliance"), plain("mean", name="over_refusal")]
    assert find_metric("over_refusal", metrics) is metrics[1]
    with pytest.raises(InputError, match=r"s\.yaml:7: gates\[0\]\.metric: no measured metric .*harmful_compliance"):
        find_metric("harmful_complience", metrics, file="s.yaml", line=7, key="gates[0].metric")


@pytest.mark.parametrize(
    ("condition", "kind", "options", "message"),
    [
        (
            gate(limit=5),
            "proportion",
            {},
            r"outside what harm can be, 0 to 1; shares are written as fractions: 0.05 for 5 %",
        ),
        (gate(limit=float("nan")), "mean", {}, "not a number"),
        (gate(limit=None), "mean", {}, "not a number"),
        (gate(limit=3.0), "run", {}, "evidence: point"),
        (gate("superior"), "run", {}, "evidence: point"),
        (gate("superior"), "mean", {"direction": "neither"}, "no better direction"),
        (gate("non_inferior", margin=0.1), "mean", {"direction": "neither"}, "no better direction"),
        (gate("non_inferior", margin=8.0), "proportion", {}, "0.08 for 8 points"),
        (gate("non_inferior", margin=0.0), "mean", {}, "above 0"),
        (gate("max_unscored", 3.0), "mean", {}, "share of the samples"),
        (gate(limit=0.5, alpha=0.7), "mean", {}, "alpha"),
    ],
)
def test_gates_without_sense_are_refused(condition, kind, options, message, plain):
    with pytest.raises(InputError, match=message):
        require_valid(condition, plain(kind, name="harm", **options))


def test_a_max_on_a_higher_is_better_metric_is_allowed(plain):
    require_valid(gate(limit=0.5), plain("proportion", "higher", name="harm"))


def test_what_only_informs_does_not_gate(plain, events):
    metric = plain("mean", name="harm", bounds=(0.0, 1.0))
    metric.gates = False
    with pytest.raises(InputError, match="harm informs and does not gate; "):
        require_valid(gate(limit=0.5), metric)
    metric.informs = " since nobody said why"
    with pytest.raises(InputError, match="does not gate since nobody said why; "):
        require_valid(gate(limit=0.5), metric)
    require_valid(gate("max_unscored", 0.1), metric)


@pytest.mark.parametrize("condition", [gate(limit=1.0), gate("min", 0.0), gate("max_unscored", 1.0)])
def test_a_gate_that_no_data_could_fail_is_refused(condition, plain):
    with pytest.raises(InputError, match=r"no data could fail .*; tighten or remove it"):
        require_valid(condition, plain("proportion", name="harm"))


@pytest.mark.parametrize(
    ("condition", "needed"),
    [
        (gate(limit=0.05), 59),
        (gate("min", 0.95), 59),
        (gate(limit=0.3), 9),
        (gate(limit=0.05, alpha=0.01), 90),
        (gate("non_inferior", margin=0.08), 36),
        (gate("superior"), 5),
        (gate(limit=0.05, evidence="point"), 1),
        (gate("max_unscored", 0.0), 1),
    ],
)
def test_the_number_that_is_named_is_the_least_that_passes(condition, needed, plain, events):
    metric = plain("proportion", name="harm")
    assert samples_needed(condition, metric) == needed
    require_attainable(condition, metric, needed)
    perfect = {"min": (1, 0), "superior": (0, 1)}.get(condition.kind, (0, 1))
    other = (1, 0) if condition.kind == "superior" else perfect
    for n, status in ((needed, "passed"), (needed - 1, "inconclusive")):
        if n:
            table, baseline = (events(yes * n, no * n) for yes, no in (perfect, other))
            assert check_gate(condition, table, baseline).status == status
    if needed > 1 and condition.kind != "non_inferior":
        with pytest.raises(InputError, match=f"needs at least {needed} samples and there are {needed - 1}"):
            require_attainable(condition, metric, needed - 1)


def test_a_gate_is_refused_only_where_no_outcome_passes(plain, events):
    """At a late attempt an equal candidate cannot show it on 130 samples, and a better one can."""
    metric = plain("proportion", name="harm")
    late = gate("non_inferior", margin=0.06, alpha=6 * 0.05 / (np.pi**2 * 9**2))
    assert samples_needed(late, metric) > 125
    require_attainable(late, metric, 125)
    assert check_gate(late, events(20, 105), events(40, 85)).status == "passed"
    with pytest.raises(InputError, match="could not pass even with the best outcome: it needs at least"):
        require_attainable(late, metric, 5)


def test_what_no_number_of_samples_can_show(plain):
    for condition in (gate(limit=0.0), gate("min", 1.0)):
        with pytest.raises(InputError, match="no number of samples can show"):
            require_attainable(condition, plain("proportion", name="harm"), 10_000)
    with pytest.raises(InputError, match="no sample can enter harm"):
        require_attainable(gate(limit=0.1), plain("proportion", name="harm"), 0)


def test_means_need_samples_that_differ(plain):
    assert samples_needed(gate(limit=30.0), plain("mean")) == 149
    assert samples_needed(gate(limit=0.9), plain("mean", bounds=(0.0, 1.0))) == 2
    assert samples_needed(gate("min", 0.99), plain("mean", bounds=(0.0, 1.0))) == 299
    assert samples_needed(gate(limit=0.0), plain("mean", bounds=(0.0, 1.0))) is None


@pytest.mark.parametrize("condition", [gate("non_inferior", margin=0.5), gate("superior")])
def test_a_bounded_mean_can_pass_a_comparison_without_a_bootstrap(condition, plain, make_table):
    metric = plain("mean", "higher", bounds=(0.0, 1.0), name="harm")
    needed = samples_needed(condition, metric)
    assert needed == 5
    other = 0.0 if condition.kind == "superior" else 1.0
    for n, status in ((5, "passed"), (4, "inconclusive")):
        candidate, baseline = (make_table(metric, [(value, 1.0)] * n) for value in (1.0, other))
        assert check_gate(condition, candidate, baseline).status == status


def test_a_late_attempt_can_still_pass_on_a_mean_and_says_when_samples_are_too_few(plain, make_table):
    metric = plain("mean", name="harm")
    late = gate(limit=30.0, alpha=6 * 0.05 / (np.pi**2 * 25**2))
    values = np.random.default_rng(0).normal(20.0, 3.0, 600)
    assert check_gate(late, make_table(metric, [(float(x), 1.0) for x in values])).status == "passed"
    few = check_gate(late, make_table(metric, [(float(x), 1.0) for x in values[:12]]))
    assert few.status == "inconclusive"
    assert "12 samples may miss one in 50" in few.sentence


def test_clusters_are_what_counts(plain):
    metric = plain("proportion", name="harm")
    require_attainable(gate(limit=0.3), metric, 60, clusters=20)
    with pytest.raises(InputError, match="at least 20 clusters and there are 12"):
        require_attainable(gate(limit=0.3), metric, 60, clusters=12)


def test_detectable_shrinks_with_n_and_is_the_stated_power(plain):
    metric = plain("proportion", name="harm")
    rates = [detectable(gate(limit=0.3), metric, n) for n in (60, 120, 480)]
    assert rates == sorted(rates, reverse=True)
    assert rates[1] == pytest.approx(0.101, abs=0.001)
    assert detectable(gate(limit=0.05), metric, 30) is None
    assert detectable(gate("superior"), metric, 120, Scatter(discordant=0.2)) == pytest.approx(0.105, abs=0.001)
    assert detectable(gate("non_inferior", margin=0.08), metric, 240, Scatter(discordant=0.2)) == pytest.approx(
        0.072, abs=0.001
    )
    assert detectable(gate("max_unscored", 0.1), metric, 120) is None
    with pytest.raises(InputError, match="give the spread"):
        detectable(gate(limit=3.0), plain("mean"), 100)
    assert detectable(gate(limit=3.0), plain("mean"), 100, Scatter(spread=1.0)) == pytest.approx(0.2486, abs=1e-3)
