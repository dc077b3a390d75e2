"""What every procedure returns: two one-sided bounds, and the two p values that belong to them."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What bounded scores tell of their mean's error; see `harness.stats.unseen`."""

    error: float
    """Standard error of the mean, linearised."""
    carriers: float
    """How many samples (or clusters) carry the spread."""
    worth: tuple[float, float]
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
