"""What attempts spend: never more than alpha together, whatever their number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.attempts import level_of_attempt

alphas = st.floats(1e-6, 0.5)


def spent(alpha: float, attempts: int) -> float:
    """Return what so many attempts spend together."""
    return sum(level_of_attempt(alpha, attempt) for attempt in range(1, attempts + 1))


def test_the_first_levels() -> None:
    levels = [level_of_attempt(0.05, attempt) for attempt in (1, 2, 3, 10)]
    assert levels == pytest.approx([0.030396, 0.007599, 0.003377, 0.000304], abs=5e-7)


@given(alphas, st.integers(1, 3_000))
def test_attempts_never_spend_more_than_alpha_together(alpha: float, attempts: int) -> None:
    assert spent(alpha, attempts - 1) < spent(alpha, attempts) < alpha


def test_nearly_all_of_alpha_is_spent_in_the_long_run() -> None:
    # The rest after m attempts is below 6 alpha / (π² m).
    assert 0.05 - spent(0.05, 10_000) < 0.05 * 6 / (np.pi**2 * 10_000)
    assert spent(0.05, 0) == 0.0


def test_equal_copies_rarely_win_even_over_many_attempts() -> None:
    """Of 20,000 series of 200 attempts with uniform p values, at most about 5 % ever pass."""
    levels = np.array([level_of_attempt(0.05, attempt) for attempt in range(1, 201)])
    p = np.random.default_rng(0).random((20_000, 200))
    assert (p <= levels).any(axis=1).mean() <= 0.055
    assert (p <= 0.05).any(axis=1).mean() > 0.99


@pytest.mark.parametrize(("alpha", "attempt"), [(0.05, 0), (0.05, -1), (0.0, 1), (1.0, 1)])
def test_what_makes_no_sense_is_refused(alpha: float, attempt: int) -> None:
    with pytest.raises(ValueError, match=r"attempts are counted from 1|alpha must lie"):
        level_of_attempt(alpha, attempt)
