"""What a regression on the baseline's score takes off the variance of a paired difference of graded scores.

    python benchmarks/regression_adjustment.py            print the table
    python benchmarks/regression_adjustment.py --write    put it into docs/statistics-reference.md

Half a minute of CPU time. Scores lie in [0, 1]: two standard normal variables through the normal distribution
function; the candidate gains nothing, and the arms have the same variance. Of N items the baseline's scores are known,
of n = 130 among them the candidate's too. The paired estimate is the mean of d = y − x over the n; the adjusted one
takes off b (mean of x over the n − mean of x over the N), where b is the slope of d on x among the n (double sampling
with regression: W. G. Cochran, Sampling Techniques, 3rd edition, Wiley 1977, section 12.6). 20,000 simulated runs each.

The second table is of recorded rows: two adapters of one recipe on the graded metrics of the shipped banks
(suites/data/audit-rows.json). What a mean that is known without error would take off is the squared correlation of d
with x.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.paths import data_dir

DOCUMENT = Path(__file__).parents[1] / "docs" / "statistics-reference.md"
ITEMS, RUNS = 130, 20_000
CORRELATIONS, BANKS = (0.3, 0.6, 0.8, 0.9, 0.95), (1, 2, 5, 20)


def scores(correlation: float, items: int, generator: np.random.Generator) -> tuple[NDArray[np.float64], ...]:
    """Return uniform scores of both arms, each of shape (items,), whose correlation is `correlation`.

    Normal variables of correlation 2 sin(π r / 6) make uniform ones of correlation r (Pearson 1907).
    """
    from scipy.special import ndtr

    normal = 2.0 * np.sin(np.pi * correlation / 6.0)
    first, second = generator.standard_normal((2, items))
    return ndtr(first), ndtr(normal * first + np.sqrt(1.0 - normal**2) * second)


def adjusted(known: NDArray[np.float64], candidate: NDArray[np.float64]) -> float:
    """Return the adjusted difference.

    Args:
        known: the baseline's scores on all N items, shape (N,), N at least n.
        candidate: the candidate's scores on the first n of them, shape (n,).
    """
    baseline = known[: len(candidate)]
    difference, spread = candidate - baseline, baseline - baseline.mean()
    slope = float(spread @ difference / (spread @ spread))
    return float(difference.mean() - slope * (baseline.mean() - known.mean()))


def derived(correlation: float, bank: float) -> float:
    """Return the variance that is left, as a share of the paired one, where N is `bank` times n."""
    return 1.0 - (1.0 - correlation) / 2.0 * (1.0 - 1.0 / bank)


def simulated(correlation: float, bank: int, runs: int = RUNS) -> float:
    """Return the same from simulated runs."""
    generator, found = np.random.default_rng([int(100 * correlation), bank]), np.empty((runs, 2))
    for run in range(runs):
        known, candidate = scores(correlation, ITEMS * bank, generator)
        candidate = candidate[:ITEMS]
        found[run] = (candidate - known[:ITEMS]).mean(), adjusted(known, candidate)
    paired, regressed = found.var(axis=0)
    return float(regressed / paired)


def table() -> str:
    lines = [["correlation of the arms", *(f"N = {bank} n" for bank in BANKS), "N without end", "both arms on N = 2 n"]]
    lines.append(["---:"] * len(lines[0]))
    for correlation in CORRELATIONS:
        cells = [f"{simulated(correlation, bank):.3f} ({derived(correlation, bank):.3f})" for bank in BANKS]
        lines.append([f"{correlation:g}", *cells, f"({derived(correlation, np.inf):.3f})", "(0.500)"])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def recorded() -> str:
    lines = [["bank", "metric", "samples", "correlation of the arms", "most that is taken off, %"]]
    lines.append(["---", "---", "---:", "---:", "---:"])
    content = json.loads((data_dir("suites") / "data" / "audit-rows.json").read_text(encoding="utf-8"))
    candidate, baseline = content["pairs"][1]
    for name, suite in content["suites"].items():
        for metric, arms in suite["rows"].items():
            if not name.endswith("-bank") or {candidate, baseline} - set(arms) or isinstance(arms[baseline], str):
                continue
            pairs = [
                (one[0] / one[1], other[0] / other[1])
                for one, other in zip(arms[candidate], arms[baseline], strict=True)
                if not isinstance(one, str) and not isinstance(other, str) and one[1] and other[1]
            ]
            y, x = np.array(pairs).T
            alike, gain = np.corrcoef(x, y)[0, 1], np.corrcoef(x, y - x)[0, 1] ** 2
            lines.append([name, f"`{metric}`", str(len(x)), f"{alike:.2f}", f"{100 * gain:.0f}"])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, made in (("adjusted", table()), ("adjusted-rows", recorded())):
        print(made)
        text = re.sub(rf"(<!-- table {name} -->\n).*?(<!-- end -->)", rf"\g<1>{made}\n\g<2>", text, flags=re.DOTALL)
    if "--write" in sys.argv:
        DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
