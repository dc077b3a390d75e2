"""Gates on the difference to another run: it must lie inside a region, against each arm that is compared with."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from harness.api import AnchorCheck, Check, worst_status
from harness.api.gates import (
    Arms,
    Drawn,
    GateKind,
    Outlook,
    Problem,
    Section,
    amount,
    bounds_text,
    change,
)
from harness.api.stats import (
    POWER,
    Comparison,
    MetricTable,
    bounds_of,
    compare,
    estimate,
    metric_kind,
    paired_difference,
    score_range,
    smallest,
)
from harness_gates.capped import capped_differences, problem_of_cap
from harness_gates.outlooks import fewest_within, outlook_of_run, too_small, unscored_text, would_decide
from harness_gates.power import mean_samples, paired_samples

if TYPE_CHECKING:
    from harness.api import Estimate, Gate, Metric, Status


class ToSection(Section):
    """What a comparison is with."""

    to: str = "promoted"


def margin_problem(margin: float | None, name: str, metric: Metric) -> Problem | None:
    """Return what is wrong with a margin."""
    bounds = bounds_of(metric)
    if margin is None or not math.isfinite(margin) or margin <= 0.0:
        return f"the {name} is {margin}, but must be a number above 0", "give the largest loss that counts as none"
    if bounds is not None and margin >= bounds[1] - bounds[0]:
        hint = "give a margin that a bad candidate could miss"
        if bounds == (0.0, 1.0) and 1.0 < margin <= 100.0:
            hint = f"shares are written as fractions: {margin / 100:g} for {margin:g} points"
        return f"the {name} {margin:g} is as large as {metric.name} can differ at all", hint
    return None


@dataclass(frozen=True, kw_only=True)
class Part:
    """The verdict against one arm."""

    to: str
    margin: float
    first: bool
    """Whether it is the baseline, and not the anchor."""
    found: Comparison
    status: Status
    p: float | None


class ComparisonKind(GateKind):
    """A gate with a baseline; where it has an anchor, both comparisons must pass (an intersection–union test)."""

    compares = True
    strict = True
    directed = True
    """Whether it asks which way is better."""

    def fields(self, given: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return the section's own fields."""
        return dict(given)

    def arms(self, gate: Gate) -> tuple[tuple[str, float], ...]:
        """Return what it compares with, and the margin against each."""
        arms = ((gate.to or "promoted", gate.margin or 0.0),)
        return arms if gate.anchor is None else (*arms, (gate.anchor, gate.total_margin or 0.0))

    def problem(self, gate: Gate, metric: Metric) -> Problem | None:
        """Return what is wrong with direction or margin."""
        if self.directed and metric.direction == "neither":
            return (
                f"{metric.name} has no better direction, so that {self.name} has no meaning",
                "use min, max or equivalent",
            )
        return self.margins_problem(gate, metric)

    def cap_problem(self, gate: Gate, metric: Metric) -> Problem | None:
        """Return why its cap makes no sense on this metric, or None."""
        return problem_of_cap(self, gate, metric)

    def margins_problem(self, gate: Gate, metric: Metric) -> Problem | None:
        """Return what is wrong with the margin."""
        return margin_problem(gate.margin, "margin", metric)

    @abstractmethod
    def clause(self, metric: Metric, part: Part) -> str:
        """Return where the difference lies, in a sentence, such as `within a margin of 5 points`."""

    @abstractmethod
    def fewest_of_shares(self, gate: Gate) -> int | None:
        """Return the fewest pairs of a proportion with which `ideal` data could pass."""

    @abstractmethod
    def best_share(self, gate: Gate, reach: float) -> float:
        """Return how far `ideal` data lie inside the line, as a share of what a difference can be away from it."""

    def fewest(self, gate: Gate, metric: Metric) -> int | None:
        """Return the fewest pairs: those of an exact test, of a bound on what was not seen, or of a bootstrap."""
        kind, scores = metric_kind(metric), score_range(metric)
        if gate.evidence == "point":
            return 1
        if kind.shares:
            return self.fewest_of_shares(gate)
        reach = gate.cap or (0.0 if scores is None else scores[1] - scores[0])
        if not reach:
            return kind.fewest_of(metric, gate.alpha)
        return fewest_within(self.best_share(gate, reach), gate.alpha, strict=True)

    def worst_distance(self, gate: Gate, metric: Metric, value: float | None = None) -> float:  # noqa: ARG002
        """Return the whole range, or the cap, which a difference can be away."""
        scores = score_range(metric)
        return gate.cap or (0.0 if scores is None else scores[1] - scores[0])

    def room(self, gate: Gate, metric: Metric) -> float:
        """Return how far from the gate's line the best possible difference lies."""
        return (self.worst_distance(gate, metric) or math.inf) + (gate.margin or 0.0)

    def samples(self, gate: Gate, metric: Metric, outlook: Outlook, power: float = POWER) -> int | None:
        """Return about how many pairs would show on which side of its line the difference is."""
        distance = outlook.value - self.region(gate, metric, gate.to).ends[0]
        if outlook.counted:
            return paired_samples(outlook.gains, outlook.losses, distance, gate.alpha, power)
        return mean_samples(
            outlook.error or 0.0, outlook.n, distance, gate.alpha, power, worst=outlook.worst,
            kurtosis=outlook.kurtosis,
        )  # fmt: skip

    def check(self, gate: Gate, arms: Arms) -> Check:
        """Return the verdict on the difference to every arm."""
        table = arms.candidate
        parts = [self._part(gate, arms, to, margin) for to, margin in self.arms(gate)]
        status = cast("Status", worst_status(part.status for part in parts))  # there is always a part
        point = gate.evidence == "point"
        known = [part.p for part in parts if part.p is not None]
        sentence = f"{status}: " + "; ".join(self._text(gate, table, part, advises=arms.advises) for part in parts)
        if point:
            sentence += " (point values, no interval)"

        def kept(part: Part) -> AnchorCheck:
            found = part.found
            return AnchorCheck(
                status=part.status, baseline=self._own(gate, arms, arms.others[part.to]), difference=found.difference,
                low=None if point else found.low, high=None if point else found.high, p=None if point else part.p,
                method="point values, no interval" if point else found.method,
            )  # fmt: skip

        first = kept(parts[0])
        return Check(
            gate=gate, status=status, sentence=sentence, estimate=self._own(gate, arms, table),
            baseline=first.baseline, difference=first.difference, low=first.low, high=first.high,
            p=max(known) if len(known) == len(parts) and not point else None, method=first.method,
            anchor=kept(parts[1]) if len(parts) > 1 else None,
        )  # fmt: skip

    def _own(self, gate: Gate, arms: Arms, table: MetricTable) -> Estimate:
        return estimate(table, confidence=1 - 2 * gate.alpha, seed=arms.seed, resamples=arms.resamples)

    def _part(self, gate: Gate, arms: Arms, to: str, margin: float) -> Part:
        region = self.region(gate, arms.candidate.metric, to)
        tests: dict[float, tuple[float | None, float | None]] = {}
        own, its = arms.candidate, arms.others[to]
        if gate.cap is not None:
            own, its = capped_differences(own, its, gate.cap)
        for line in region.ends:
            found = compare(own, its, alpha=gate.alpha, null=line, seed=arms.seed, resamples=arms.resamples)
            found = replace(found, obstacle=found.obstacle or found.rare)
            tests[line] = found.p_above, found.p_below
        point = gate.evidence == "point"
        status: Status = "inconclusive"
        if not found.obstacle or (point and found.difference is not None):
            status = region.status(*(found.worst if point else (found.low, found.high)), strict=self.strict)
        return Part(
            to=to, margin=margin, first=to == (gate.to or "promoted"), found=found, status=status, p=region.p(tests)
        )

    def _text(self, gate: Gate, candidate: MetricTable, part: Part, *, advises: bool) -> str:
        """Say what was found against one arm; after the first, only what is new."""
        metric, found = candidate.metric, part.found
        if found.difference is None:
            return f"{gate.metric} cannot be compared with {part.to}: {found.obstacle}"
        if gate.cap is not None:  # both arms' own values are not those of which the capped difference is
            text = f"against {part.to}: {change(metric, found.difference)}, each text counted up to {gate.cap:g},"
            text = f"{gate.metric} {text}" if part.first else text
        else:
            text = f"against {amount(metric, found.baseline)} of {part.to}: {change(metric, found.difference)}"
            text = f"{gate.metric} is {amount(metric, found.candidate)} {text}" if part.first else text
        if gate.evidence == "bound":
            text += f" {bounds_text(metric, found.low, found.high)}"
        bounded = gate.cap is not None or bounds_of(metric) is not None
        text += unscored_text(found.unscored, found.n, bounded=bounded, pairs=True)
        text += f", {self.clause(metric, part)}"
        if advises and gate.evidence == "bound" and part.status == "inconclusive":
            advice = self._advice(gate, metric, found, part.margin, clustered=candidate.clustered)
            text += f"; {advice}" if advice else ""
        return text

    def _advice(self, gate: Gate, metric: Metric, found: Comparison, margin: float, *, clustered: bool) -> str:
        """Return how many samples would decide about a difference, or what else would."""
        if advice := found.obstacle or too_small(self.fewest(gate, metric), found.n, self.ideal):
            return advice
        if found.difference is None:
            return ""
        if found.unscored:
            return "see why the unscored ones could not be scored"
        if found.low is None or found.high is None:
            return found.note
        if found.gains is not None and found.losses is not None and not clustered:
            outlook = Outlook(
                value=found.difference, counted=True, gains=found.gains / found.n, losses=found.losses / found.n
            )
        else:
            reach = self.worst_distance(gate, metric)
            seen = found.difference, found.low, found.high
            outlook = outlook_of_run(gate, found.spread, seen, found.n, (-reach, reach), found.null)
        needed = self.samples(replace(gate, margin=margin), metric, outlook)
        return would_decide(needed, found.n, "at this difference")

    def drawn(self, check: Check) -> Drawn:
        """Return the difference and the region, whose line may be 0."""
        gate, found = check.gate, check.estimate
        percent = found is not None and metric_kind(found).shares
        unit = "points" if percent else (found.unit if found is not None else "") or "units"
        return Drawn(
            value=check.difference, region=self.region(gate, found, gate.to), percent=percent, unit=unit,
            axis=f"{gate.metric}: change from {gate.to or 'promoted'}",
        )  # fmt: skip


class MarginKind(ComparisonKind):
    """A comparison that a difference smaller than a margin passes."""

    ideal = "a candidate that gives the baseline's result on every sample"
    best = "the best outcome"

    def least(self, gate: Gate, metric: Metric) -> int | None:
        """Return the fewest pairs of which any outcome passes: a better candidate may with fewer than an equal one."""
        margin, reach = gate.margin or 0.0, self.worst_distance(gate, metric)
        if gate.evidence == "bound" and metric_kind(metric).shares:
            return _fewest_at_all(margin, gate.alpha, directed=self.directed)
        if gate.evidence == "bound" and reach and self.directed:
            return fewest_within((margin + reach) / (2.0 * reach), gate.alpha, strict=True)
        return self.fewest(gate, metric)

    def fewest_of_shares(self, gate: Gate) -> int | None:
        """Return the fewest pairs, all alike, whose bound is within the margin."""
        return _fewest_alike(gate.margin or 0.0, gate.alpha)

    def best_share(self, gate: Gate, reach: float) -> float:
        """Return the margin's share: no difference at all."""
        return (gate.margin or 0.0) / reach


@lru_cache(maxsize=1024)  # as `fewest_within`
def _fewest_alike(margin: float, alpha: float) -> int | None:
    return smallest(lambda n: (paired_difference(0, 0, n, alpha).high or 0.0) < margin)


@lru_cache(maxsize=1024)
def _fewest_at_all(margin: float, alpha: float, *, directed: bool) -> int | None:
    """Return the fewest pairs of which some counts pass: nothing but gains where they help, else as many as losses."""

    def passes(n: int) -> bool:
        outcomes = ((n, 0), (0, 0)) if directed else ((0, 0), (1, 1), (2, 2))
        found = [paired_difference(gains, losses, n, alpha) for gains, losses in outcomes if gains + losses <= n]
        return any((one.low or 0.0) > -margin and (directed or (one.high or 0.0) < margin) for one in found)

    return smallest(passes)
