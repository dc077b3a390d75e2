"""How often one-sided 5 % bounds of a mean miss it, by the number of samples that carry its spread.

    python benchmarks/few_carriers.py            print the table
    python benchmarks/few_carriers.py --write    put it into docs/statistics-reference.md

About four minutes on one core. 260 scores, all within about 0.01 of 0 but for a few between 0.4 and 1 (for differences,
of either sign): the bounds of a bootstrap alone, and those that gates go by. Each rate is of 2,000 simulated runs with
1,000 resamples; its standard error is half a point.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np

from harness.contracts import Metric
from harness.stats.bounded import effective_count
from harness.stats.interval import Inference
from harness_statistics.procedures import weighted

DOCUMENT = Path(__file__).parents[1] / "docs" / "statistics-reference.md"
SAMPLES, RUNS, RESAMPLES, ALPHA = 260, 2_000, 1_000, 0.05


class Scores(Metric):
    name, kind, direction = "scores", "mean", "lower"

    def __init__(self, bounds: tuple[float, float] | None) -> None:
        self.bounds = bounds


def simulate(large: float, *, differences: bool) -> tuple[list[float], float]:
    """Return the shares of runs that miss the mean, alone below and above, by the gate likewise; and the carriers."""
    generator = np.random.default_rng(int(large))
    missed, carried = np.zeros(4), []
    for run in range(RUNS):
        far = generator.random(SAMPLES) < large / SAMPLES
        sizes = generator.uniform(0.4, 1.0, SAMPLES)
        if differences:
            sizes *= generator.choice([-1.0, 1.0], SAMPLES)
            scores, mean = np.where(far, sizes, generator.normal(0.0, 0.01, SAMPLES)), 0.0
        else:
            scores = np.where(far, sizes, generator.uniform(0.0, 0.01, SAMPLES))
            mean = (large * 0.7 + (SAMPLES - large) * 0.005) / SAMPLES
        rows, groups = np.column_stack([scores, np.ones(SAMPLES)]), np.arange(SAMPLES)
        found = [
            weighted(Scores(bounds), rows, groups, Inference(alpha=ALPHA, null=mean, seed=run, resamples=RESAMPLES))
            for bounds in (None, (-1.0, 1.0) if differences else (0.0, 1.0))
        ]
        missed += [p is not None and p <= ALPHA for one in found for p in (one.p_above, one.p_below)]
        carried.append(effective_count(scores - scores.mean()))
    return list(missed / RUNS), float(np.median(carried))


def table() -> str:
    one = ["carriers", "bootstrap alone", "the gate"]
    head = ["large scores", *one, *(f"{name}, differences" for name in one)]
    lines = [head, ["---:"] * len(head)]
    for large in (5, 8, 12, 20, 30, 50, 80):
        line = [str(large)]
        for differences in (False, True):
            missed, carried = simulate(large, differences=differences)
            shown = [f"{100 * share:.1f}" for share in missed]
            line += [f"{carried:.0f}", f"{shown[0]} / {shown[1]}", f"{shown[2]} / {shown[3]}"]
        lines.append(line)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    made = table()
    print(made)
    if "--write" in sys.argv:
        text = DOCUMENT.read_text(encoding="utf-8")
        filled = re.sub(r"(<!-- table carriers -->\n).*?(<!-- end -->)", rf"\g<1>{made}\n\g<2>", text, flags=re.DOTALL)
        DOCUMENT.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
