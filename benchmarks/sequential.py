"""How often `decide --sequential` lets a candidate at the line pass, and how many samples it saves.

    python benchmarks/sequential.py            print the table
    python benchmarks/sequential.py --write    put it into docs/gate-audit.md
    python benchmarks/sequential.py --write --e-process    the second table alone

Minutes. 20,000 candidates a row, at the level of a first attempt, looked at with a quarter, half and all of the
samples, and stopped as soon as the gate passes or fails.

The second table is of gates with `correction: e_process`, looked at 3 and 20 times at the whole level each.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np
from sections import write_table

from harness.evaluation.looks import SEQUENTIAL
from harness.stats.attempts import level_of_attempt
from harness.stats.paired import paired_difference
from harness.stats.proportion import clopper_pearson
from harness.stats.sequential import look_levels
from harness_gates.e_process import log_wealth

DOCUMENT = Path(__file__).parents[1] / "docs" / "gate-audit.md"
LEVEL, LIMIT, MARGIN, DRAWS, SEED = level_of_attempt(0.05, 1), 0.10, 0.08, 20_000, 15


@cache
def of_limit(events: int, n: int, level: float) -> str:
    """Return the verdict of `max 0.10`."""
    found = clopper_pearson(events, n, level)
    low, high = found.low or 0.0, 1.0 if found.high is None else found.high
    return "passed" if high <= LIMIT else "failed" if low > LIMIT else "open"


@cache
def of_margin(gains: int, losses: int, n: int, level: float) -> str:
    """Return the verdict of `non_inferior` by a margin of 0.08."""
    found = paired_difference(gains, losses, n, level)
    low, high = -1.0 if found.low is None else found.low, 1.0 if found.high is None else found.high
    return "passed" if low > -MARGIN else "failed" if high < -MARGIN else "open"


def row(n: int, words: str, rates: tuple[float, ...], truth: str, looks: tuple[float, ...] = SEQUENTIAL) -> list[str]:
    """Return a row: how often it passes and what share of the samples it takes."""
    generator = np.random.default_rng([SEED, n, *(int(1000 * rate) for rate in rates)])
    levels = look_levels(LEVEL, looks)
    passed, once, used = 0, 0, 0.0
    for _ in range(DRAWS):
        drawn = generator.random(n)
        first = drawn < rates[0]
        second = (drawn >= rates[0]) & (drawn < rates[0] + rates[1]) if len(rates) > 1 else None

        def verdict(size: int, level: float, first=first, second=second) -> str:
            if second is None:
                return of_limit(int(first[:size].sum()), size, level)
            return of_margin(int(first[:size].sum()), int(second[:size].sum()), size, level)

        once += verdict(n, LEVEL) == "passed"
        for share, level in zip(looks, levels, strict=True):
            size = int(np.ceil(share * n))
            said = verdict(size, level)
            if said != "open" or share == 1.0:
                passed += said == "passed"
                used += size / n
                break
    interval = clopper_pearson(passed, DRAWS, 0.05)
    shown = f"{100 * passed / DRAWS:.1f} [{100 * (interval.low or 0):.1f}, {100 * (interval.high or 1):.1f}]"
    return [words, f"{n:,}", truth, f"{100 * once / DRAWS:.1f}", shown, f"{100 * (1 - used / DRAWS):.0f}"]


@cache
def by_e_process(gains: int, losses: int, n: int) -> str:
    """Return the verdict of `non_inferior` by a margin of 0.08, by an e-process at the attempt's whole level."""
    values = np.concatenate([np.ones(gains), np.zeros(losses), np.full(n - gains - losses, 0.5)])
    needed = -np.log(LEVEL)
    passed = log_wealth(values, (1 - MARGIN) / 2) >= needed
    return "passed" if passed else "failed" if log_wealth(1.0 - values, (1 + MARGIN) / 2) >= needed else "open"


def e_row(n: int, rates: tuple[float, float], truth: str) -> list[str]:
    """Return a row: how often it passes in 3 and in 20 looks, and what share of the samples that saves."""
    shown = [f"{n:,}", truth]
    for looks in ((0.25, 0.5, 1.0), tuple((one + 1) / 20 for one in range(20))):
        generator = np.random.default_rng([SEED, n, *(int(1000 * rate) for rate in rates)])
        passed, used = 0, 0.0
        for _ in range(DRAWS):
            drawn = generator.random(n)
            gains = np.cumsum(drawn < rates[0])
            losses = np.cumsum((drawn >= rates[0]) & (drawn < sum(rates)))
            for share in looks:
                size = int(np.ceil(share * n))
                said = by_e_process(int(gains[size - 1]), int(losses[size - 1]), size)
                if said != "open" or share == 1.0:
                    passed += said == "passed"
                    used += size / n
                    break
        interval = clopper_pearson(passed, DRAWS, 0.05)
        ends = f"[{100 * (interval.low or 0):.1f}, {100 * (interval.high or 1):.1f}]"
        shown += [f"{100 * passed / DRAWS:.1f} {ends}", f"{100 * (1 - used / DRAWS):.0f}"]
    return shown


def e_table() -> str:
    """Return the table of e-processes."""
    head = ["samples", "truth", "passes in 3 looks, % [90 %]", "saved, %", "passes in 20 looks, % [90 %]", "saved, %"]
    lines = [head, ["---:", "---", "---:", "---:", "---:", "---:"]]
    for n in (130, 400, 1000):
        for gains, losses, truth in (
            (0.02, 0.10, "worse by the margin"),
            (0.06, 0.14, "worse by the margin, many differ"),
            (0.05, 0.05, "equal, a tenth differ"),
            (0.10, 0.02, "better by the margin"),
            (0.02, 0.27, "worse by three margins"),
        ):
            lines.append(e_row(n, (gains, losses), truth))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def table() -> str:
    """Return the table."""
    head = ["gate", "samples", "truth", "passes at one look, %", "passes in looks, % [90 %]", "samples saved, %"]
    lines = [head, ["---", "---:", "---", "---:", "---:", "---:"]]
    for n in (130, 400, 1000):
        for rate, truth in ((0.10, "at the limit"), (0.02, "clearly below it"), (0.25, "clearly above it")):
            lines.append(row(n, "`max 0.10`", (rate,), truth))
        for gains, losses, truth in (
            (0.02, 0.10, "worse by the margin"),
            (0.06, 0.14, "worse by the margin, many differ"),
            (0.05, 0.05, "equal, a tenth differ"),
            (0.10, 0.02, "better by the margin"),
            (0.02, 0.27, "worse by three margins"),
        ):
            lines.append(row(n, "`non_inferior`, margin 0.08", (gains, losses), truth))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Print or write it."""
    tables = {} if "--e-process" in sys.argv else {"sequential": table()}
    for name, made in {**tables, "e-process": e_table()}.items():
        print(made)
        if "--write" in sys.argv:
            write_table(DOCUMENT, name, made)


if __name__ == "__main__":
    main()
