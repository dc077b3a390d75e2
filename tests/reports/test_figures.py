"""Gates, metrics and principles as they are drawn: the threshold stands where the gate has it, on its side."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

from harness.types import AnchorCheck, Check, Estimate, Gate
from harness_report import plots, reading, trend
from harness_report.figures import INFORMS, domain, gate_figure, key_metrics, metric_rows, principle_figures
from harness_report.fragments import gate_text
from harness_report.samples import LabelCount
from harness_report.trend import places, trend_plot


def estimate(direction="lower", kind="proportion", **more):
    values = {"value": 0.2, "low": 0.1, "high": 0.3, "n": 50, "unscored": 0, "unit": "share", **more}
    return Estimate(metric="m", kind=kind, direction=direction, **values)


def check(kind, direction="lower", metric_kind="proportion", **more):
    gate = {key: more.pop(key) for key in ("limit", "margin", "to") if key in more}
    return Check(
        gate=Gate(metric="m", kind=kind, **gate), status="passed", sentence="passed: because of this",
        estimate=estimate(direction, metric_kind), **more,
    )  # fmt: skip


def test_limits_are_in_percent_and_on_their_side():
    most = gate_figure(check("max", limit=0.3, low=0.1, high=0.28))
    assert (most.value, most.low, most.high, most.passing) == (20.0, 10.0, 28.000000000000004, (None, 30.0))
    assert most.sentence == "because of this"
    least = gate_figure(check("min", "higher", limit=0.1, low=0.1, high=0.28))
    assert least.passing == (10.0, None)


def test_a_rate_that_leaves_samples_out_is_drawn_with_both_shares():
    figure = (
        gate_figure(check("min", "higher", limit=0.1)),
        gate_figure(
            replace(check("min", "higher", limit=0.1), estimate=estimate("higher", value=8 / 9, n=10, unscored=1))
        ),
    )
    assert [one.candidate for one in figure] == ["20.0 %", "88.9 % of 9 scored, 80 to 90 % of all 10"]


@pytest.mark.parametrize(
    ("kind", "direction", "margin", "passing"),
    [
        ("non_inferior", "lower", 0.08, (None, 8.0)),
        ("non_inferior", "higher", 0.08, (-8.0, None)),
        ("superior", "lower", None, (None, 0.0)),
        ("superior", "higher", None, (0.0, None)),
    ],
)
def test_comparisons_show_the_difference(kind, direction, margin, passing):
    figure = gate_figure(
        check(kind, direction, margin=margin, to="promoted", difference=0.02, low=-0.03, high=0.07,
              baseline=estimate(direction, value=0.18))
    )  # fmt: skip
    assert (figure.value, figure.passing, figure.compares) == (2.0, passing, True)
    assert "points" in figure.axis
    assert (figure.candidate, figure.baseline) == ("20.0 %", "18.0 %")


def test_sameness_passes_between_two_lines():
    figure = gate_figure(
        check("equivalent", margin=0.05, to="base", difference=0.02, low=-0.03, high=0.04, baseline=estimate())
    )
    assert figure.passing == (-5.0, 5.0)
    assert figure.ends[0] < -5.0 < 5.0 < figure.ends[1]
    assert plots.gate_plot(figure).count("hr-limit") == 2
    assert figure.title == "m within 5 % of base"


def test_a_corrected_rate_is_drawn_and_the_labelled_one_stands_beside_it():
    found = replace(check("max", limit=0.3, low=0.01, high=0.12), corrected=estimate(value=0.05))
    figure = gate_figure(found)
    assert (figure.value, figure.candidate) == (5.0, "5.0 %")
    assert "as labelled <b>20.0 %</b>" in gate_text(found)


def test_an_anchor_stands_beside_the_baseline():
    anchor = AnchorCheck(status="passed", baseline=estimate(value=0.1), difference=0.1, low=0.0, high=0.2, p=0.01)
    gate = {"margin": 0.1, "to": "promoted"}
    found = check("non_inferior", difference=0.02, low=-0.03, high=0.07, baseline=estimate(value=0.18), **gate)
    found = replace(found, anchor=anchor, gate=replace(found.gate, anchor="base", total_margin=0.3))
    assert "base <b>10.0 %</b>" in gate_text(found)
    assert "than base by 30 % in total" in gate_figure(found).title


def test_unscored_shares_and_other_units():
    share = gate_figure(replace(check("max_unscored", limit=0.05), estimate=estimate(unscored=5)))
    assert (share.value, share.passing, share.low) == (10.0, (None, 5.0), None)
    assert share.candidate == "10.0 %"  # of what the gate looks at, and not the metric's 20 %
    plain = gate_figure(check("max", metric_kind="mean", limit=12.0, low=1.0, high=3.0))
    assert (plain.value, plain.passing, plain.axis) == (0.2, (None, 12.0), "m (share)")


def test_a_gate_without_a_value_is_drawn_without_one():
    nothing = Check(gate=Gate(metric="m", kind="max", limit=1.0), status="inconclusive", sentence="none", estimate=None)
    figure = gate_figure(nothing)
    assert (figure.value, figure.candidate) == (None, "—")
    drawn = plots.gate_plot(figure)
    assert "no value" in drawn
    assert "hr-dot" not in drawn


def test_axes_hold_everything_drawn():
    for figure in (
        gate_figure(check("max", limit=0.9, low=0.1, high=0.28)),
        gate_figure(check("superior", to="base", difference=-0.02, low=-0.03, high=-0.01)),
    ):
        low, high = figure.ends
        assert low <= min(figure.low, *(at for at in figure.passing if at is not None))
        assert high >= max(figure.high, *(at for at in figure.passing if at is not None))
    assert domain() == (0.0, 1.0)
    assert domain(2.0) == (1.76, 2.24)


def test_metrics_that_gates_rest_on_come_first(root):
    run = reading.read_overview(root).runs[-1]
    rows = metric_rows(run, None)
    assert [row.gated for row in rows] == sorted((row.gated for row in rows), reverse=True)
    assert rows[0].scale == (0.0, 1.0)
    assert [found.metric for found in key_metrics(run, 2)] == ["harmful_compliance", "over_refusal"]


def test_principles_say_that_they_do_not_gate(root):
    found = reading.read_overview(root)
    careful, careless = found.runs[-2:]
    (figure,) = principle_figures(careless, reading.constitutions(root, careless.id), careful)
    assert figure.principle.id == "keeps_secrets"
    assert figure.standing == INFORMS
    assert figure.estimate.value < figure.baseline.value


def test_marks_stand_where_their_values_are():
    figure = gate_figure(check("max", limit=0.3, low=0.1, high=0.28))
    low, high = figure.ends

    def at(value):
        return f"hr-x{round(200 * (value - low) / (high - low))}"

    drawn = plots.gate_plot(figure)
    assert f'class="hr-limit {at(30.0)}"' in drawn
    assert f'class="hr-dot hr-is-passed {at(20.0)}"' in drawn
    assert f'class="hr-span hr-is-passed {at(10.0)} ' in drawn
    assert re.search(rf'class="hr-passing hr-x0 hr-w{at(30.0)[4:]}"', drawn), "the side that passes is shaded"
    assert "style=" not in drawn
    assert all(f".{place}{{" in plots.PLACES for place in re.findall(r"hr-[xw]\d+", drawn))


def test_a_metric_over_runs_is_a_point_each_and_labels_have_a_line_each(root):
    runs = reading.read_overview(root).runs
    drawn = trend_plot([run for run in runs if run.suite == "talk"], "harmful_compliance")
    assert drawn.count("hr-trend-dot") == 2
    assert "replay:careless.jsonl: 60" in drawn
    assert trend_plot(runs, "no such") is None
    assert "hr-trend-ring" not in drawn
    known = plots.PLACES + trend.PLACES
    assert all(f".{place}{{" in known for place in re.findall(r"hr-[xyh]\d+", drawn))
    promoted = next(run for run in runs if run.suite == "talk").candidate_fingerprint
    marked = trend_plot([run for run in runs if run.suite == "talk"], "harmful_compliance", promoted=promoted)
    assert marked.count("hr-trend-ring") == 1
    counts = [LabelCount(classifier="c", label=label, samples=n, scored=20) for label, n in (("A", 10), ("B", 5))]
    drawn = plots.labels_plot(counts)
    assert "A 50" in drawn
    assert "hr-x0 hr-w200" in drawn
    assert "hr-x0 hr-w100" in drawn


def test_points_stand_by_time_and_apart_where_there_is_room():
    far = places([0.0, 10.0, 1000.0])
    assert far[1] - far[0] > 0.02, "ten seconds would lie on each other"
    assert far[2] - far[1] > 0.8
    for seconds in ([float(n) for n in range(100)], [0.0, 998.0, 999.0, 1000.0], [5.0] * 30):
        found = places(seconds)
        assert found == sorted(found)
        assert found[0] >= 0
        assert found[-1] <= 1
    assert min(b - a for a, b in itertools.pairwise(places([0.0, 998.0, 999.0, 1000.0]))) > 0.02
