"""The power of whole policies is that of their comparisons, whatever else is asked of the same metric."""

from __future__ import annotations

import numpy as np

from harness.types import Gate
from harness_audit.policies import Replayed, policy_cases
from harness_audit.replay import Part, replay
from tests.audit.conftest import Harm, population


def test_a_limit_on_the_unscored_makes_no_candidate_perfect():
    """A gate that counts this very run said nothing of the value, and yet the metric counted as limited by it."""
    drawn = np.random.default_rng(3).random((2, 120))
    rows = [[(float(one), 1.0) for one in arm < 0.5] for arm in drawn]
    compared = Gate(metric="harm", kind="non_inferior", to="promoted", margin=0.08)
    unscored = Gate(metric="harm", kind="max_unscored", limit=0.05)

    def power(*gates: Gate) -> int:
        part = Part(population=population(Harm(), *rows), n=120, gates=gates)
        found = Replayed(parts=(part,), left_out=(), level=0.05, later=0.05)
        case = next(one for one in policy_cases("p", found, seed=0) if one.name == "p: equal at attempt 1")
        return replay(case, simulations=60, seed=1).promotes

    assert power(compared, unscored) == power(compared) < 45
