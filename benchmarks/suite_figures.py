"""Compares the figures in what shipped suites say that they detect with the exact power, and mends them.

    python benchmarks/suite_figures.py            list what is written and what is exact
    python benchmarks/suite_figures.py --write    put the exact figures into suites/*.yaml and docs/suites/*.md

Seconds. A test asks the same of every figure. A *change* that arms of which a share differs can show is the margin at
which a candidate that truly equals its baseline passes in four runs of five; a *gain* is what `superior` shows as often.
"""
# ruff: noqa: E501 - sentences as they stand in the files

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.api.stats import Scatter, detectable
from harness.contracts import Metric
from harness.plugins import load_plugins
from harness.types import Gate
from harness_gates.trinomial import paired_power

ROOT = Path(__file__).parents[1]
load_plugins(installed=False)  # brings the kinds of gate


class Rate(Metric):
    name, kind, direction = "rate", "proportion", "higher"


class Score(Metric):
    name, kind, direction = "score", "mean", "higher"


@cache
def change(n: int, differ: float) -> float:
    """Return the least margin, in points, at which an equal candidate passes in four runs of five."""
    low, high = 0.0, 0.999
    for _ in range(30):
        middle = (low + high) / 2
        if paired_power(differ / 2, differ / 2, n, 0.05, least=-middle) >= 0.8:
            high = middle
        else:
            low = middle
    return 100 * high


def gain(n: int, differ: float) -> float:
    """Return the gain, in points, that `superior` shows in four runs of five."""
    return 100 * (detectable(Gate(metric="rate", kind="superior"), Rate(), n, Scatter(discordant=differ)) or math.nan)


def above(margin: float, n: int, differ: float) -> float:
    """Return how many points above a loss of the margin the truth must be."""
    gate = Gate(metric="rate", kind="non_inferior", to="promoted", margin=margin)
    return 100 * (detectable(gate, Rate(), n, Scatter(discordant=differ)) or math.nan)


def limit(line: float, n: int) -> float:
    """Return the true rate, in percent, at which `max` passes in four runs of five."""
    return 100 * (line - (detectable(Gate(metric="rate", kind="max", limit=line), Rate(), n) or math.nan))


def deviations(n: int, of: float = 1.0) -> float:
    """Return the change of an unbounded mean, in units of `of`, its standard deviation."""
    return detectable(Gate(metric="score", kind="superior"), Score(), n, Scatter(spread=of)) or math.nan


@dataclass(frozen=True)
class Claim:
    """Figures in a text: `#` stands for each, `_` for any space."""

    files: tuple[str, ...]
    text: str
    figures: Callable[[], Sequence[float]]
    digits: int = 0

    def places(self, content: str) -> Iterator[tuple[int, int, str, str]]:
        """Yield start, end, what is written and what is exact of each figure; nothing where the text is not there."""
        pattern = re.escape(self.text).replace(r"\#", r"([\d.]+)").replace(r"\ ", r"\s+")
        found = re.search(pattern, content)
        if found is None:
            return
        for number, value in enumerate(self.figures(), start=1):
            yield (*found.span(number), found[number], f"{value:.{self.digits}f}")


def _row(files: tuple[str, ...], head: str, n: int) -> Claim:
    return Claim(files, head + " | # points | # points | # points |", lambda: [change(n, d) for d in (0.1, 0.2, 0.4)])


def _both(name: str) -> tuple[str, str]:
    return f"suites/{name}.yaml", f"docs/suites/{name}.md"


SAFETY, PRIVACY, BIAS, TRUTH, FORM, LANGUAGE, PERSONA = map(
    _both, ("safety-core", "privacy", "bias", "truthfulness", "instructions", "language", "persona")
)
CLAIMS = (
    Claim(SAFETY[:1], "differ on a tenth of them, # points of harmful_compliance (# where they differ on a fifth, # on two "
          "fifths)", lambda: [change(130, d) for d in (0.1, 0.2, 0.4)]),
    Claim(SAFETY[:1], "where the true rate is # %; incoherent", lambda: [limit(0.30, 130)]),
    Claim(SAFETY[:1], "incoherent max 0.10 where it is # %", lambda: [limit(0.10, 260)], 1),
    Claim(SAFETY[1:], "where the true rate is # % (# % with 60", lambda: [limit(0.30, 130), limit(0.30, 60)]),
    Claim(SAFETY[1:], "`incoherent max 0.10` where it is # %", lambda: [limit(0.10, 260)], 1),
    _row(SAFETY[1:], "| `harmful_compliance`, 130 requests: a change of", 130),
    _row(SAFETY[1:], "| the same with 60 (`--limit 120`)", 60),
    Claim(PRIVACY[:1], "136 replies detect a change of # points of pii_leak, 70 with planted data one of # points of "
          "protected_leak, 60 with required words one of # points of required_kept; with arms that differ on a tenth, #, # "
          "and # points", lambda: [change(n, d) for d in (0.2, 0.1) for n in (136, 70, 60)]),
    _row(PRIVACY[1:], "| `pii_leak` | 136", 136),
    _row(PRIVACY[1:], "| `protected_leak` | 70", 70),
    _row(PRIVACY[1:], "| `required_kept` | 60", 60),
    Claim(BIAS[:1], "detect a change of # points in accuracy if they were independent, and # points if each",
          lambda: [change(144, 0.2), change(36, 0.2)]),
    Claim(BIAS[:1], "differ on a tenth of independent questions, # points", lambda: [change(144, 0.1)]),
    _row(BIAS[1:], "| all 144 independent: a change of", 144),
    Claim(BIAS[1:], "| each of the 36 scenarios counts once | # points | # points | # points |",
          lambda: [change(36, d) for d in (0.1, 0.2, 0.4)]),
    Claim(TRUTH[:1], "detect a change of # points, 66 short answers one of # points. With arms that differ on a tenth: # "
          "and # points", lambda: [change(n, d) for d in (0.2, 0.1) for n in (131, 66)]),
    Claim(TRUTH[1:], "a change of # points in multiple choice and of # in short answers; with arms that differ on a tenth, # "
          "and #. An", lambda: [change(n, d) for d in (0.2, 0.1) for n in (131, 66)]),
    Claim(FORM[:1], "detect a change of # points in instruction_strict with arms that differ on a fifth of the samples, of # "
          "points", lambda: [change(126, 0.2), change(126, 0.1)]),
    Claim(FORM[1:], "a change of # points in `instruction_strict` with arms that differ on a fifth of the samples, and of # "
          "points", lambda: [change(126, 0.2), change(126, 0.1)]),
    Claim(FORM[:1], "of # points in instruction_share", lambda: [100 * deviations(126, 0.4)]),
    Claim(FORM[1:], "`instruction_share` a change of # points", lambda: [100 * deviations(126, 0.4)]),
    Claim(LANGUAGE[:1], "detect a mean change of # standard", lambda: [deviations(45)], 2),
    Claim(LANGUAGE[:1], "formula gives # standard", lambda: [deviations(48)], 2),
    Claim(LANGUAGE[1:], "45 passages detect # and 48 rewrites # at", lambda: [deviations(45), deviations(48)], 2),
    Claim(PERSONA[:1], "detect a gain of # points over the base, 26 multiple-choice questions the same, 24 style prompts a "
          "gain of # points", lambda: [gain(26, 0.5), gain(24, 0.5)]),
    Claim(PERSONA[:1], "the true change is at least # points better", lambda: [above(0.20, 26, 0.2)]),
    Claim(PERSONA[1:], "a gain of # points on 26 samples and of # points on 24", lambda: [gain(26, 0.5), gain(24, 0.5)]),
    Claim(PERSONA[1:], "when the true change is # points above the margin", lambda: [above(0.20, 26, 0.2)]),
)  # fmt: skip


def wrong(*, write: bool = False) -> list[str]:
    """Return a line for each figure that is not exact, or each claim whose text is gone; mend the figures if asked."""
    found: list[str] = []
    for claim in CLAIMS:
        for name in claim.files:
            path = ROOT / name
            content = path.read_text("utf-8")
            places = list(claim.places(content))
            if not places:
                found.append(f"{name}: nothing reads {claim.text!r}")
            for start, end, written, exact in reversed(places):
                if written != exact:
                    found.append(f"{name}: {written} is {exact} in {claim.text!r}")
                    content = content[:start] + exact + content[end:]
            if write and places:
                path.write_text(content, "utf-8")
    return found


if __name__ == "__main__":
    print("\n".join(wrong(write="--write" in sys.argv)) or "all figures are exact")
