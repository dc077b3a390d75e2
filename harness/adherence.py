"""How the verdicts of a principle's critics become one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.types import NotApplicable, Unscored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.types import Principle, Verdict


def combine_verdicts(principle: Principle, verdicts: Sequence[Verdict]) -> float | Unscored | NotApplicable:
    """Return the principle's score in [0, 1] on a sample: that of its worst reply.

    A reply's score is the worst critic's, or their mean where the principle says so. Verdicts of other principles and
    critics are passed over, and critics that do not apply have no say. A critic that is unscored or missing leaves the
    reply unscored, since it could have been the worst; but where another already scores below the threshold, `worst`
    keeps that score, which no critic could raise. So it is with replies.
    """
    replies: dict[int, dict[str, float | Unscored | NotApplicable]] = {}
    for verdict in verdicts:
        if verdict.principle == principle.id and verdict.critic in principle.critics:
            replies.setdefault(verdict.completion, {})[verdict.critic] = verdict.score
    scores = [_combine(principle, own) for own in replies.values()] or [_combine(principle, {})]
    known = [score for score in scores if isinstance(score, float)]
    if known and min(known) < principle.threshold:
        return min(known)
    unscored = next((score for score in scores if isinstance(score, Unscored)), None)
    return unscored or (min(known) if known else scores[0])


def _combine(
    principle: Principle, own: Mapping[str, float | Unscored | NotApplicable]
) -> float | Unscored | NotApplicable:
    """Return the score of one reply, from its critics'."""
    scores = [float(score) for score in own.values() if isinstance(score, float | int)]
    if principle.combine == "worst" and scores and min(scores) < principle.threshold:
        return min(scores)
    for critic in principle.critics:
        if critic not in own:
            return Unscored(reason=f"no verdict by {critic} on {principle.id}")
        score = own[critic]
        if isinstance(score, Unscored):
            return Unscored(reason=f"{critic}: {score.reason}")
    if not scores:
        return NotApplicable(reason=f"no critic of {principle.id} applies")
    return min(scores) if principle.combine == "worst" else math.fsum(scores) / len(scores)
