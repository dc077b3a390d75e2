"""The level of the next attempt where a false discovery *rate* is wanted: SAFFRON.

A. Ramdas, T. Zrnic, M. J. Wainwright and M. I. Jordan, SAFFRON: an adaptive algorithm for online control of the false
discovery rate, ICML 2018 (arXiv 1802.09098), algorithm 1, with γ_j proportional to j^−1.6 and λ = ½. Of all promotions
at most the share α is wrong, in expectation; each one earns level for the next. It needs p values that are independent
of each other where nothing is better: fresh samples each time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

CANDIDATE = 0.5
"""λ: an attempt whose p is at most this costs nothing, whether it passes or not."""
_DECAY, _TERMS = 1.6, 100_000


def saffron_level(alpha: float, history: Sequence[tuple[float, bool]]) -> float:
    """Return the level of the attempt after those of the history.

    Args:
        alpha: the false discovery rate, in (0, 1). Half of it is the initial wealth.
        history: p of each earlier attempt, and whether it passed; in order.

    Returns:
        In (0, λ].
    """
    passed = [place for place, (_, went) in enumerate(history) if went]

    def part(since: int) -> float:
        """γ at the number of attempts after place `since` that were no candidates, plus one."""
        return _gamma(1 + sum(p > CANDIDATE for p, _ in history[since + 1 :]))

    level = alpha / 2.0 * part(-1)
    for number, place in enumerate(passed):
        level += (alpha / 2.0 if number == 0 else alpha) * part(place)
    return float(min(CANDIDATE, (1.0 - CANDIDATE) * level))


@lru_cache(maxsize=1)
def _sum() -> float:
    tail = math.pow(_TERMS, 1.0 - _DECAY) / (_DECAY - 1.0)
    return math.fsum(math.pow(j, -_DECAY) for j in range(1, _TERMS + 1)) + tail


def _gamma(j: int) -> float:
    return math.pow(j, -_DECAY) / _sum()
