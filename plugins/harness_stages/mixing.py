"""Several sources of rows mixed by weight, earlier rows replayed among new ones, and rows held out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated, TypeVar

from pydantic import Field

from harness.api import StrictModel

T = TypeVar("T")


class Source(StrictModel):
    """One file of a mixture."""

    data: str | None = None
    """File with rows, relative to the recipe; None is the dataset that the stage before wrote."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Its share of the rows is this over the sum of all weights."""


class Replay(StrictModel):
    """Earlier rows among the new ones, against forgetting."""

    data: str
    share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Of all rows."""


def mix(sources: Sequence[Sequence[T]], weights: Sequence[float], *, total: int | None, seed: int) -> list[list[T]]:
    """Draw from each source as many rows as its weight asks for.

    Args:
        sources: each with at least one row.
        weights: above 0.
        total: rows of the mixture; None takes the most that repeats no row, so that the scarcest source is used whole.
        seed: of the draws.

    Returns:
        What was drawn from each source, in the order of the draw; a row comes again only when all of its source came.
    """
    shares = [weight / sum(weights) for weight in weights]
    if total is None:
        most = min(len(rows) / share for rows, share in zip(sources, shares, strict=True))
        counts = [min(len(rows), max(1, round(most * share))) for rows, share in zip(sources, shares, strict=True)]
    else:
        counts = [max(1, round(total * share)) for share in shares]
    drawn = []
    for number, (rows, count) in enumerate(zip(sources, counts, strict=True)):
        generator = random.Random(f"{seed} {number}")  # noqa: S311 - a draw, not a secret
        taken: list[T] = []
        while len(taken) < count:
            taken += generator.sample(list(rows), min(len(rows), count - len(taken)))
        drawn.append(taken)
    return drawn


def part(rows: Sequence[T], share: float, seed: int) -> tuple[list[T], list[T]]:
    """Part rows into those to learn from and those held out: at least one of each where `share` is above 0."""
    if not share or len(rows) < 2:
        return list(rows), []
    count = min(len(rows) - 1, max(1, round(share * len(rows))))
    held = set(random.Random(seed).sample(range(len(rows)), count))  # noqa: S311 - a draw, not a secret
    return [row for index, row in enumerate(rows) if index not in held], [rows[index] for index in sorted(held)]
