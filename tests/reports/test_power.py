"""Power against true effect, as the report draws it of a decision."""

from __future__ import annotations

import pytest

from harness.types import Check, Estimate, Gate
from harness_report.curves import curve_plot
from harness_report.power import TOGETHER, power_curves, power_rows


def check(kind="non_inferior", margin=0.1, half=0.05, **fields):
    estimate = Estimate(
        metric="m", kind="proportion", direction="higher", value=0.5, low=0.4, high=0.6, n=100, unscored=0
    )
    gate = Gate(metric="m", kind=kind, to="promoted", margin=margin, alpha=0.05)
    return Check(gate=gate, status="passed", sentence="passed: m", estimate=estimate, baseline=estimate, difference=0.0,
                 low=-half, high=half, **fields)  # fmt: skip


def test_at_the_margin_it_passes_as_often_as_its_level_and_an_equal_one_more_often():
    points = dict(power_curves([("s", check())])[TOGETHER])
    assert points[-1.0] == pytest.approx(0.05)
    assert points[0.0] == pytest.approx(0.95)  # the interval reaches half a margin
    assert points[1.0] > 0.99


def test_together_is_the_product_and_the_widest_interval_costs_most():
    curves = power_curves([("wide", check(half=0.1)), ("narrow", check(half=0.05))])
    assert power_rows(curves)[2] == ("equal", "48 %", "50 %")
    assert list(curves) == [TOGETHER, "wide m, which costs most"]
    assert dict(curves[TOGETHER])[0.0] == pytest.approx(0.5 * 0.95)


def test_an_equivalence_is_likeliest_where_nothing_changed():
    points = dict(power_curves([("s", check("equivalent"))])[TOGETHER])
    assert points[0.0] == pytest.approx(0.9)
    assert points[1.0] == points[-1.0] == pytest.approx(0.05, abs=1e-6)


def test_what_compares_nothing_is_not_drawn():
    assert power_curves([("s", check(margin=None, kind="superior"))]) == {}
    assert "true effect -1 to 1" in curve_plot(power_curves([("s", check())]), "true effect")
