"""The companion gate of unbounded means: a share of texts, counted exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.api.stats import check_gate, samples_needed
from harness.contracts import Metric
from harness.errors import InputError
from harness.gates.valid import require_valid
from harness.reading.config import PolicyFile
from harness.stats import MetricTable
from harness.stats.proportion import clopper_pearson
from harness.types import Gate, Unscored

GATE = Gate(metric="bits", kind="max_worse", to="promoted", margin=0.5, limit=0.1)


class Bits(Metric):
    name, kind, direction = "bits", "ratio", "lower"


class Score(Metric):
    name, kind, direction = "bits", "mean", "higher"


def table(changes, metric=None, base=2.0):
    ids = tuple(f"t{n}" for n in range(len(changes)))
    rows = tuple(Unscored(reason="lost") if one is None else (100.0 * (base + one), 100.0) for one in changes)
    return MetricTable(metric=metric or Bits(), ids=ids, content_hashes=ids, clusters=(None,) * len(ids), rows=rows)


def test_it_counts_texts_and_not_how_bad_they_are():
    mild = check_gate(GATE, table([0.6] * 2 + [0.0] * 98), table([0.0] * 100))
    harsh = check_gate(GATE, table([60.0] * 2 + [0.0] * 98), table([0.0] * 100))
    assert mild.status == harsh.status == "passed"
    assert (mild.low, mild.high) == (harsh.low, harsh.high)
    assert mild.high == pytest.approx(clopper_pearson(2, 100, 0.05).high)
    assert mild.sentence.startswith(
        "passed: 2.0 % [0.4, 6.2] of 100 texts are worse in bits than promoted by more than"
    )
    assert check_gate(GATE, table([0.6] * 30 + [0.0] * 70), table([0.0] * 100)).status == "failed"
    assert check_gate(GATE, table([0.6] * 8 + [0.0] * 92), table([0.0] * 100)).status == "inconclusive"


def test_better_is_never_worse_and_the_direction_is_the_metrics():
    assert check_gate(GATE, table([-9.0] * 60), table([0.0] * 60)).status == "passed"
    up = replace(GATE, margin=0.5)
    assert check_gate(up, table([-9.0] * 60, Score()), table([0.0] * 60, Score())).status == "failed"
    assert check_gate(up, table([9.0] * 60, Score()), table([0.0] * 60, Score())).status == "passed"


def test_what_was_not_scored_counts_as_worse():
    lost = check_gate(GATE, table([None] * 12 + [0.0] * 88), table([0.0] * 100))
    assert lost.status == "inconclusive"
    assert "12 of 100 unscored taken as the worst" in lost.sentence


def test_it_says_how_many_texts_it_needs_and_refuses_what_has_no_texts():
    assert samples_needed(GATE, Bits()) == 29
    metric = Score()
    metric.direction = "neither"
    with pytest.raises(InputError, match="no better direction"):
        require_valid(GATE, metric)
    with pytest.raises(InputError, match="cap"):
        require_valid(replace(GATE, cap=9.0), Bits())


def test_it_reads_from_yaml():
    gates = [{"metric": "bits", "max_worse": {"by": 0.5, "share": 0.1}}]
    policy = PolicyFile(suites=[{"suite": "tiny", "gates": gates}]).record("mine")
    assert policy.suites[0].gates == (GATE,)
