"""What a ladder on samples that are used again does to false promotions, and what it costs.

    python benchmarks/ladder.py            print the table
    python benchmarks/ladder.py --write    put it into docs/statistics.md

A minute. Candidates lose exactly the margin of 8 points, as in `adaptive.py`: in the population the baseline alone is
right on 13 % of all prompts, the candidate alone on 5 %. Each look is of the leader with a fifth of its answers drawn
anew; it leads where it beats the best score so far by 2 points (the step of `harness ladder`), which stands at 0 for
what is compared with, and else at the first candidate that is tried. After the last look the leader is decided about,
at the level of a first attempt (3.04 %), whole or halved by each look, as `harness decide` does. *Read*: somebody
reads a quarter of the prompts that a candidate lost, though they are hidden, and trains on them. *Equal*: both arms
alone are right on 5 %, and nothing was chosen.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np
from sections import write_table

from harness.stats.attempts import level_of_attempt
from harness.stats.paired import paired_difference
from harness.stats.proportion import clopper_pearson

DOCUMENT = Path(__file__).parents[1] / "docs" / "statistics.md"
MARGIN, GAINS, STEP, DRAWS, KEPT = 0.08, 0.05, 0.02, 20_000, 0.8
SIZES, LEVEL = (130, 260), level_of_attempt(0.05, 1)


@cache
def passes(gains: int, losses: int, n: int, bits: int) -> bool:
    """Return whether the gate passes at the level of a first attempt, halved by each bit."""
    low = paired_difference(gains, losses, n, LEVEL / 2**bits, null=-MARGIN).low
    return low is not None and low > -MARGIN


def led(n: int, looks: int, *, tells: str, read: float = 0.0) -> tuple[float, float, float]:
    """Return how often the leader is promoted at the whole and at the halved level, and by how much it flatters.

    Args:
        n: samples.
        looks: before the decision.
        tells: `bit` for a ladder, `score` for a board that shows each score.
        read: share of the lost prompts that is trained on after each look.
    """
    generator = np.random.default_rng([n, looks, tells == "bit", int(100 * read)])
    whole = halved = 0
    flattered = 0.0
    for _ in range(DRAWS):
        known, leader, best, alone = np.zeros(n, dtype=bool), generator.random(n), -1.0, 0
        for look in range(looks):
            drawn = leader if look == 0 else np.where(generator.random(n) < KEPT, leader, generator.random(n))
            lost = (drawn < GAINS + MARGIN) & ~known
            score = float((drawn > 1 - GAINS).sum() - lost.sum()) / n
            # a ladder says nothing below what is compared with, so that whoever trains keeps what was tried first
            rose = score > best if tells == "score" else score >= max(best, 0.0) + STEP
            if rose or look == 0:
                leader, alone = drawn, int(lost.sum())
            if rose:
                best = score
            known |= lost & (generator.random(n) < read)
        gains, losses = int((leader > 1 - GAINS).sum()), int(((leader < GAINS + MARGIN) & ~known).sum())
        whole += passes(gains, losses, n, 0)
        halved += passes(gains, losses, n, looks)
        flattered += (gains - alone) / n + MARGIN
    return whole / DRAWS, halved / DRAWS, 100 * flattered / DRAWS


def equal(n: int, bits: int) -> float:
    """Return how often a candidate that is as good passes."""
    generator = np.random.default_rng([n, bits, 3])
    drawn = generator.multinomial(n, [GAINS, GAINS, 1 - 2 * GAINS], size=DRAWS)
    return float(np.mean([passes(int(gains), int(losses), n, bits) for gains, losses, _ in drawn]))


def shown(rate: float) -> str:
    found = clopper_pearson(round(rate * DRAWS), DRAWS, 0.05)
    return f"{100 * rate:.1f} [{100 * (found.low or 0):.1f}, {100 * (found.high or 1):.1f}]"


def table() -> str:
    heads = [f"{n} samples: {what}" for n in SIZES for what in ("whole level", "halved by each look")]
    lines = [["what was told, and what became of it", *heads], ["---", *["---:"] * len(heads)]]
    for words, looks, tells, read in (
        ("every score, 5 looks", 5, "score", 0.0),
        ("every score, 20 looks", 20, "score", 0.0),
        ("a ladder's bit, 5 looks", 5, "bit", 0.0),
        ("a ladder's bit, 20 looks", 20, "bit", 0.0),
        ("a ladder's bit, 5 looks, and a quarter of what was lost is *read*", 5, "bit", 0.25),
    ):
        cells = []
        for n in SIZES:
            whole, halved, _ = led(n, looks, tells=tells, read=read)
            cells += [shown(whole), shown(halved) if tells == "bit" else "–"]
        lines.append([words, *cells])
    lines += [
        [f"an *equal* candidate after {words}", *(shown(equal(n, b)) for n in SIZES for b in (0, bits))]
        for bits, words in ((1, "1 look"), (3, "3 looks"), (5, "5 looks"), (10, "10 looks"))
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    made = table()
    print(made)
    if "--write" in sys.argv:
        write_table(DOCUMENT, "ladder", made)


if __name__ == "__main__":
    main()
