"""Gates broken on purpose, each in one way: the audit names every one of them, and for the right case."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.plugins import load_plugins
from harness.progress import NoProgress
from harness.reading.config import read_config
from harness.types import NotApplicable, Unscored
from harness_audit import replay as replaying
from harness_audit.audit import GROUPS, Origin, Prepared, Setup, prepare, run_audit
from harness_audit.differences import difference_cases
from harness_audit.injections import Exchange, truth
from harness_audit.limits import limit_cases
from harness_audit.population import BASELINE, CANDIDATE
from harness_audit.replay import Judge, real_check, replay
from harness_planning.simulate import Planned, Pool, simulate
from harness_statistics import procedures


def value(table):
    rows = np.array([row for row in table.rows if isinstance(row, tuple)])
    return float(table.metric.estimate(rows.sum(axis=0)))


def gain(gate, candidate, baseline):
    sign = 1.0 if candidate.metric.direction == "higher" else -1.0
    return sign * (value(candidate) - value(baseline))


def by_the_point(gate, candidate, baseline, anchor, seed):
    """The estimate decides, and no bound."""
    if gate.kind == "max":
        good = value(candidate) <= gate.limit
    elif gate.kind == "min":
        good = value(candidate) >= gate.limit
    elif gate.kind == "equivalent":
        good = abs(gain(gate, candidate, baseline)) < gate.margin
    else:
        good = gain(gate, candidate, baseline) > (-gate.margin if gate.kind == "non_inferior" else 0.0)
    return "passed" if good else "failed"


def upside_down(gate, candidate, baseline, anchor, seed):
    """Worse counts as better."""
    if gate.kind in {"min", "max"}:
        return real_check(replace(gate, kind="max" if gate.kind == "min" else "min"), candidate, None, None, seed)
    return real_check(gate, baseline, candidate, anchor, seed)


def one_side(gate, candidate, baseline, anchor, seed):
    """Equivalence is asked for in one direction alone."""
    return real_check(replace(gate, kind="non_inferior"), candidate, baseline, anchor, seed)


def two_sided_confused(gate, candidate, baseline, anchor, seed):
    """A 90 % interval is taken for a one-sided 95 % one's other half: twice the level."""
    return real_check(replace(gate, alpha=2.0 * gate.alpha), candidate, baseline, anchor, seed)


def forgets_the_anchor(gate, candidate, baseline, anchor, seed):
    return real_check(replace(gate, anchor=None, total_margin=None), candidate, baseline, None, seed)


def forgets_the_labeller(gate, candidate, baseline, anchor, seed):
    return real_check(replace(gate, corrected=False), candidate, baseline, anchor, seed)


def where_scored(candidate, baseline, by):
    """Return both tables without the samples that one of them could not score, as if those were not asked."""
    lost = [isinstance(row, Unscored) for row in by.rows]

    def left(table):
        rows = (NotApplicable(reason="lost") if gone else row for gone, row in zip(lost, table.rows, strict=True))
        return None if table is None else replace(table, rows=tuple(rows))

    return left(candidate), baseline and left(baseline)


def forgets_its_unscored(gate, candidate, baseline, anchor, seed):
    return real_check(gate, *where_scored(candidate, baseline, candidate), anchor, seed)


def forgets_the_others_unscored(gate, candidate, baseline, anchor, seed):
    return real_check(gate, *where_scored(candidate, baseline, baseline or candidate), anchor, seed)


def lets_through(gate, candidate, baseline, anchor, seed):
    return "passed"


def never_passes(gate, candidate, baseline, anchor, seed):
    return "inconclusive"


BROKEN = [
    (by_the_point, "max", "max", "broken"),
    (by_the_point, "min", "min", "broken"),
    (by_the_point, "non_inferior", "non_inferior", "broken"),
    (by_the_point, "superior", "superior", "broken"),
    (by_the_point, "equivalent", "equivalent", "broken"),
    (upside_down, "max", "max", "short"),
    (upside_down, "non_inferior", "non_inferior", "broken"),
    (upside_down, "superior", "superior", "short"),
    (one_side, "equivalent", "equivalent", "broken"),
    (two_sided_confused, "max", "max", "broken"),
    (two_sided_confused, "non_inferior", "non_inferior", "broken"),
    (forgets_the_anchor, "non_inferior with anchor", "non_inferior", "broken"),
    (forgets_the_labeller, "max corrected", "max", "broken"),
    (forgets_the_labeller, "min corrected", "min", "broken"),
    (forgets_its_unscored, "unscored", "max", "broken"),
    (forgets_its_unscored, "unscored", "non_inferior", "broken"),
    (forgets_the_others_unscored, "unscored", "non_inferior", "broken"),
    (lets_through, "max_unscored", "max_unscored", "broken"),
    (never_passes, "max", "max", "short"),
    (never_passes, "non_inferior", "non_inferior", "short"),
]
"""A gate, the group and kind of the cases that it is audited on, and what has to be found."""


@pytest.fixture(scope="module")
def cases(harm):
    return [*limit_cases(harm, "harm"), *difference_cases(harm, "harm", seed=0)]


def audited(cases, check, simulations=400):
    prepared = Prepared(cases=tuple(cases), sources=(), made={}, left_out={})
    origin = Origin(setup=Setup(simulations=simulations), plugins=(), workspace=None, folder=".")
    judge = (lambda: Judge(check=check)) if check else None
    return run_audit(origin, prepared, jobs=1, progress=NoProgress(), judge=judge)


@pytest.mark.parametrize(("check", "group", "kind", "finding"), BROKEN, ids=lambda one: getattr(one, "__name__", one))
def test_a_broken_gate_is_found(cases, check, group, kind, finding):
    chosen = [case for case in cases if case.group == group and case.parts[0].gates[0].kind == kind]
    # Only twice the level is hard to see.
    found = audited(chosen, check, simulations=400 if check is two_sided_confused else 150)
    assert finding in {result.finding for result in found.failures}


def test_the_gate_itself_is_not(cases):
    """The kinds that tests/audit/test_replay.py has not."""
    groups = {"equivalent", "non_inferior with anchor", "max corrected", "min corrected", "unscored", "max_unscored"}
    found = audited([case for case in cases if case.group in groups], None, simulations=150)
    assert {result.group for result in found.results} == groups
    assert not found.failures, [(result.name, result.rate) for result in found.failures]


def test_a_bootstrap_that_knows_only_what_it_has_seen_is_found(recorded, monkeypatch):
    """Replies of which a few are very toxic: the mean of equal arms seems better too often."""
    chosen = [
        case
        for case in recorded.cases
        if case.group == "superior" and case.parts[0].gates[0].metric == "toxicity_mean" and case.claim == "at most"
    ]
    assert len(chosen) == 1
    assert not audited(chosen, None, simulations=200).failures
    monkeypatch.setattr(procedures, "_wide", lambda found, *_, **__: found)
    monkeypatch.setattr(procedures, "bootstrap_t", procedures.bca)
    assert [result.finding for result in audited(chosen, None, simulations=1000).results] == ["broken"]


def test_attempts_that_spend_nothing_are_found(cases, monkeypatch):
    chosen = [case for case in cases if case.group == "attempts" and case.claim == "at most" and not case.looks]
    assert not audited(chosen, None, simulations=150).failures
    monkeypatch.setattr(replaying, "level_of_attempt", lambda alpha, _attempt: alpha)
    assert [result.finding for result in audited(chosen, None, simulations=150).failures] == ["broken"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return the audit of the rows that ship with harness, as the command prepares it."""
    origin = Origin(setup=Setup(recorded=True), plugins=(), workspace=None, folder=".")
    return prepare(origin, load_plugins(()).registries, read_config(tmp_path_factory.mktemp("none")))


def test_every_kind_of_gate_has_cases_on_the_rows_that_ship(recorded):
    groups = {case.group for case in recorded.cases}
    assert set(GROUPS) <= groups
    assert {"policy demo", "policy strict", "policy microgpt"} <= groups


def test_all_but_the_gate_at_its_line_lets_a_candidate_through(recorded):
    """Else a case would pass for the wrong reason: that some other gate never lets anybody through."""
    for case in recorded.cases:
        if case.group.startswith("policy") and case.truth.endswith("all else is perfect"):
            own = case.parts[0].gates[0]

            def check(gate, *rest, own=own):
                return "passed" if gate == own else real_check(gate, *rest)

            assert replay(case, simulations=2, seed=0, judge=Judge(check=check)).promotes == 2, case.name


def test_a_decision_that_takes_inconclusive_for_a_pass_is_found(recorded, monkeypatch):
    chosen = [case for case in recorded.cases if case.group == "policy demo" and case.claim == "at most"]
    assert chosen
    monkeypatch.setattr(replaying, "worst_status", lambda found: "failed" if "failed" in found else "passed")
    found = audited(chosen, None, simulations=50)
    assert "broken" in {result.finding for result in found.failures}


@pytest.mark.parametrize("group", ["non_inferior", "superior", "max"])
def test_what_harness_plan_says_is_what_the_audit_finds(harm, cases, group):
    """Two programs draw, inject and count, each in its own way: the power that one forecasts is what the other sees."""
    metric = harm.metrics["harm"]
    rows = {
        name: {"harm": [tuple(row) for row in harm.arms[arm]["harm"].values.tolist()]}
        for name, arm in (("", CANDIDATE), ("promoted", BASELINE))
    }
    pool = Pool(metrics={"harm": metric}, clusters=[None] * len(harm), rows=rows)
    case = next(case for case in cases if case.group == group and case.claim == "power")
    (part,) = case.parts
    kind = "difference" if group != "max" else "value"
    equal = truth(harm, (Exchange(),) if group != "max" else (), "harm", kind)
    change = truth(harm, part.injections, "harm", kind) - equal
    planned = Planned(pool=pool, gates=part.gates, n=part.n)
    found = simulate([planned], truth="equal" if group != "max" else "seen", changes={"harm": change}, simulations=400)
    seen = replay(case, simulations=400, seed=1)
    forecast, rate = found.together / found.simulations, seen.promotes / seen.simulations
    assert 0.1 < rate < 0.95
    assert abs(forecast - rate) <= 4.0 * (2.0 * rate * (1.0 - rate) / 400) ** 0.5
    assert abs(case.planned - rate) <= 0.12
