"""Adversaries in the audit: what is promised holds against them, and what is not promised fails visibly."""

from __future__ import annotations

import pytest

from harness_audit.adversaries import adversary_cases
from harness_audit.replay import replay

CASES = tuple(adversary_cases())


@pytest.mark.parametrize("case", [case for case in CASES if case.claim == "at most"], ids=lambda case: case.truth)
def test_fresh_and_hidden_samples_hold_against_who_learns_and_chooses(case):
    times = 20 if case.looks else 100
    found = replay(case, simulations=times, seed=1)
    assert found.promotes / times <= case.allowed + 3 * (case.allowed * (1 - case.allowed) / times) ** 0.5


@pytest.mark.parametrize("case", [case for case in CASES if case.claim == "outside"], ids=lambda case: case.truth)
def test_open_samples_that_are_used_again_do_not(case):
    assert replay(case, simulations=60, seed=1).promotes > 6


def test_a_history_begins_anew_with_each_simulation():
    """What an adversary learned in one history is not known in the next: the same seed gives the same tally."""
    case = next(case for case in CASES if case.attempts > 1)
    assert replay(case, simulations=20, seed=2).promotes == replay(case, simulations=20, seed=2).promotes
