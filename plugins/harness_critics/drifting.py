"""Calibration drift: what changed between two calibrations of a principle, and how far each figure moved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import InputError
from harness_critics.figures import Figure, figures

if TYPE_CHECKING:
    from harness.api import CriticCalibration


@dataclass(frozen=True, kw_only=True)
class Move:
    """One figure before and after; None where it is not known."""

    name: str
    before: float | None
    after: float | None
    difference: float | None
    low: float | None
    high: float | None
    """Bounds of the difference, as of independent replies (MOVER); where both judged the same ones, it moved less."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """All that moved."""

    changed: tuple[str, ...]
    """What shapes the critics, in sentences."""
    moves: tuple[Move, ...]
    same_replies: int
    """Replies that both have scored, by their ids."""
    flipped: int
    """Of them, those on the other side of the threshold."""


def drift(before: CriticCalibration, after: CriticCalibration) -> Drift:
    """Compare two calibrations of one principle.

    Raises:
        InputError: where they are of two.
    """
    if before.principle != after.principle:
        raise InputError(
            f"{before.id} is about {before.principle} and {after.id} about {after.principle}",
            hint="name two calibrations of one principle: harness critic show",
        )
    first, second = figures(before), figures(after)
    moves = [
        _move(name, getattr(first, name), getattr(second, name))
        for name in ("sensitivity", "specificity", "auc", "kappa", "ece")
    ]
    sides = [
        {reply.id: reply.score >= of.threshold for reply in of.replies if reply.id and reply.score is not None}
        for of in (before, after)
    ]
    both = sides[0].keys() & sides[1].keys()
    return Drift(
        changed=tuple(_changed(before, after)), moves=tuple(moves), same_replies=len(both),
        flipped=sum(sides[0][name] is not sides[1][name] for name in both),
    )  # fmt: skip


def _move(name: str, before: Figure, after: Figure) -> Move:
    if before.value is None or after.value is None:
        return Move(name=name, before=before.value, after=after.value, difference=None, low=None, high=None)
    gap = after.value - before.value
    low = high = None
    if None not in {before.low, before.high, after.low, after.high}:
        low = gap - math.hypot(after.value - (after.low or 0.0), (before.high or 0.0) - before.value)
        high = gap + math.hypot((after.high or 0.0) - after.value, before.value - (before.low or 0.0))
    return Move(name=name, before=before.value, after=after.value, difference=gap, low=low, high=high)


def _changed(before: CriticCalibration, after: CriticCalibration) -> list[str]:
    found = []
    for name in dict.fromkeys((*before.critics, *after.critics)):
        was, now = before.fingerprints.get(name), after.fingerprints.get(name)
        if was != now:
            what = "is new" if was is None else "is gone" if now is None else "is another"
            found.append(f"the critic {name} {what}")
    found += [
        f"the {role} was {before.roles.get(role, 'nobody')} and is {after.roles.get(role, 'nobody')}"
        for role in dict.fromkeys((*before.roles, *after.roles))
        if before.roles.get(role) != after.roles.get(role)
    ]
    if before.data != after.data:
        found.append(f"the labels were {before.where or before.data[:8]} and are {after.where or after.data[:8]}")
    if before.threshold != after.threshold:
        found.append(f"the threshold was {before.threshold:g} and is {after.threshold:g}")
    if before.outputs != after.outputs:
        found.append(f"it was about {before.outputs} and is about {after.outputs}")
    scalings = [None if one.scaling is None else one.scaling.method for one in (before, after)]
    if scalings[0] != scalings[1]:
        found.append(f"the scaling was {scalings[0] or 'none'} and is {scalings[1] or 'none'}")
    if before.labeller != after.labeller and not found:
        found.append("the principle's words or tags are others")
    return found
