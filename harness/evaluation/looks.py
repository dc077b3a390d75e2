"""Looks at more and more samples within one attempt: which sizes, and at which levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.stats.sequential import look_levels

if TYPE_CHECKING:
    from harness.types import Policy

SEQUENTIAL = (0.25, 0.5, 1.0)
"""The looks of `decide --sequential`: shares of every suite's samples."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """How an attempt is made, beyond what its policy says; with other looks or contenders it is another attempt."""

    fresh: bool = False
    """Use no stored run."""
    samples: int | None = None
    """Look at this size alone; one that the policy does not declare makes the decision exploratory."""
    looks: tuple[float, ...] = ()
    """Shares of every suite's samples that are looked at in order, the last 1; empty leaves it to the policy."""
    among: tuple[str, ...] = ()
    """Fingerprints of all candidates from which this one was chosen by these samples; each has an equal part of the
    level, so that the choice may be any (Bonferroni)."""


def with_sizes(policy: Policy, design: Design, sizes: Sequence[int]) -> Policy:
    """Return the policy with the sizes of its looks, or of the design's; its fingerprint stays.

    Args:
        policy: that declares shares, or none.
        design: whose shares come before those of the policy; sizes that a policy declares come before both.
        sizes: samples of each suite within its limit, in the policy's order.
    """
    shares = design.looks or policy.looks
    if not shares or any(section.samples for section in policy.suites):
        return policy
    suites = [
        replace(section, limit=None, samples=tuple(max(1, math.ceil(share * size)) for share in shares))
        for section, size in zip(policy.suites, sizes, strict=True)
    ]
    return replace(policy, suites=tuple(suites))


def levels_of_looks(policy: Policy, level: float) -> tuple[float, ...]:
    """Return the one-sided level of each look, which together spend `level` on every suite.

    A suite whose sizes rise otherwise than another's has other levels; each look has the least.
    """
    schedules = {section.samples for section in policy.suites if len(section.samples) > 1}
    if not schedules:
        return (level,)
    found = [look_levels(level, tuple(size / sizes[-1] for size in sizes)) for sizes in sorted(schedules)]
    return tuple(min(levels) for levels in zip(*found, strict=True))
