"""How often a candidate that is worse by exactly the margin is promoted, where people learn from the samples that
decide.

    python benchmarks/adaptive.py            print the table
    python benchmarks/adaptive.py --write    put it into docs/statistics.md

Two minutes. Every candidate loses exactly the margin of 8 points: in the population the baseline alone is right on 13 %
of all prompts, the candidate alone on 5 %. The gate is `non_inferior`, each attempt at its share of 5 %.

*Memorised*: between two attempts whoever trains sees which prompts were lost, and this share of them is trained on, so
that they are not lost again; in the population nothing changes. The next candidate loses the same prompts as the one
before but for these, or some or all afresh. *Looks*: twenty such candidates are run, with nothing
memorised, and the one with the least loss on the deciding samples is decided about, as a first attempt. Where the
deciding half is hidden, the looks are at as many samples of the other half.

*Fresh*: each attempt asks other items of a bank, one of each template. What was memorised of one item carries over to
another of its template by the share that is named; how a candidate does on a template stays for four in five.

*Shown*: twenty attempts on the same samples, each the best so far with a fifth of its answers drawn anew; the best is
known by what is shown (A. Blum and M. Hardt, The ladder: a reliable leaderboard for machine learning competitions, ICML
2015). 4,000 simulations.
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
MARGIN, GAINS, ATTEMPTS, LOOKS, DRAWS = 0.08, 0.05, 6, 20, 20_000
CLIMBS = 4_000


@cache
def passes(gains: int, losses: int, n: int, attempt: int) -> bool:
    """Return whether the gate passes at the level of an attempt."""
    low = paired_difference(gains, losses, n, level_of_attempt(0.05, attempt), null=-MARGIN).low
    return low is not None and low > -MARGIN


def counts(lost: np.ndarray, drawn: np.ndarray) -> tuple[int, int]:
    """Return gains and losses of one candidate."""
    return int((drawn > 1 - GAINS).sum()), int(lost.sum())


def memorised(n: int, share: float, again: float) -> float:
    """Return how often one of the attempts is promoted.

    Args:
        n: samples.
        share: of the losing prompts, memorised between two attempts.
        again: how many of the other answers stay those of the candidate before.
    """
    generator, promoted = np.random.default_rng([n, int(100 * share), int(100 * again)]), 0
    for _ in range(DRAWS):
        known, drawn = np.zeros(n, dtype=bool), generator.random(n)
        for attempt in range(1, ATTEMPTS + 1):
            lost = (drawn < GAINS + MARGIN) & ~known
            if passes(*counts(lost, drawn), n, attempt):
                promoted += 1
                break
            known |= lost & (generator.random(n) < share)
            drawn = np.where(generator.random(n) < again, drawn, generator.random(n))
    return promoted / DRAWS


def looked(n: int) -> float:
    """Return how often the best of the candidates that were looked at is promoted."""
    generator, promoted = np.random.default_rng(n), 0
    for _ in range(DRAWS):
        drawn = generator.random((LOOKS, n))
        found = [counts(row < GAINS + MARGIN, row) for row in drawn]
        promoted += passes(*max(found, key=lambda one: one[0] - one[1]), n, 1)
    return promoted / DRAWS


def fresh(n: int, share: float, carried: float) -> float:
    """Return how often one of the attempts is promoted where each asks other items of n templates.

    Args:
        n: templates, and samples of an attempt.
        share: of the losing items, memorised between two attempts.
        carried: how often what was memorised holds for the next item of the template too.
    """
    generator, promoted = np.random.default_rng([n, int(100 * share), int(1000 * carried), 7]), 0
    for _ in range(DRAWS):
        learned, drawn = np.zeros(n, dtype=bool), generator.random(n)
        for attempt in range(1, ATTEMPTS + 1):
            lost = (drawn < GAINS + MARGIN) & ~(learned & (generator.random(n) < carried))
            if passes(*counts(lost, drawn), n, attempt):
                promoted += 1
                break
            learned |= lost & (generator.random(n) < share)
            drawn = np.where(generator.random(n) < 0.8, drawn, generator.random(n))
    return promoted / DRAWS


def hidden(n: int) -> float:
    """Return how often the best of the candidates by the open half is promoted by the hidden one."""
    generator, promoted = np.random.default_rng([n, 11]), 0
    for _ in range(DRAWS):
        looked_at, deciding = generator.random((LOOKS, n)), generator.random((LOOKS, n))
        found = [counts(row < GAINS + MARGIN, row) for row in looked_at]
        best = max(range(LOOKS), key=lambda place: found[place][0] - found[place][1])
        promoted += passes(*counts(deciding[best] < GAINS + MARGIN, deciding[best]), n, 1)
    return promoted / DRAWS


def climbed(n: int, step: float | None) -> float:
    """Return how often one of twenty attempts on the same samples is promoted, where each changes the best so far.

    Args:
        n: samples.
        step: rise, in points of the difference, above which the board shows a new best; 0 shows every score, and None
            that an attempt did not pass and nothing else, so that each attempt changes the one before.
    """
    generator, promoted = np.random.default_rng([n, 5 if step is None else int(1000 * step)]), 0
    for _ in range(CLIMBS):
        best = generator.random(n)
        told = -np.inf
        for attempt in range(1, LOOKS + 1):
            drawn = np.where(generator.random(n) < 0.8, best, generator.random(n)) if attempt > 1 else best
            gains, losses = counts(drawn < GAINS + MARGIN, drawn)
            if passes(gains, losses, n, attempt):
                promoted += 1
                break
            score = (gains - losses) / n
            if step is None or attempt == 1 or score >= told + step:
                best, told = drawn, score
    return promoted / CLIMBS


def shown(rate: float, draws: int = DRAWS) -> str:
    interval = clopper_pearson(round(rate * draws), draws, 0.05)
    return f"{100 * rate:.1f} [{100 * (interval.low or 0):.1f}, {100 * (interval.high or 1):.1f}]"


def table() -> str:
    lines = [["six attempts, between which is", "130 samples", "260 samples"], ["---", "---:", "---:"]]
    for share, words in ((0.0, "nothing"), (0.25, "a quarter"), (0.5, "half")):
        for again, whose in ((0.0, "others"), (0.8, "four in five the same"), (1.0, "the same")):
            if share or not again:
                found = [shown(memorised(n, share, again)) for n in (130, 260)]
                lines.append([f"{words} memorised, each candidate loses {whose}", *found])
    lines.append([f"best of {LOOKS} by `harness run`, one `decide`", *(shown(looked(n)) for n in (130, 260))])
    for share, words in ((0.25, "a quarter"), (0.5, "half")):
        for carried, what in ((0.0, "nothing carries over"), (0.1, "a tenth carries over"), (1.0, "all carries over")):
            found = [shown(fresh(n, share, carried)) for n in (130, 260)]
            lines.append([f"{words} memorised, **fresh** items of the same templates: {what}", *found])
    for step, words in ((0.0, "every score"), (0.02, "a ladder, rises of 2 points alone"),
                        (None, "that it did not pass, and nothing else")):  # fmt: skip
        found = [shown(climbed(n, step), CLIMBS) for n in (130, 260)]
        lines.append([f"{LOOKS} attempts, each a change of the best so far; shown is {words}", *found])
    lines.append([f"best of {LOOKS} by `harness run` on the open half, one `decide` on the **hidden** half",
                  *(shown(hidden(n)) for n in (130, 260))])  # fmt: skip
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    made = table()
    print(made)
    if "--write" in sys.argv:
        write_table(DOCUMENT, "adaptive", made)


if __name__ == "__main__":
    main()
