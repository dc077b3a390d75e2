"""What a kind of gate is: everything that the rest of the house may ask of one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from harness.stats.interval import RESAMPLES
from harness.stats.power import POWER

if TYPE_CHECKING:
    from harness.contracts import Metric
    from harness.stats import MetricTable
    from harness.stats.interval import Spread
    from harness.store.workspace import Workspace
    from harness.types import Check, Estimate, Gate, Status

Problem = tuple[str, str]
"""Cause and hint."""
Write = Callable[[float | None], str]
"""Writes a limit or margin in the metric's unit."""


class Section(BaseModel):
    """What stands under a gate's kind in YAML, where it is more than a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True, kw_only=True)
class Region:
    """The values, or differences, that a gate lets pass: one interval, with at least one finite end."""

    least: float = -math.inf
    greatest: float = math.inf

    @property
    def ends(self) -> tuple[float, ...]:
        """The finite ones: the gate's lines."""
        return tuple(end for end in (self.least, self.greatest) if math.isfinite(end))

    def contains(self, value: float) -> bool:
        """Tell whether a value lies inside, not on a line."""
        return self.least < value < self.greatest

    def status(self, low: float | None, high: float | None, *, strict: bool) -> Status:
        """Return the verdict on an interval: passed inside, failed outside, inconclusive across a line.

        Args:
            low: its lower end; None where nothing bounds it.
            high: its upper end.
            strict: whether an end on a line is not inside.
        """
        begin, end = -math.inf if low is None else low, math.inf if high is None else high
        if strict:
            inside = (begin > self.least or math.isinf(self.least)) and (
                end < self.greatest or math.isinf(self.greatest)
            )
        else:
            inside = begin >= self.least and end <= self.greatest
        if inside:
            return "passed"
        outside = (low is not None and low > self.greatest) or (high is not None and high < self.least)
        return "failed" if outside else "inconclusive"

    def p(self, tests: Mapping[float, tuple[float | None, float | None]]) -> float | None:
        """Return the level at which an interval would just lie inside.

        Args:
            tests: by end: p of "above it" and of "below it".
        """
        levels = [tests[end][0 if end == self.least else 1] for end in self.ends]
        known = [level for level in levels if level is not None]
        return max(known) if len(known) == len(levels) else None


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """How far samples lie apart, for what can be detected with so many of them."""

    discordant: float = 0.2
    """For comparisons of proportions: share of the samples on which the two arms differ."""
    spread: float | None = None
    """For means and ratios: the standard deviation of one sample's value, or of one pair's difference."""
    kurtosis: float = 3.0
    """Of the same; far above 3 where a few large scores decide, for which bounds are wider."""
    unseen: float = 1.0
    """For bounded means: as how many independent samples a score that was not seen may weigh."""


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What is taken to be true of a value, or of a difference, for how many samples would decide about it."""

    value: float
    """As counted, so before any correction."""
    counted: bool
    """Whether counts of independent samples decide, exactly; else standard errors do."""
    gains: float = 0.0
    """Of counted differences: share of the pairs with the event in the candidate alone."""
    losses: float = 0.0
    error: float | None = None
    """Standard error on `n` samples."""
    n: int = 1
    worst: float = 0.0
    """Of bounded scores: how far from the value the worst possible one lies, times its weight in samples."""
    kurtosis: float = 3.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Arms:
    """What a gate is checked on."""

    candidate: MetricTable
    others: Mapping[str, MetricTable] = field(default_factory=dict)
    """By what the gate calls them."""
    seed: int = 0
    """Of the resampling."""
    resamples: int = RESAMPLES
    advises: bool = True
    """Whether what is inconclusive says how many samples would decide."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What the report draws of a check: a value with its interval on an axis, and the region that passes."""

    value: float | None
    region: Region
    axis: str
    """What the numbers are."""
    unit: str
    """As it is written beside them; empty where there is none."""
    percent: bool
    """Whether they are shares, which are drawn times 100."""
    own: str | None = None
    """The candidate's value written out, where it is not that of the estimate."""


class GateKind(ABC):
    """One kind of gate; a plugin registers an object of each by `register_gate_kinds`."""

    name: str
    """The key under which it stands in YAML."""
    keys: Any
    """The type of what stands there, as pydantic understands it."""
    compares = False
    """Whether it needs another arm's run."""
    strict = False
    """Whether an interval that ends on a line of the region does not pass."""
    correctable = False
    """Whether it may be about a proportion corrected for its labeller's errors."""
    of_the_run = False
    """Whether it is about the very run and not about what it is a sample of: nothing to plan, and no interval."""
    of_texts = False
    """Whether it counts texts and is not about the metric's own value: plans simulate it alone, and what rounding moves
    of one text is not looked at."""
    ideal = "perfect data"
    """What `fewest` takes for the best that could come out."""

    best = ""
    """What `least` takes for the best that could come out; empty is `ideal`."""

    @abstractmethod
    def fields(self, given: Any) -> dict[str, Any]:  # noqa: ANN401 - of type `keys`
        """Return the fields of `Gate` that what stands in YAML sets."""

    @abstractmethod
    def describe(self, gate: Gate) -> str:
        """Return the condition as its file says it, such as `max 0.05`."""

    @abstractmethod
    def condition(self, gate: Gate, write: Write) -> str:
        """Return the gate as a condition for tables, such as `toxicity ≤ 5 %`."""

    def cap_problem(self, gate: Gate, metric: Metric) -> Problem | None:  # noqa: ARG002
        """Return why its cap makes no sense on this metric, or None."""
        return "a cap is for bounds alone", "remove it"

    @abstractmethod
    def problem(self, gate: Gate, metric: Metric) -> Problem | None:
        """Return cause and hint of what makes no sense about its numbers on this metric, or None."""

    @abstractmethod
    def region(self, gate: Gate, measured: Metric | Estimate | None, to: str | None = None) -> Region:
        """Return what passes: of the value, or of the difference to the arm `to`."""

    @abstractmethod
    def check(self, gate: Gate, arms: Arms) -> Check:
        """Return the verdict on a run, with its sentence."""

    @abstractmethod
    def drawn(self, check: Check) -> Drawn:
        """Return what the report draws of a check."""

    def arms(self, gate: Gate) -> tuple[tuple[str, float], ...]:  # noqa: ARG002 - for kinds that compare
        """Return what it compares with, and the margin against each."""
        return ()

    def fewest(self, gate: Gate, metric: Metric) -> int | None:  # noqa: ARG002
        """Return the fewest independent samples with which `ideal` data could pass; None where none suffice."""
        return 1

    def least(self, gate: Gate, metric: Metric) -> int | None:
        """Return the fewest independent samples of which any outcome passes; None where none does."""
        return self.fewest(gate, metric)

    def detectable(self, gate: Gate, metric: Metric, n: int, scatter: Scatter, power: float) -> float | None:  # noqa: ARG002
        """Return how far inside the region the truth must be to pass with `power`; None where no truth does."""
        return None

    def samples(self, gate: Gate, metric: Metric, outlook: Outlook, power: float = POWER) -> int | None:  # noqa: ARG002
        """Return about how many samples would decide; None where no number would."""
        return None

    def worst_distance(self, gate: Gate, metric: Metric, value: float | None = None) -> float:  # noqa: ARG002
        """Return how far from the value the worst possible score lies, where bounds reckon with it; else 0.

        Args:
            gate: a comparison's worst difference is the whole range away.
            metric: what it is on.
            value: of the metric; None is the gate's line.
        """
        return 0.0

    def room(self, gate: Gate, metric: Metric) -> float:  # noqa: ARG002
        """Return how far from the gate's line the best possible value lies."""
        return math.inf

    def effective_n(self, gate: Gate, metric: Metric, spread: Spread) -> float:
        """Return of how many independent samples an unseen score is one, on the side that keeps the gate open."""
        region = self.region(gate, metric, gate.to)
        return min(n for end, n in zip((region.least, region.greatest), spread.effective_n, strict=True)
                   if math.isfinite(end))  # fmt: skip


class Correction(ABC):
    """How a gate goes by more than the rows of a run, such as labels by people; YAML names it under `correction`."""

    name: str = "by labels"
    """What tables call it."""
    by_people: bool = True
    """Whether people's labels decide, so that it holds whatever a critic is."""
    at_any_look: bool = False
    """Whether its level holds at all looks of an attempt together, so that none needs a part of it."""

    @abstractmethod
    def problem(self, gate: Gate, metric: Metric) -> Problem | None:
        """Return cause and hint of why a gate cannot be corrected so, or None."""

    @abstractmethod
    def evidence(
        self, tables: Mapping[str, MetricTable], gates: Iterable[Gate], workspace: Workspace
    ) -> Mapping[str, MetricTable]:
        """Return a run's tables with what the workspace keeps about them."""

    @abstractmethod
    def check(self, gate: Gate, kind: GateKind, arms: Arms) -> Check:
        """Return the verdict on a run."""
