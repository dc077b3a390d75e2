"""How often bounds by few labels of people miss the truth, and how many labels a critic's word is worth.

    python benchmarks/prediction_powered.py            print the tables
    python benchmarks/prediction_powered.py --write    put them into docs/statistics-reference.md

Half a minute on one core. Of 1,100 samples 100 are labelled without error. Where the truth lies on a gate's line,
the share of runs whose bound misses it is the gate's share of false passes. Each rate is of 500 simulated runs; its
standard error is about one point. The gains are of 3,000.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np

from harness.stats.paired import paired_difference
from harness.stats.proportion import clopper_pearson
from harness_review.prediction_powered import Cell, powered_by_cells, prediction_powered_mean

DOCUMENT = Path(__file__).parents[1] / "docs" / "statistics-reference.md"
SAMPLES, RUNS, GAIN_RUNS, ALPHA = 1_100, 500, 3_000, 0.05
CRITICS = (("good", 0.9, 0.95), ("drifted", 0.45, 0.98), ("coin", 0.5, 0.5), ("never wrong", 1.0, 1.0))


def says(truth: np.ndarray, sensitivity: float, specificity: float, generator: np.random.Generator) -> np.ndarray:
    right = generator.random(len(truth)) < np.where(truth, sensitivity, specificity)
    return np.where(right, truth, ~truth).astype(int)


def cells(predictions: np.ndarray, labels: np.ndarray, drawn: np.ndarray) -> list[Cell]:
    found = []
    for said in np.unique(predictions):
        own = labels[drawn][predictions[drawn] == said]
        found.append(
            Cell(
                samples=int((predictions == said).sum()), labelled=len(own), gains=int((own > 0).sum()),
                losses=int((own < 0).sum()),
            )
        )  # fmt: skip
    return found


def shares(rate: float, sensitivity: float, specificity: float, labelled: int) -> list[str]:
    """Return misses below and above, both widths, and what a label was worth."""
    generator = np.random.default_rng([int(1000 * rate), labelled, int(100 * sensitivity)])
    missed, widths = np.zeros(2), np.zeros(2)
    for _ in range(RUNS):
        truth = generator.random(SAMPLES) < rate
        drawn = generator.permutation(SAMPLES)[:labelled]
        found = powered_by_cells(
            cells(says(truth, sensitivity, specificity, generator), truth.astype(int), drawn), ALPHA
        )
        alone = clopper_pearson(int(truth[drawn].sum()), labelled, ALPHA)
        missed += [found.low > rate, found.high < rate]
        widths += [found.high - found.low, alone.high - alone.low]
    return shown(missed / RUNS, widths / RUNS)


def differences(gains: float, losses: float, sensitivity: float, specificity: float, labelled: int) -> list[str]:
    generator = np.random.default_rng([int(1000 * gains), int(1000 * losses), labelled, int(100 * sensitivity)])
    missed, widths, truth = np.zeros(2), np.zeros(2), gains - losses
    for _ in range(RUNS):
        u, both = generator.random(SAMPLES), generator.random(SAMPLES) < 0.3
        own = (u < gains) | (both & (u >= gains + losses))
        its = (u >= gains) & ((u < gains + losses) | both)
        said = says(own, sensitivity, specificity, generator) - says(its, sensitivity, specificity, generator)
        label = own.astype(int) - its.astype(int)
        drawn = generator.permutation(SAMPLES)[:labelled]
        found = powered_by_cells(cells(said, label, drawn), ALPHA, paired=True)
        alone = paired_difference(int((label[drawn] > 0).sum()), int((label[drawn] < 0).sum()), labelled, ALPHA)
        missed += [found.low > truth, found.high < truth]
        widths += [found.high - found.low, alone.high - alone.low]
    return shown(missed / RUNS, widths / RUNS)


def shown(missed: np.ndarray, widths: np.ndarray) -> list[str]:
    return [
        f"{100 * missed[0]:.1f} / {100 * missed[1]:.1f}", f"{widths[0]:.3f}", f"{widths[1]:.3f}",
        f"{(widths[1] / widths[0]) ** 2:.2f}",
    ]  # fmt: skip


def coverage() -> str:
    head = ["truth", "critic", "labels", "missed below / above, %", "width", "width, labels alone", "a label is worth"]
    lines = [head, ["---"] * 2 + ["---:"] * 5]
    for rate in (0.02, 0.1, 0.9):
        for labelled in (100,):
            lines += [
                [f"{100 * rate:g} %", name, str(labelled), *shares(rate, se, sp, labelled)] for name, se, sp in CRITICS
            ]
    for gains, losses in ((0.02, 0.12),):
        says = f"{100 * gains:g} % gains, {100 * losses:g} % losses"
        for labelled in (100,):
            lines += [
                [says, name, str(labelled), *differences(gains, losses, se, sp, labelled)] for name, se, sp in CRITICS
            ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def gain() -> str:
    """Return the variance of the labels' mean over that of PPI++, by correlation, beside the theory's."""
    lines = [["ρ", "gain in variance", "theory"], ["---:"] * 3]
    labelled, without = 100, 1_000
    for rho in (0.0, 0.3, 0.5, 0.7, 0.9):
        generator, powered, alone = np.random.default_rng(int(10 * rho)), [], []
        for _ in range(GAIN_RUNS):
            labels = (generator.random(labelled + without) < 0.5).astype(float)
            right = generator.random(len(labels)) < (1 + rho) / 2
            predictions = np.where(right, labels, 1 - labels)
            chances = np.full(labelled, labelled / len(labels))
            found = prediction_powered_mean(labels[:labelled], predictions[:labelled], chances, predictions)
            powered.append(found.value)
            alone.append(labels[:labelled].mean())
        theory = 1 / (1 - rho**2 * without / (without + labelled))
        lines.append([f"{rho:g}", f"{np.var(alone) / np.var(powered):.2f}", f"{theory:.2f}"])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    tables = {"powered-gain": gain(), "powered": coverage()}
    if "--write" not in sys.argv:
        print("\n\n".join(tables.values()))
        return
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, table in tables.items():
        pattern = rf"(<!-- table {name} -->\n).*?(<!-- end -->)"
        text, count = re.subn(pattern, lambda found, new=table: found[1] + new + "\n" + found[2], text, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"{DOCUMENT}: no place for {name}")
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
