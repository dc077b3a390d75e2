"""How well revisions do: what they mend, what they damage, and how alike they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness_revision.revising import said, score
from harness_revision.sentences import commonest_share

if TYPE_CHECKING:
    from harness.api import Embedder, Principle, StageModels
    from harness_revision.revising import History, Score

Similarity = Callable[[Sequence[tuple[str, str]]], Sequence[float]]
"""Cosine similarity of the meaning of two texts each, in [−1, 1]."""
SAME_MEANING = 0.5
"""A revision of a reply that kept every principle, and that is less similar than this, has lost its meaning."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Counts over revised replies, judged by critics that the reviser was not trained on."""

    resolved: tuple[int, int]
    """(principles kept by the last version, all that the first version broke): critique_resolution."""
    broken: tuple[int, int]
    """(principles broken by the last version, all that the first version kept)."""
    lost: tuple[int, int]
    """(revisions that lost the meaning, all whose first version kept every principle); (0, 0) where nobody measured."""
    unscored: int
    """Principles that one of both versions has no score by: counted as not resolved, and as damage."""
    commonest: float
    """Share of revisions that hold one of the ten commonest sentences among them."""

    @property
    def critique_resolution(self) -> float | None:
        """Share of the principles that the first version broke and the last one keeps; None where it broke none."""
        return self.resolved[0] / self.resolved[1] if self.resolved[1] else None

    @property
    def revision_damage(self) -> float | None:
        """The larger of the two shares of damage; None where nothing was there to damage."""
        shares = [bad / n for bad, n in (self.broken, self.lost) if n]
        return max(shares) if shares else None


def measure(
    histories: Sequence[History], principles: Sequence[Principle], models: StageModels,
    similarity: Similarity | None = None,
) -> Measured:  # fmt: skip
    """Judge the first and the last version of each revised reply.

    Args:
        histories: of which those that nobody tried to revise are passed over.
        principles: by which the first and last version are judged, by critics that did not take part in the revision.
        models: judges by them.
        similarity: of meaning, or None.
    """
    revised = [history for history in histories if history.tried]
    first = score([said(one.sample, one.rounds[0].reply) for one in revised], principles, models)
    last = score([said(one.sample, one.reply) for one in revised], principles, models)
    return counted(revised, first, last, principles, similarity)


def counted(
    revised: Sequence[History], first: Sequence[Mapping[str, Score]], last: Sequence[Mapping[str, Score]],
    principles: Sequence[Principle], similarity: Similarity | None = None,
) -> Measured:  # fmt: skip
    """Count, from the scores of the first and the last versions."""
    resolved, failing, damaged, passing, unscored = 0, 0, 0, 0, 0
    whole: list[History] = []
    for history, before, after in zip(revised, first, last, strict=True):
        kept_all = bool(before)
        for principle in principles:
            a, b = before.get(principle.id), after.get(principle.id)
            if not isinstance(a, float):
                kept_all = kept_all and principle.id not in before
                unscored += principle.id in before
                continue
            good = isinstance(b, float) and b >= principle.threshold
            unscored += not isinstance(b, float)
            if a < principle.threshold:
                kept_all = False
                failing, resolved = failing + 1, resolved + good
            else:
                passing, damaged = passing + 1, damaged + (not good)
        if kept_all:
            whole.append(history)
    lost = (0, 0)
    if similarity is not None and whole:
        alike = similarity([(one.rounds[0].reply, one.reply) for one in whole])
        lost = (sum(value < SAME_MEANING for value in alike), len(whole))
    return Measured(
        resolved=(resolved, failing), broken=(damaged, passing), lost=lost, unscored=unscored,
        commonest=commonest_share([history.reply for history in revised if history.revised]),
    )  # fmt: skip


def by_meaning(embedder: Embedder) -> Similarity:
    """Return a similarity of meaning: the cosine between two texts' MiniLM vectors, in [−1, 1]."""

    def similarity(pairs: Sequence[tuple[str, str]]) -> list[float]:
        import numpy as np

        first, second = (embedder.encode([pair[side] for pair in pairs]) for side in (0, 1))
        norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        products = np.einsum("ij,ij->i", first, second)
        return [float(product / norm) if norm else 0.0 for product, norm in zip(products, norms, strict=True)]

    return similarity
