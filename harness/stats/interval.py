"""What every procedure is asked, and what it returns: two one-sided bounds, and the p values that belong to them."""

from __future__ import annotations

from dataclasses import dataclass, replace

RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class Inference:
    """How an interval is made."""

    alpha: float = 0.05
    """One-sided level of each bound, in (0, 0.5)."""
    null: float | None = None
    """The value to test against, in the metric's unit; None gives no p values."""
    seed: int = 0
    """Of the resampling."""
    resamples: int = RESAMPLES
    """How many, where the procedure resamples."""
    corrected: bool = False
    """Correct a proportion for its labeller's errors, which `metric.calibration` tells."""
    filled: bool = False
    """Whether rows stand for samples that could not be scored."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What bounded scores tell of their mean's error; see `harness.stats.missing_mass`."""

    error: float
    """Standard error of the mean, linearised."""
    effective_count: float
    """How many samples (or clusters) carry the spread."""
    effective_n: tuple[float, float]
    """Of how many independent samples a score that was not seen is one, at the least and at the greatest score."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Bounds at one-sided level alpha each, and the p values of the very tests that the bounds invert."""

    low: float | None
    """None where the data cannot bound the value from below."""
    high: float | None
    """None where the data cannot bound the value from above."""
    p_above: float | None = None
    """p of "the value is at most `null`" against "it is above"; None where no null was given or nothing is bounded."""
    p_below: float | None = None
    """p of "the value is at least `null`" against "it is below"."""
    method: str = ""
    note: str = ""
    spread: Spread | None = None
    """For means of bounded scores."""
    obstacle: str = ""
    """Why the interval cannot decide a gate, though it says something; empty where there is no such reason."""

    def within(self, bounds: tuple[float, float] | None) -> Interval:
        """Return the interval cut to the possible values, which also bound what the data cannot."""
        if bounds is None:
            return self
        least, greatest = bounds
        low = least if self.low is None else min(max(self.low, least), greatest)
        high = greatest if self.high is None else max(min(self.high, greatest), least)
        return replace(self, low=low, high=high)

    def hull(self, other: Interval) -> Interval:
        """Return the interval that covers both, with the larger of each p: true whichever of the two holds."""
        return replace(
            self,
            low=None if self.low is None or other.low is None else min(self.low, other.low),
            high=None if self.high is None or other.high is None else max(self.high, other.high),
            p_above=_larger(self.p_above, other.p_above),
            p_below=_larger(self.p_below, other.p_below),
            note="; ".join(dict.fromkeys(note for note in (self.note, other.note) if note)),
        )


def _larger(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else max(first, second)


def reach_of(bounds: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the least and greatest difference between two values within bounds."""
    return None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])
