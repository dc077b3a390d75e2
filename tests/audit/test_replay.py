"""The audit catches gates that do not keep their promise, and leaves those alone that do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.progress import NoProgress
from harness.types import Gate, NotApplicable, Unscored
from harness_audit.audit import Origin, Prepared, Setup, run_audit
from harness_audit.differences import difference_cases
from harness_audit.limits import limit_cases
from harness_audit.population import BASELINE, CANDIDATE, Column, Drawn
from harness_audit.replay import Judge, counts, real_check, replay
from tests.audit.conftest import Harm

ROWS = ((0.0, 1.0), (1.0, 1.0), Unscored(reason="u"), NotApplicable(reason="n"))
GATES = (
    Gate(metric="harm", kind="max", limit=0.3),
    Gate(metric="harm", kind="non_inferior", to="promoted", margin=0.2),
    Gate(metric="harm", kind="superior", to="promoted"),
    Gate(metric="harm", kind="equivalent", to="promoted", margin=0.3),
)


def audited(found, check=real_check, simulations=300, groups=("max", "non_inferior", "superior")):
    """Return the audit of a population's cases, by a gate that may be broken."""
    (metric,) = found.metrics
    cases = [*limit_cases(found, metric), *difference_cases(found, metric, seed=0)]
    cases = [case for case in cases if case.group in groups]
    prepared = Prepared(cases=tuple(cases), sources=(), made={}, left_out={})
    origin = Origin(setup=Setup(simulations=simulations), plugins=(), workspace=None, folder=".")
    return run_audit(origin, prepared, jobs=1, progress=NoProgress(), judge=lambda: Judge(check=check))


def test_the_real_gate_keeps_its_promises(harm):
    found = audited(harm)
    assert not found.failures, [(r.name, r.rate) for r in found.failures]
    assert {result.group for result in found.results} == {"max", "non_inferior", "superior"}


def test_a_gate_that_tests_at_a_fifth_fails(harm):
    def bold(gate, candidate, baseline, anchor, seed):
        return real_check(replace(gate, alpha=0.2), candidate, baseline, anchor, seed)

    found = audited(harm, bold)
    broken = {result.group for result in found.failures if result.finding == "broken"}
    assert broken == {"max", "non_inferior", "superior"}


def test_a_gate_that_ignores_pairs_falls_short(harm):
    """Unpaired, the two arms' own intervals: it seldom errs, and so lacks the power that was planned."""

    def unpaired(gate, candidate, baseline, anchor, seed):
        if gate.kind == "max":
            return real_check(gate, candidate, baseline, anchor, seed)
        ids = tuple(f"other-{i}" for i in range(len(baseline.ids)))
        moved = replace(baseline, ids=ids, content_hashes=ids)
        own = real_bounds(candidate, gate.alpha)
        other = real_bounds(moved, gate.alpha)
        worst = own[1] - other[0]
        return "passed" if worst < (gate.margin or 0.0) else "inconclusive"

    found = audited(harm, unpaired, groups=("non_inferior",))
    assert any(result.finding == "short" for result in found.failures)


def real_bounds(table, alpha):
    from harness.stats import assess

    worst = assess(table, alpha=alpha).worst
    return worst.low, worst.high


def test_a_gate_that_forgets_the_unscored_fails(harm):
    def forgetful(gate, candidate, baseline, anchor, seed):
        rows = tuple(NotApplicable(reason="forgotten") if isinstance(r, Unscored) else r for r in candidate.rows)
        return real_check(gate, replace(candidate, rows=rows), baseline, anchor, seed)

    found = audited(harm, forgetful, groups=("unscored",))
    assert [result for result in found.failures if result.group == "unscored"]
    assert not audited(harm, groups=("unscored",)).failures


def test_a_gate_that_forgets_clusters_fails(clustered):
    def forgetful(gate, candidate, baseline, anchor, seed):
        alone = (None,) * len(candidate.ids)
        second = None if baseline is None else replace(baseline, clusters=alone)
        return real_check(gate, replace(candidate, clusters=alone), second, anchor, seed)

    found = audited(clustered, forgetful, groups=("non_inferior",))
    assert [result for result in found.failures if result.finding == "broken"]
    assert not audited(clustered, groups=("non_inferior",)).failures


def test_equal_copies_count_as_false_only_where_something_better_is_asked_for(harm):
    (metric,) = harm.metrics
    for case in difference_cases(harm, metric, seed=0):
        equal = "equal" in case.truth and "truly" not in case.truth
        if equal and case.group == "superior":
            assert case.claim == "at most"
        elif equal and case.group in {"non_inferior", "equivalent"}:
            assert case.claim == "power"
        elif "copy" in case.truth and case.group == "superior":
            assert case.claim == "never"
            assert replay(case, simulations=200, seed=0).promotes == 0


def test_equal_seeds_give_equal_audits(harm):
    (case, *_) = difference_cases(harm, "harm", seed=0)
    one, two, other = (replay(case, simulations=300, seed=seed) for seed in (3, 3, 4))
    assert (one.promotes, one.verdicts) == (two.promotes, two.verdicts)
    assert one.verdicts != other.verdicts


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.kind)
@given(pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=8, max_size=40), data=st.data())
def test_a_verdict_depends_on_counts_alone(gate, pairs, data):
    """What the audit remembers a verdict by: any other order, and any other agreement, gives the same verdict."""
    order = data.draw(st.permutations(range(len(pairs))))
    other = [pairs[i] for i in order]
    if gate.kind != "max":
        other = [(1 - a, 1 - b) if a == b and a < 2 and data.draw(st.booleans()) else (a, b) for a, b in other]
    labels = np.arange(len(pairs))
    verdicts, keys = [], []
    for rows in (pairs, other):
        columns = [Column.of([ROWS[pair[arm]] for pair in rows]) for arm in (0, 1)]
        used = columns[:1] if gate.kind == "max" else columns
        keys.append(counts(used, labels, compares=gate.kind != "max"))
        drawn = Drawn(arms={CANDIDATE: {"harm": columns[0]}, BASELINE: {"harm": columns[1]}}, labels=labels)
        verdicts.append(Judge().verdict(gate, Harm(), drawn, 0))
    assert keys[0] == keys[1]
    assert verdicts[0] == verdicts[1]


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.kind)
@settings(max_examples=15)
@given(pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=44, max_size=60), data=st.data())
def test_a_verdict_on_clusters_depends_on_their_counts_alone(gate, pairs, data):
    """Any other order of the clusters, and of the samples in them, and any other agreement in comparisons."""
    labels = np.arange(len(pairs)) // 2
    order = data.draw(st.permutations(range(len(pairs))))
    named = data.draw(st.permutations(range(int(labels.max()) + 1)))
    other = [pairs[i] for i in order]
    if gate.kind != "max":
        other = [(1 - a, 1 - b) if a == b and a < 2 and data.draw(st.booleans()) else (a, b) for a, b in other]
    moved = np.array([named[labels[i]] for i in order])
    verdicts, keys = [], []
    for rows, groups in ((pairs, labels), (other, moved)):
        columns = [Column.of([ROWS[pair[arm]] for pair in rows]) for arm in (0, 1)]
        keys.append(counts(columns[:1] if gate.kind == "max" else columns, groups, compares=gate.kind != "max"))
        drawn = Drawn(arms={CANDIDATE: {"harm": columns[0]}, BASELINE: {"harm": columns[1]}}, labels=groups)
        verdicts.append(Judge().verdict(gate, Harm(), drawn, 0))
    assert keys[0] == keys[1]
    assert verdicts[0] == verdicts[1]
