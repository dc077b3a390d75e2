"""Gates on corrected rates, and gates that ask the same of each principle."""

from __future__ import annotations

import pytest

from harness.api.stats import as_written, check_gate, of_each, require_attainable, require_valid
from harness.errors import InputError
from harness.serial import from_json, to_json
from harness.types import Calibration, Check, Gate, Unscored

KNOWN = Calibration(sensitivity=(506, 545), specificity=(794, 995))


def gate(kind, limit, **options):
    return Gate(metric="harm", kind=kind, limit=limit, corrected=True, **options)


@pytest.fixture
def labelled(plain, make_table):
    def build(yes, no, known=KNOWN, clusters=None):
        metric = plain("proportion", name="harm")
        metric.calibration = known
        return make_table(metric, [(1, 1)] * yes + [(0, 1)] * no, clusters)

    return build


@pytest.mark.parametrize(
    ("condition", "yes", "no", "sentence"),
    [
        (gate("max", 0.2), 50, 150,
         "passed: harm is 6.6 % [0.0, 14.4], corrected for its labeller's errors (25.0 % as labelled), within the limit of 20 %"),
        (gate("max", 0.05), 90, 110,
         "failed: harm is 34.1 % [26.0, 42.4], corrected for its labeller's errors (45.0 % as labelled), against a limit of 5 %"),
        (gate("max", 0.1), 50, 150,
         ("inconclusive: harm is 6.6 % [0.0, 14.4], corrected for its labeller's errors (25.0 % as labelled), "
          "against a limit of 10 %; about 7,262 samples would decide at this rate with 80 % power")),
        (gate("max", 0.07), 50, 150,
         ("inconclusive: harm is 6.6 % [0.0, 14.4], corrected for its labeller's errors (25.0 % as labelled), "
          "against a limit of 7 %; no practical number of samples would decide at this rate; labelling more replies by hand "
          "would, since it tells how often the labeller is right")),
    ],
)  # fmt: skip
def test_sentences_of_corrected_gates(condition, yes, no, sentence, labelled):
    found = check_gate(condition, labelled(yes, no))
    assert found.sentence.startswith(sentence)
    assert (found.status == "passed") == (found.p <= 0.05)
    assert (found.estimate.value, found.estimate.method) == (yes / (yes + no), "Clopper–Pearson")
    assert found.corrected.method == "Rogan–Gladen, Lang–Reiczigel interval"
    assert (found.corrected.low, found.corrected.high) == (found.low, found.high)
    assert from_json(Check, to_json(found)) == found


def test_unscored_samples_and_clusters_widen_a_corrected_interval(plain, make_table, labelled):
    whole = check_gate(gate("max", 0.2), labelled(50, 150))
    metric = labelled(50, 150).metric
    holes = make_table(metric, [(1, 1)] * 50 + [(0, 1)] * 140 + [Unscored(reason="time-out")] * 10)
    assert check_gate(gate("max", 0.2), holes).high > whole.high
    clustered = make_table(metric, [(1, 1)] * 50 + [(0, 1)] * 150, [f"c{i // 5}" for i in range(200)])
    assert check_gate(gate("max", 0.2), clustered).high > whole.high


def test_what_cannot_be_corrected_is_refused_before_the_run(plain, labelled):
    with pytest.raises(InputError, match="how often the labeller of harm is right is not known"):
        require_valid(gate("max", 0.2), plain("proportion", name="harm"))
    rough = Calibration(sensitivity=(8, 10), specificity=(8, 10))
    with pytest.raises(InputError, match=r"found 8 of 10 and spared 8 of 10; so .* label more by hand"):
        require_valid(gate("max", 0.2), labelled(1, 9, rough).metric)
    with pytest.raises(InputError, match="min and max alone"):
        require_valid(Gate(metric="harm", kind="superior", to="base", corrected=True), labelled(1, 9).metric)
    metric = labelled(1, 9).metric
    require_attainable(gate("max", 0.05), metric, 200)
    with pytest.raises(InputError, match=r"max 0.05 corrected on harm .* needs at least \d+ samples and there are 5"):
        require_attainable(gate("max", 0.05), metric, 5)
    few = Calibration(sensitivity=(58, 60), specificity=(58, 60))
    assert check_gate(gate("max", 0.3), labelled(0, 500, few)).status == "passed"


@pytest.fixture
def by_principle(plain):
    parts = []
    for principle in ("privacy", "care"):
        part = plain("proportion", "higher", name=f"adherence.{principle}")
        part.about_principle = principle
        parts.append(part)
    return [*parts, plain("mean", "higher", bounds=(0.0, 1.0), name="adherence")]


FLOORS = Gate(metric="adherence", kind="min", limit=0.9, each="principle")


def test_one_gate_for_each_principle_and_back(by_principle):
    found = of_each(FLOORS, by_principle)
    assert [gate.metric for gate in found] == ["adherence.privacy", "adherence.care"]
    assert {gate.limit for gate in found} == {0.9}
    other = Gate(metric="adherence", kind="min", limit=0.5)
    assert of_each(other, by_principle) == (other,)
    assert [again for gate in found for again in of_each(gate, by_principle)] == list(found)
    assert as_written((other, *found, other)) == (other, FLOORS, other)


def test_principles_that_nothing_measures_are_an_error(by_principle):
    with pytest.raises(InputError, match=r"s.yaml:3: gates\[0\]: nothing measures adherance by principle"):
        of_each(Gate(metric="adherance", kind="min", limit=0.9, each="principle"), by_principle,
                file="s.yaml", line=3, key="gates[0]")  # fmt: skip
    with pytest.raises(InputError, match="nothing measures adherence by principle"):
        of_each(FLOORS, by_principle[2:])
