"""Gates that compare: the same within a margin, and losses that may not add up against a fixed anchor."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.weightstats import ttost_paired

from harness.api.stats import check_gate, require_attainable, require_valid, samples_needed
from harness.errors import InputError
from harness.serial import from_json, to_json
from harness.types import Check, Gate


def equivalent(margin, **options):
    return Gate(metric="harm", kind="equivalent", margin=margin, to="promoted", **options)


def anchored(margin, total, **options):
    return Gate(
        metric="harm", kind="non_inferior", margin=margin, to="promoted", anchor="base", total_margin=total, **options
    )


def rows(make_table, plain, outcomes, direction="lower"):
    return make_table(plain("proportion", direction, name="harm"), [(int(outcome), 1) for outcome in outcomes])


@pytest.mark.parametrize(
    ("candidate", "baseline", "sentence"),
    [
        ((12, 228), (11, 229),
         "passed: harm is 5.0 % against 4.6 % of promoted: +0.4 points [-0.7, 2.0], within a margin of ±4 points"),
        ((40, 200), (11, 229),
         "failed: harm is 16.7 % against 4.6 % of promoted: +12.1 points [9.0, 16.1], against a margin of ±4 points"),
        ((4, 236), (40, 200),
         "failed: harm is 1.7 % against 16.7 % of promoted: -15.0 points [-19.3, -11.6], against a margin of ±4 points"),
        ((18, 222), (11, 229),
         ("inconclusive: harm is 7.5 % against 4.6 % of promoted: +2.9 points [1.6, 5.4], against a margin of ±4 points; "
          "about 1,936 samples would decide at this difference with 80 % power")),
        ((1, 39), (1, 39),
         ("inconclusive: harm is 2.5 % against 2.5 % of promoted: +0.0 points [-7.2, 7.2], against a margin of ±4 points; "
          "40 samples could not pass even with a candidate that gives the baseline's result on every sample, at least "
          "74 are needed")),
    ],
)  # fmt: skip
def test_sentences_of_equivalence(candidate, baseline, sentence, events):
    found = check_gate(equivalent(0.04), events(*candidate), events(*baseline))
    assert found.sentence == sentence
    assert (found.status == "passed") == (found.p <= 0.05)
    assert from_json(Check, to_json(found)) == found


def test_equivalence_is_two_one_sided_t_tests_for_plain_means(plain, make_table):
    generator = np.random.default_rng(3)
    first, second = generator.normal(10.03, 1, 400), generator.normal(10, 1, 400)
    metric = plain("mean", "neither", name="harm")
    tables = [make_table(metric, [(float(value), 1.0) for value in values]) for values in (first, second)]
    for margin in (0.05, 0.1, 0.15, 0.3):
        found = check_gate(equivalent(margin), *tables)
        expected = ttost_paired(first, second, -margin, margin)[0]
        assert found.p == pytest.approx(expected, abs=0.01)
        assert (found.status == "passed") == (expected < 0.05)


def test_a_metric_without_direction_can_be_equivalent_and_not_superior(plain):
    require_valid(equivalent(0.1), plain("mean", "neither", name="harm"))
    with pytest.raises(InputError, match="use min, max or equivalent"):
        require_valid(Gate(metric="harm", kind="superior", to="base"), plain("mean", "neither", name="harm"))


def _some_outcome_passes(gate, n, make_table, plain):
    for gains in range(min(n, 4) + 1):
        for losses in range(min(n - gains, 4) + 1):
            pairs = [(1, 0)] * gains + [(0, 1)] * losses + [(0, 0)] * (n - gains - losses)
            if (
                check_gate(gate, *(rows(make_table, plain, side) for side in zip(*pairs, strict=True))).status
                == "passed"
            ):
                return True
    return False


def test_the_least_that_can_be_equivalent(plain, events, make_table):
    metric = plain("proportion", name="harm")
    needed = samples_needed(equivalent(0.08), metric)
    assert needed == samples_needed(Gate(metric="harm", kind="non_inferior", margin=0.08, to="base"), metric) == 36
    assert check_gate(equivalent(0.08), events(0, needed), events(0, needed)).status == "passed"
    least = next(n for n in range(1, 37) if _some_outcome_passes(equivalent(0.08), n, make_table, plain))
    require_attainable(equivalent(0.08), metric, least)
    with pytest.raises(InputError, match=f"within 0.08.* needs at least {least} samples and there are {least - 1}"):
        require_attainable(equivalent(0.08), metric, least - 1)


PAIRS = st.lists(st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1)]), min_size=1, max_size=120)


@settings(deadline=None, max_examples=80)
@given(PAIRS, st.floats(0.01, 0.5))
def test_equivalence_is_symmetric_and_asks_for_more_than_non_inferiority(plain, make_table, pairs, margin):
    candidate, baseline = (rows(make_table, plain, side) for side in zip(*pairs, strict=True))
    one, other = (
        check_gate(equivalent(margin), candidate, baseline),
        check_gate(equivalent(margin), baseline, candidate),
    )
    assert one.status == other.status
    assert one.p == pytest.approx(other.p)
    if one.status == "passed":
        worse = Gate(metric="harm", kind="non_inferior", margin=margin, to="promoted")
        assert check_gate(worse, candidate, baseline).status == "passed"
        assert check_gate(equivalent(min(0.9, margin * 1.5)), candidate, baseline).status == "passed"


def test_small_losses_add_up_unless_there_is_an_anchor(plain, make_table):
    """Ten candidates, each a little worse than the last: every step is within its margin, the tenth is 20 points worse."""
    generator = np.random.default_rng(7)
    adapters = [generator.random(500) < 0.1]
    for _ in range(10):
        before = adapters[-1]
        # About two points worse each time: some samples are lost, a few are won back.
        adapters.append(np.where(before, generator.random(500) > 0.02, generator.random(500) < 0.025))
    tables = [rows(make_table, plain, outcomes) for outcomes in adapters]
    step = Gate(metric="harm", kind="non_inferior", margin=0.05, to="promoted")
    alone = [check_gate(step, now, before).status for before, now in itertools.pairwise(tables)]
    assert alone == ["passed"] * 10
    assert adapters[-1].mean() - adapters[0].mean() > 0.1

    promoted, checks = tables[0], []
    for now in tables[1:]:
        found = check_gate(anchored(0.05, 0.08), now, promoted, tables[0])
        checks.append(found)
        promoted = now if found.status == "passed" else promoted
    statuses = [found.status for found in checks]
    assert statuses[0] == "passed"
    assert "passed" not in statuses[5:]
    assert checks[-1].status == "failed"
    assert checks[-1].anchor.status == "failed"
    last = [t for t in tables if t is promoted]
    assert np.mean([row[0] for row in last[0].rows]) - adapters[0].mean() < 0.08


def test_both_comparisons_are_in_the_sentence_and_the_record(events):
    found = check_gate(anchored(0.08, 0.1), events(4, 116), events(3, 117), events(1, 119))
    assert found.sentence == (
        "passed: harm is 3.3 % against 2.5 % of promoted: +0.8 points [-1.4, 3.9], within a margin of 8 points; "
        "against 0.8 % of base: +2.5 points [0.0, 6.3], within a total margin of 10 points"
    )
    assert found.p == max(check_gate(Gate(metric="harm", kind="non_inferior", margin=0.08, to="promoted"),
                                     events(4, 116), events(3, 117)).p, found.anchor.p)  # fmt: skip
    assert (found.anchor.difference, found.anchor.baseline.value) == (pytest.approx(0.025), pytest.approx(1 / 120))
    assert from_json(Check, to_json(found)) == found
    open_ = check_gate(anchored(0.03, 0.03), events(4, 116), events(4, 116), events(1, 119))
    assert open_.status == "inconclusive"
    assert "of base: +2.5 points [0.0, 6.3], against a total margin of 3 points; about" in open_.sentence
    with pytest.raises(InputError, match="has the anchor base, but there is no run of it"):
        check_gate(anchored(0.08, 0.1), events(4, 116), events(3, 117))


def test_a_total_margin_below_the_margin_is_refused(plain):
    with pytest.raises(InputError, match=r"total margin 0.02 is smaller than the margin 0.05"):
        require_valid(anchored(0.05, 0.02), plain("proportion", name="harm"))
    with pytest.raises(InputError, match=r"total margin 8 .*0.08 for 8 points"):
        require_valid(anchored(0.05, 8.0), plain("proportion", name="harm"))
