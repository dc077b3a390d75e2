"""Measures the gates' own error rates and reach, and writes the tables of docs/statistics.md.

    python benchmarks/gate_statistics.py            print the tables and the time of the large bootstrap
    python benchmarks/gate_statistics.py --write    put the tables into docs/statistics.md

About ten seconds. The size of a test is exact, by summing the probabilities of all counts on which it passes.
"""

from __future__ import annotations

import math
import re
import resource
import sys
import time
from pathlib import Path

import numpy as np
from scipy.stats import binom

from harness.api.stats import Scatter, detectable, samples_needed
from harness.contracts import Metric
from harness.stats.attempts import level_of_attempt
from harness.stats.halving import halve
from harness.stats.interval import RESAMPLES, Inference
from harness.stats.paired import paired_difference, tango
from harness.types import Gate
from harness_gates.trinomial import paired_power
from harness_statistics.procedures import weighted

DOCUMENT = Path(__file__).parents[1] / "docs" / "statistics.md"
REFERENCE = DOCUMENT.with_name("statistics-reference.md")
IN_REFERENCE = ("sizes",)
SIZES = (60, 120, 240, 480, 1000)


class Rate(Metric):
    name, kind, direction = "harmful_compliance", "proportion", "lower"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---:"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def needed() -> str:
    """Fewest samples with which perfect data pass."""
    rows = []
    for share in (0.02, 0.05, 0.08, 0.1, 0.2, 0.3):
        found = [
            samples_needed(Gate(metric="m", kind=kind, limit=limit, margin=margin), Rate())
            for kind, limit, margin in (("max", share, None), ("min", 1 - share, None), ("non_inferior", None, share))
        ]
        rows.append([f"{100 * share:g} %", *map(str, found)])
    return table(["share", "`max` share", "`min` 1 − share", "`non_inferior` margin share"], rows)


def limits() -> str:
    """How far below its limit a rate must be."""
    at = (0.05, 0.1, 0.2, 0.3)
    rows = [
        [f"{n:,}", *(points(detectable(Gate(metric="m", kind="max", limit=limit), Rate(), n)) for limit in at)]
        for n in SIZES
    ]
    return table(["samples", *(f"`max` {limit}" for limit in at)], rows)


def differences() -> str:
    """What a paired comparison can detect."""
    at = (0.05, 0.1, 0.2, 0.4)
    superior = Gate(metric="m", kind="superior")
    rows = []
    for n in SIZES:
        gains = [points(detectable(superior, Rate(), n, Scatter(discordant=d))) for d in at]
        rows.append([f"{n:,}", "`superior`, the gain", *gains])
        for kind, both in (("non_inferior", False), ("equivalent", True)):
            margins = (points(margin_for_equals(n, d, both=both)) for d in at)
            rows.append([f"{n:,}", f"`{kind}`, the margin", *margins])
    return table(["samples", "gate", *(f"{100 * d:g} % differ" for d in at)], rows)


def margin_for_equals(n: int, discordant: float, *, both: bool) -> float:
    """Return the least margin at which an equal candidate passes in four runs of five."""

    def enough(margin: float) -> bool:
        greatest = margin if both else math.inf
        return paired_power(discordant / 2, discordant / 2, n, 0.05, least=-margin, greatest=greatest) >= 0.8

    return halve(0.999, 0.0, enough, 20)[0]


def size(n: int, margin: float, gained: float, procedure) -> float:
    """Return how often a candidate exactly at the margin passes."""
    total = 0.0
    for gains in range(n + 1):
        most = -1
        for losses in range(n + 1 - gains):
            if procedure(gains, losses, n, 0.05, null=-margin).p_above > 0.05:
                break
            most = losses
        if most < 0 and gains > n * gained + 1:
            continue
        total += binom.pmf(gains, n, gained) * binom.cdf(most, n - gains, min(1.0, (gained + margin) / (1 - gained)))
    return total


def sizes() -> str:
    """False passes at the margin."""
    gained = (0.0, 0.02, 0.05, 0.1, 0.2)
    rows = []
    for n, margin in ((36, 0.08), (60, 0.08), (120, 0.08), (120, 0.05)):
        for name, procedure in (("Tango alone", tango), ("the gate", paired_difference)):
            rows.append([str(n), f"{margin:g}", name, *(points(size(n, margin, g, procedure)) for g in gained)])
    return table(["samples", "margin", "test", *(f"{100 * g:g} % gains" for g in gained)], rows)


def attempts() -> str:
    """What each attempt may spend."""
    at = (1, 2, 3, 5, 10, 20)
    levels = [level_of_attempt(0.05, attempt) for attempt in at]
    least = [samples_needed(Gate(metric="m", kind="max", limit=0.05, alpha=level), Rate()) for level in levels]
    return table(
        ["attempt", *map(str, at)],
        [
            ["level of each gate, α = 5 %", *(f"{100 * level:.2g} %" for level in levels)],
            ["fewest samples for `max: 0.05`", *map(str, least)],
        ],
    )


TABLES = {"attempts": attempts, "needed": needed, "limits": limits, "differences": differences, "sizes": sizes}


def filled(text: str, names: tuple[str, ...] = tuple(TABLES)) -> str:
    """Return the document with each table between its markers made anew."""
    for name in names:
        pattern = re.compile(rf"(<!-- table {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        made = TABLES[name]()
        text, count = pattern.subn(lambda match, made=made: f"{match[1]}{made}\n{match[2]}", text)
        if count != 1:
            raise SystemExit(f"the page has {count} tables {name}, expected one")
    return text


def main() -> None:
    if "--write" in sys.argv:
        rest = tuple(name for name in TABLES if name not in IN_REFERENCE)
        for path, names in ((DOCUMENT, rest), (REFERENCE, IN_REFERENCE)):
            path.write_text(filled(path.read_text(encoding="utf-8"), names), encoding="utf-8")
        return
    for name, make in TABLES.items():
        print(f"{name}\n{make()}\n")
    for samples in (10_000, 200_000):
        rows = np.random.default_rng(0).normal(loc=(1.0, 10.0), size=(samples, 2))
        start = time.perf_counter()
        weighted(Rate(), rows, np.arange(samples), Inference())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        taken = time.perf_counter() - start
        print(f"{samples:,} samples × {RESAMPLES:,} resamples of a ratio: {taken:.2f} s, {peak:.0f} MB at most")


if __name__ == "__main__":
    main()
