"""How often gates pass truths that they must not, on the audit's ugly set, at attempt 1 and at attempts 1 to 20
together.

    python benchmarks/ugly_rows.py                    print the table
    python benchmarks/ugly_rows.py --only zipf        the cases whose words hold this
    python benchmarks/ugly_rows.py --write            put the table into docs/gate-audit.md

20,000 draws of each case where a verdict is cheap, 2,000 where each resamples (`--draws`, `--dear`). Each draw is
checked at the levels of 5 %, and of the attempts 1, 2, 3, 5, 10 and 20. The union of twenty attempts is at most the
sum of their rates, where an attempt that was not simulated counts as the one before it that was: it is a little too
large.
"""

from __future__ import annotations

import argparse
import math
import re
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from harness.gates.kinds import kind_of as gate_kind
from harness.stats import assess, compare
from harness.stats.attempts import level_of_attempt
from harness.stats.interval import RESAMPLES
from harness.stats.proportion import clopper_pearson
from harness_audit.population import BASELINE, CANDIDATE
from harness_audit.replay import _table, counts
from harness_audit.ugly import ugly_cases
from harness_gates.capped import capped_differences
from harness_statistics.procedures import BEYOND, smallest_n

DOCUMENT = Path(__file__).parents[1] / "docs" / "gate-audit.md"
ATTEMPTS = (1, 2, 3, 5, 10, 20)
LEVELS = (0.05, *(level_of_attempt(0.05, attempt) for attempt in ATTEMPTS))
STANDS_FOR = (0, 1, 1, 2, 5, 10, 1)
"""How many attempts each level stands for in the union."""
SEED = 14


def levels_passed(case, drawn, *, cheap: bool) -> np.ndarray:
    """Return at which of the levels the gate passes."""
    (part,) = case.parts
    (gate,), ((name, metric),) = part.gates, part.population.metrics.items()
    tables = [_table(metric, drawn.arms[arm][name], drawn.labels) for arm in (CANDIDATE, BASELINE)]

    def p(level: float, resamples: int = RESAMPLES) -> float:
        if gate.kind in {"max", "min"}:
            found = assess(tables[0], alpha=level, null=gate.limit, resamples=resamples)
            above, below, obstacle = found.worst.p_above, found.worst.p_below, found.obstacle
        else:
            sign = -1.0 if metric.direction == "higher" else 1.0
            own, its = tables
            if gate.cap is not None:
                own, its = capped_differences(own, its, gate.cap)
            null = sign * (gate.margin or 0.0)
            found = compare(own, its, alpha=level, null=null, resamples=resamples)
            above, below, obstacle = found.p_above, found.p_below, found.obstacle or found.rare
        wanted = below if gate.kind == "max" or (gate.kind != "min" and metric.direction == "lower") else above
        return 1.0 if obstacle or wanted is None else wanted

    if cheap:
        return np.array([p(level) <= level for level in LEVELS])
    # A bootstrap's p does not depend on the level that it is asked at, but for the number of resamples.
    enough = metric.bounds is not None or gate.cap is not None
    allowed = [enough or part.n >= smallest_n(level) for level in LEVELS]
    if not any(allowed):
        return np.zeros(len(LEVELS), dtype=bool)
    return (p(LEVELS[0], math.ceil(BEYOND / LEVELS[-1])) <= np.array(LEVELS)) & allowed


def rates(index: int, draws: int, dear: int) -> list[str]:
    """Return a row of the table."""
    case = [case for case in ugly_cases() if case.attempts == 1][index]
    cheap = case.cost == "low"
    count = draws if cheap else dear
    passed, remembered = np.zeros(len(LEVELS)), {}
    for number in range(count):
        drawn = case.parts[0].population.draw(0, np.random.default_rng([SEED, index, number]))
        key = None
        if cheap:
            columns = [column for arm in drawn.arms.values() for column in arm.values()]
            compares = gate_kind(case.parts[0].gates[0]).compares
            key = counts(columns[: 1 + compares], drawn.labels, compares=compares)
        if key is None or key not in remembered:
            found = levels_passed(case, drawn, cheap=cheap)
            if key is not None:
                remembered[key] = found
        else:
            found = remembered[key]
        passed += found
    union = min(1.0, float((passed * np.array(STANDS_FOR)).sum()) / count)
    interval = clopper_pearson(int(passed[0]), count, 0.05)
    first, level = passed[1] / count, LEVELS[1]
    return [
        case.condition, case.truth, f"{count:,}",
        f"{100 * passed[0] / count:.1f} [{100 * (interval.low or 0):.1f}, {100 * (interval.high or 1):.1f}]",
        f"{first / level:.2f}", f"{passed[4] / count / LEVELS[4]:.2f}", f"{100 * union:.1f}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--draws", type=int, default=20_000)
    parser.add_argument("--dear", type=int, default=2_000)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    cases = [case for case in ugly_cases() if case.attempts == 1]
    indices = [i for i, case in enumerate(cases) if chosen.only in f"{case.condition} {case.truth}"]
    head = ["gate", "truth", "draws", "passes at 5 %, in % [90 %]", "attempt 1, × level", "attempt 5, × level",
            "attempts 1 to 20 together, in %"]  # fmt: skip
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)]]
    with ProcessPoolExecutor(2) as pool:
        for row in pool.map(rates, indices, [chosen.draws] * len(indices), [chosen.dear] * len(indices)):
            print(" | ".join(row), flush=True)
            lines.append(row)
    if chosen.write:
        made = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        text = DOCUMENT.read_text(encoding="utf-8")
        pattern = re.compile(r"(<!-- table ugly -->\n).*?(<!-- end -->)", re.DOTALL)
        DOCUMENT.write_text(pattern.sub(lambda match: f"{match[1]}{made}\n{match[2]}", text), encoding="utf-8")


if __name__ == "__main__":
    main()
