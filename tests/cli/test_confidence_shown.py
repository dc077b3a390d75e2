"""Every interval says how sure it is: in a column's heading where all agree, else beside each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.api.stats import check_gate
from harness.stats import estimate
from harness.tables import checks_table, confidence_text, interval, one_confidence
from harness.types import Gate
from tests.stats.conftest import Plain, table

ROWS = table(Plain("proportion", name="harm"), [(1, 1)] * 4 + [(0, 1)] * 116)
GATE = Gate(metric="harm", kind="max", limit=0.2)


@pytest.mark.parametrize(
    ("confidence", "text"), [(0.9, "90 %"), (0.9392, "93.9 %"), (0.9848, "98.5 %"), (0.99924, "99.924 %")]
)
def test_a_confidence_keeps_two_digits_of_what_is_missing(confidence, text):
    assert confidence_text(confidence) == text


def test_a_heading_says_what_all_intervals_of_a_column_share():
    assert one_confidence([0.9, 0.9]) == "90 %"
    assert one_confidence([0.9, 0.95]) == ""
    assert interval(estimate(ROWS), labelled=True).endswith("(90 %)")


def because(*alphas):
    made = checks_table(("suite", check_gate(replace(GATE, alpha=alpha), ROWS)) for alpha in alphas)
    column = made.columns[3]
    return str(column.header), [str(cell) for cell in column.cells]


def test_checks_of_one_level_say_it_once_and_others_each():
    heading, cells = because(0.0304, 0.0304)
    assert heading == "because, with 93.9 % intervals"
    assert all("93.9 %" not in cell for cell in cells)
    heading, cells = because(0.05, 0.0304)
    assert heading == "because"
    assert [cell.rpartition("(")[2] for cell in cells] == ["90 % interval)", "93.9 % interval)"]
