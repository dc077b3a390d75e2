"""What asking every sample several times is worth to a comparison, and how often a candidate at the margin passes then.

    python benchmarks/draws.py            print the table
    python benchmarks/draws.py --write    put it into docs/statistics.md

600 simulated runs a row of 130 samples. Each sample has a chance of being answered rightly, from Beta(2, 2) or, where
samples are mostly clear, Beta(0.3, 0.3); the baseline answers with that chance, and the candidate too (equal) or with a
chance that is smaller by the margin on average. A sample's draws are one cluster, as `--epochs` makes them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np

from harness.contracts import Metric
from harness.gates.check import check_gate
from harness.stats import MetricTable
from harness.stats.proportion import clopper_pearson
from harness.types import Gate

DOCUMENT = Path(__file__).parents[1] / "docs" / "statistics.md"
SAMPLES, MARGIN, RUNS, SEED = 130, 0.10, 600, 4
GATE = Gate(metric="right", kind="non_inferior", to="promoted", margin=MARGIN)


class Right(Metric):
    """A share."""

    name, kind, direction = "right", "proportion", "higher"


def drawn(chances: np.ndarray, draws: int, generator: np.random.Generator) -> MetricTable:
    """Return a run's rows, `draws` of each sample."""
    rows = generator.random((len(chances), draws)) < chances[:, None]
    ids = tuple(f"{sample}#{draw}" for sample in range(len(chances)) for draw in range(draws))
    clusters = tuple(str(sample) for sample in range(len(chances)) for _ in range(draws))
    return MetricTable(
        metric=Right(), ids=ids, content_hashes=ids, clusters=clusters,
        rows=tuple((float(value), 1.0) for value in rows.ravel()),
    )  # fmt: skip


def passed(shape: float, draws: int, loss: float) -> str:
    """Return how often the gate passes, in percent with a 90 % interval."""
    generator = np.random.default_rng([SEED, draws, int(100 * shape), int(100 * loss)])
    count = 0
    for _ in range(RUNS):
        chances = generator.beta(shape, shape, SAMPLES)
        # By a factor, so that no chance falls below 0: the mean of Beta(a, a) is one half.
        candidate, baseline = drawn(chances * (1 - 2 * loss), draws, generator), drawn(chances, draws, generator)
        count += check_gate(GATE, candidate, baseline).status == "passed"
    interval = clopper_pearson(count, RUNS, 0.05)
    return f"{100 * count / RUNS:.1f} [{100 * (interval.low or 0):.1f}, {100 * (interval.high or 1):.1f}]"


def table() -> str:
    lines = [["samples are", "draws of each", "an equal candidate passes, %", "one that is worse by the margin, %"],
             ["---", "---:", "---:", "---:"]]  # fmt: skip
    for shape, words in ((2.0, "mostly open"), (0.3, "mostly clear")):
        lines += [
            [words, str(draws), passed(shape, draws, 0.0), passed(shape, draws, MARGIN)] for draws in (1, 2, 4, 8)
        ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    made = table()
    print(made)
    if "--write" in sys.argv:
        text = DOCUMENT.read_text(encoding="utf-8")
        pattern = re.compile(r"(<!-- table draws -->\n).*?(<!-- end -->)", re.DOTALL)
        DOCUMENT.write_text(pattern.sub(lambda match: f"{match[1]}{made}\n{match[2]}", text), encoding="utf-8")


if __name__ == "__main__":
    main()
