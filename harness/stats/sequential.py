"""The levels of looks at more and more samples of one attempt, so that they spend its level together and no more.

By the share t of its samples an attempt has spent a · ln(1 + (e − 1) t) of its level a: the spending function of
K. K. G. Lan and D. L. DeMets, Discrete sequential boundaries for clinical trials, Biometrika 70 (1983) 659–663, that is
like the boundary of S. J. Pocock, Biometrika 64 (1977) 191–199, which clear cases pass early. The level of a look
follows from what earlier ones have spent, as the same samples stand in all of them: the increments of the sum are
independent and normal, and the density of those that have not passed yet is integrated look by look (P. Armitage,
C. K. McPherson and B. C. Rowe, Journal of the Royal Statistical Society A 132 (1969) 235–244).

`harness gate audit` simulates what it comes to on counts, which are not normal.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

_POINTS = 1001
_DEEP = 9.0
"""Standard deviations; beyond them lies less than 1e-18."""


def spending(alpha: float, share: float) -> float:
    """Return how much of `alpha` is spent when this share of the samples, in [0, 1], was looked at."""
    return alpha * math.log1p((math.e - 1.0) * min(1.0, max(0.0, share)))


@lru_cache(maxsize=256)
def look_levels(alpha: float, shares: tuple[float, ...]) -> tuple[float, ...]:
    """Return the one-sided level of each look.

    Args:
        alpha: of all looks together, in (0, 0.5).
        shares: of the samples, rising, the last 1.

    Returns:
        Levels in (0, alpha], as many as looks; one look has the whole.
    """
    from scipy.special import ndtr, ndtri

    if not shares or shares[-1] != 1.0 or any(b <= a for a, b in zip((0.0, *shares), shares, strict=False)):
        raise ValueError(f"shares of the samples must rise to 1, not {shares}")
    levels: list[float] = []
    points, mass = np.zeros(1), np.ones(1)  # where the sum stands, of those that have not passed yet
    for number, share in enumerate(shares):
        before = shares[number - 1] if number else 0.0
        wanted, step = spending(alpha, share) - spending(alpha, before), math.sqrt(share - before)
        low, high = wanted, alpha
        for _ in range(60):
            middle = math.sqrt(low * high)
            line = -float(ndtri(middle)) * math.sqrt(share)
            if float((mass * ndtr((points - line) / step)).sum()) > wanted:
                high = middle
            else:
                low = middle
        levels.append(low)
        end = -float(ndtri(low)) * math.sqrt(share)
        now = np.linspace(-_DEEP * math.sqrt(share), end, _POINTS)
        density = (mass[:, None] * np.exp(-0.5 * ((now[None, :] - points[:, None]) / step) ** 2)).sum(axis=0)
        widths = np.full(_POINTS, now[1] - now[0])
        widths[[0, -1]] *= 0.5
        points, mass = now, density * widths / (step * math.sqrt(2.0 * math.pi))
    return tuple(levels)
