"""A regression on the baseline's score: nothing on the same samples, and what the formula says on a larger bank."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("regression", ROOT / "benchmarks" / "regression_adjustment.py")
regression = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(regression)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95])
def test_on_the_same_samples_it_is_the_paired_difference(correlation):
    known, candidate = regression.scores(correlation, 40, np.random.default_rng(1))
    assert regression.adjusted(known, candidate) == pytest.approx(float((candidate - known).mean()), abs=1e-12)


def test_on_a_larger_bank_it_takes_off_what_the_formula_says():
    found = regression.simulated(0.3, 5, runs=2_000)
    assert found == pytest.approx(regression.derived(0.3, 5), abs=0.05)
    assert found < 0.8


def test_the_page_has_the_recorded_rows():
    assert regression.recorded() in (ROOT / "docs" / "statistics-reference.md").read_text(encoding="utf-8")
