"""How the verdicts of a principle's critics become one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.types import NotApplicable, Unscored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.types import Principle, Verdict


def combine_verdicts(principle: Principle, verdicts: Sequence[Verdict]) -> float | Unscored | NotApplicable:
    """Return the principle's score in [0, 1] on one reply: the worst critic's, or the mean where it says so.

    Verdicts of other principles and critics are passed over. One critic that is unscored leaves the principle
    unscored, since it could have been the worst. Critics that do not apply have no say.
    """
    own = [verdict for verdict in verdicts if verdict.principle == principle.id and verdict.critic in principle.critics]
    missing = [name for name in principle.critics if not any(verdict.critic == name for verdict in own)]
    if missing:
        return Unscored(reason=f"{missing[0]} gave no verdict on {principle.id}")
    scores: list[float] = []
    for verdict in own:
        if isinstance(verdict.score, Unscored):
            return Unscored(reason=f"{verdict.critic}: {verdict.score.reason}")
        if not isinstance(verdict.score, NotApplicable):
            scores.append(verdict.score)
    if not scores:
        return NotApplicable(reason=f"no critic of {principle.id} applies")
    return min(scores) if principle.combine == "worst" else sum(scores) / len(scores)
