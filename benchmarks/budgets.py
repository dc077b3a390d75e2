"""What budgets of attempts let through: good candidates promoted, and wrong promotions, over twenty attempts.

    python benchmarks/budgets.py            print the table
    python benchmarks/budgets.py --write    put it into docs/statistics.md

A minute; 5,000 sequences of twenty candidates a row, each decided on 260 fresh samples by `non_inferior` with a margin
of 8 points. A good candidate equals what is promoted and differs from it on a tenth of the samples; a bad one loses
exactly the margin. After five attempts without a promotion `attempts: 5` refuses all that follow.
What is promoted stays the baseline, so that all wrong promotions are alike.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from sections import write_table

from harness.stats.attempts import level_of_attempt
from harness.stats.paired import paired_difference
from harness_promotion.saffron import saffron_level

DOCUMENT = Path(__file__).parents[1] / "docs" / "statistics.md"
SAMPLES, MARGIN, ATTEMPTS, DRAWS, ALPHA = 260, 0.08, 20, 5_000, 0.05
GOOD, BAD = (0.05, 0.05), (0.05, 0.13)
History = list[tuple[float, bool]]


@cache
def p_value(gains: int, losses: int) -> float:
    """Return p of a loss of the margin or more."""
    found = paired_difference(gains, losses, SAMPLES, ALPHA, null=-MARGIN).p_above
    return 1.0 if found is None else found


def since_promotion(history: History) -> int:
    """Return the number of attempts since the last promotion."""
    return next((n for n, (_, went) in enumerate(reversed(history)) if went), len(history))


@cache
def _level(number: int) -> float:
    return level_of_attempt(ALPHA, number)


BUDGETS: dict[str, Callable[[History], float]] = {
    "6 α / (π² j²) over a policy's life": lambda history: _level(len(history) + 1),
    "the same, anew after each promotion (the default)": lambda history: _level(since_promotion(history) + 1),
    "`attempts: 5`, α / 5 each, anew after each promotion": lambda history: (
        ALPHA / 5 if since_promotion(history) < 5 else 0
    ),
    "`fdr: saffron`": lambda history: saffron_level(ALPHA, history),
    "no budget: α each": lambda _: ALPHA,
}


def row(words: str, level: Callable[[History], float], share: float) -> list[str]:
    """Return a row: rates over all sequences."""
    generator = np.random.default_rng([17, int(100 * share)])
    good_promoted = goods = any_wrong = 0
    rates = []
    for _ in range(DRAWS):
        history: History = []
        wrong = 0
        for good in generator.random(ATTEMPTS) < share:
            gains, losses = GOOD if good else BAD
            drawn = generator.multinomial(SAMPLES, [gains, losses, 1 - gains - losses])
            p = p_value(int(drawn[0]), int(drawn[1]))
            went = p <= level(history)
            history.append((p, went))
            goods += good
            good_promoted += good and went
            wrong += went and not good
        any_wrong += wrong > 0
        rates.append(wrong / max(1, sum(went for _, went in history)))
    found = f"{100 * good_promoted / max(1, goods):.0f}", f"{100 * any_wrong / DRAWS:.1f}"
    return [f"{100 * share:.0f} %", words, *found,
            f"{100 * float(np.mean(rates)):.1f}"]  # fmt: skip


def table() -> str:
    """Return the table."""
    head = ["good", "budget", "good ones promoted, %", "any wrong in twenty, %", "share of promotions that is wrong, %"]
    lines = [head, ["---:", "---", "---:", "---:", "---:"]]
    for share in (0.0, 0.2, 0.5, 0.8):
        lines += [row(words, level, share) for words, level in BUDGETS.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Print or write it."""
    made = table()
    print(made)
    if "--write" in sys.argv:
        write_table(DOCUMENT, "budgets", made)


if __name__ == "__main__":
    main()
