"""The level of each attempt, so that all attempts together promote by luck with a chance of at most `alpha`.

Attempt j spends 6 · alpha / (π² · j²). Since the sum of 1 / j² over j = 1, 2, … is π² / 6 (Euler's Basel sum), however
many attempts there are, they spend at most `alpha` together, by Bonferroni's inequality. Attempts may depend on each
other, but no candidate on the samples that decide: `python benchmarks/adaptive.py` shows what memorised prompts do.

Spending a level over a sequence of tests is described by D. P. Foster and R. A. Stine, α-investing, Journal of the
Royal Statistical Society B 70 (2008) 429–444, section 2, and by J. Tian and A. Ramdas, Online control of the
familywise error rate, Statistical Methods in Medical Research 30 (2021) 976–993.
"""

from __future__ import annotations

import math


def level_of_attempt(alpha: float, attempt: int, declared: int | None = None) -> float:
    """Return the one-sided level of an attempt: 6 · alpha / (π² · attempt²), or an equal part of those declared.

    Args:
        alpha: what all attempts may spend together, in (0, 1).
        attempt: 1 for the first.
        declared: how many attempts there are to be, each at alpha / declared (Bonferroni); None is any number.

    Returns:
        In (0, alpha): about 0.61 of `alpha` for the first attempt, 0.15 for the second, 0.07 for the third.

    Raises:
        ValueError: for an attempt below 1 or above those declared, or an alpha outside (0, 1).
    """
    if attempt < 1:
        raise ValueError(f"attempts are counted from 1, not {attempt}")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha!r}")
    if declared is not None:
        if attempt > declared:
            raise ValueError(f"attempt {attempt} of {declared}")
        return alpha / declared
    return 6.0 * alpha / (math.pi**2 * attempt**2)
