"""Every registered metric keeps its contract."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.contracts import Metric
from harness.errors import InputError
from harness.types import Decoding, NoReply, NotApplicable, RunFacts, Unscored
from tests.metrics.cases import CASES, OPTIONS, Case, Input

ASK = Decoding(max_new_tokens=16)
RUN = {"latency", "throughput", "peak_memory"}
CORPUS = [name for name, case in CASES.items() if case.factory == "diversity" or name == "revisions_alike"]
KINDS = {"proportion", "mean", "ratio", "corpus", "run"}


def named(measure, name: str) -> tuple[Metric, Case]:
    case = CASES[name]
    return measure(case.factory, **case.options)[name], case


@pytest.fixture(autouse=True)
def meaning_by_the_first_word(monkeypatch: pytest.MonkeyPatch) -> None:
    def similar(self: object, pairs: list[tuple[str, str]]) -> list[float]:
        return [float(one.split()[0] == other.split()[0]) for one, other in pairs]

    monkeypatch.setattr("harness_revision.metrics.Reviser._similar", similar)


def observe(metric: Metric, case: Case, given: Input):
    if metric.rewriter is not None:
        return metric.compare(case.sample, given.versions)
    return metric.observe(case.sample, given.replies, given.findings, given.verdicts)


def value(metric: Metric, case: Case, given: Input) -> float:
    if metric.kind == "corpus":
        return metric.resample([(case.sample, given.replies)], np.array([0]))
    row = observe(metric, case, given)
    assert isinstance(row, tuple), row
    return float(metric.estimate(np.array(row)))


@pytest.fixture(scope="module")
def everything(factories, measure) -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for factory in factories:
        assert factory in OPTIONS or factory in RUN, f"give {factory} its cases in cases.py"
        found.update(measure(factory, **OPTIONS.get(factory, {})))
    return found


def test_every_metric_has_a_case(everything):
    assert {name for name, metric in everything.items() if metric.kind != "run"} == set(CASES)


def test_every_metric_declares_itself(everything):
    for name, metric in everything.items():
        assert metric.name == name
        assert metric.kind in KINDS
        assert metric.direction in {"higher", "lower", "neither"}
        assert metric.about, name
        assert metric.unit, name
        if metric.kind == "proportion":
            assert metric.bounds == (0.0, 1.0)
        if metric.bounds is not None:
            assert all(map(math.isfinite, metric.bounds))
            assert metric.bounds[0] < metric.bounds[1]


def test_adherence_informs_and_does_not_gate(everything):
    assert {name for name, metric in everything.items() if not metric.gates} == {
        name for name in CASES if CASES[name].factory == "adherence"
    }


@pytest.mark.parametrize("name", CASES)
def test_no_reply_is_unscored_never_a_row(measure, name):
    metric, case = named(measure, name)
    requests = metric.requests(case.sample, ASK)
    assert requests, "the case's sample must be asked about"
    silence = tuple(NoReply(reason="time-out") for _ in requests)
    found = metric.observe(case.sample, silence, case.best.findings, case.best.verdicts)
    assert isinstance(found, Unscored)
    assert "time-out" in found.reason


@pytest.mark.parametrize("name", CASES)
def test_one_missing_reply_of_several_is_unscored(measure, name):
    metric, case = named(measure, name)
    replies = (*case.best.replies[:-1], NoReply(reason="time-out"))
    assert isinstance(metric.observe(case.sample, replies, case.best.findings, case.best.verdicts), Unscored)


@pytest.mark.parametrize("name", CASES)
def test_an_unusable_judgement_is_unscored(measure, name):
    metric, case = named(measure, name)
    if metric.classifiers:
        for findings in ({}, {metric.classifiers[0]: Unscored(reason="it did not load")}):
            found = metric.observe(case.sample, case.best.replies, findings, ())
            assert isinstance(found, Unscored)
    elif metric.constitution:
        assert isinstance(metric.observe(case.sample, case.best.replies, {}, ()), Unscored)
    else:
        assert observe(metric, case, case.best) == observe(metric, case, case.best)


@pytest.mark.parametrize("name", CASES)
def test_a_foreign_sample_is_not_applicable(measure, name):
    metric, _ = named(measure, name)
    bare = type(CASES[name].sample)(id="bare")
    assert metric.requests(bare, ASK) == ()
    assert isinstance(metric.observe(bare, (), {}, ()), NotApplicable)


@pytest.mark.parametrize("name", CASES)
def test_the_ends_are_reached(measure, name):
    metric, case = named(measure, name)
    best, worst = value(metric, case, case.best), value(metric, case, case.worst)
    for got, expected in zip((best, worst), case.ends, strict=True):
        assert expected is None or got == pytest.approx(expected, abs=1e-9)
    if metric.direction != "neither":
        assert best > worst if metric.direction == "higher" else best < worst
    if metric.bounds is not None:
        assert all(metric.bounds[0] <= got <= metric.bounds[1] for got in (best, worst))


@pytest.mark.parametrize("name", CASES)
def test_rows_are_finite_and_equally_long(measure, name):
    metric, case = named(measure, name)
    rows = [observe(metric, case, given) for given in (case.best, case.worst, case.best)]
    assert {len(row) for row in rows} == {len(rows[0])}
    assert np.isfinite(np.array(rows)).all()
    assert rows[0] == rows[2], "the same input gives the same row"
    if metric.kind == "proportion":
        assert all(row in {(0.0, 1.0), (1.0, 1.0)} for row in rows)
    if metric.kind == "mean":
        assert all(row[1] == 1.0 for row in rows)


@pytest.mark.parametrize("name", [name for name in CASES if name not in CORPUS])
def test_estimate_vectorises_and_ignores_order(measure, name):
    metric, case = named(measure, name)
    rows = np.array([observe(metric, case, given) for given in (case.best, case.worst)])
    weights = np.random.default_rng(1).integers(1, 5, size=(7, 2)).astype(float)
    sums = weights @ rows
    together = metric.estimate(sums)
    assert together.shape == (7,)
    np.testing.assert_allclose(together, [float(metric.estimate(one)) for one in sums], rtol=1e-12)
    cube = np.stack([sums, sums[::-1]])
    np.testing.assert_allclose(metric.estimate(cube), np.stack([together, together[::-1]]), rtol=1e-12)
    np.testing.assert_allclose(metric.estimate(weights[:, ::-1] @ rows[::-1]), together, rtol=1e-12)


@pytest.mark.parametrize("name", CORPUS)
def test_corpus_metrics_ignore_order(measure, name):
    metric, case = named(measure, name)
    records = [(case.sample, case.best.replies), (case.sample, case.worst.replies), (case.sample, case.best.replies)]
    value = metric.resample(records, np.array([0, 1, 2]))
    assert metric.resample(records, np.array([2, 0, 1])) == value
    assert metric.resample(records[::-1], np.array([0, 1, 2])) == value
    assert math.isnan(metric.resample(records, np.array([], dtype=np.int64)))


def test_metrics_of_a_run_without_facts_are_unscored(measure):
    nothing = RunFacts(timings=(), peak_memory=0, generated_tokens=0, seconds=0.0)
    for factory in RUN:
        for metric in measure(factory).values():
            assert metric.kind == "run"
            assert isinstance(metric.measure(nothing), Unscored)


def test_unknown_options_are_refused_with_the_nearest_key(factories):
    for name, make in factories.items():
        with pytest.raises(InputError):
            make({**OPTIONS.get(name, {}), "surely_unknown": 1}, {})
    with pytest.raises(InputError, match="did you mean 'classifier'"):
        factories["toxicity"]({"clasifier": "x"}, {})
    with pytest.raises(InputError, match=r"at: .*number"):
        factories["toxicity"]({"at": "0.5"}, {})
    with pytest.raises(InputError, match="needs the option 'module'"):
        factories["evaluate"]({"key": "x"}, {})
