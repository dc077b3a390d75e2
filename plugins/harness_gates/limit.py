"""Gates on a value: it must lie inside limits, whatever the unscored samples were."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.api import Check
from harness.api.gates import (
    Arms,
    Drawn,
    GateKind,
    Outlook,
    Problem,
    Region,
    Scatter,
    Write,
    amount,
    bounds_text,
    limit_text,
)
from harness.api.stats import (
    POWER,
    Assessment,
    assess,
    binomial_power,
    bounds_of,
    corrected_interval,
    metric_kind,
    score_range,
    smallest,
)
from harness_gates.capped import capped_values, problem_of_cap, ratio_at, value_of
from harness_gates.outlooks import (
    by_spread,
    exact_range,
    farthest,
    fewest_within,
    outlook_of_run,
    too_small,
    unscored_text,
    would_decide,
)
from harness_gates.power import corrected_power, corrected_samples, mean_samples, proportion_samples

if TYPE_CHECKING:
    from harness.api import Estimate, Gate, Metric, Status


def limit_problem(gate: Gate, what: str, bounds: tuple[float, float] | None, useless: int) -> Problem | None:
    """Return what is wrong with a limit.

    Args:
        gate: with the limit.
        what: has the bounds, in words.
        bounds: least and greatest possible value.
        useless: the end of the bounds, 0 or 1, as which the limit would say nothing.
    """
    limit = gate.limit
    if limit is None or not math.isfinite(limit):
        return f"the limit of {gate.kind} is {limit}, which is not a number", "give a number"
    if bounds is not None and not bounds[0] <= limit <= bounds[1]:
        hint = "give a number within that range"
        if bounds == (0.0, 1.0) and 1.0 < limit <= 100.0:
            hint = f"shares are written as fractions: {limit / 100:g} for {limit:g} %"
        return f"the limit {limit:g} is outside what {what} can be, {bounds[0]:g} to {bounds[1]:g}", hint
    if bounds is not None and limit == bounds[useless]:
        return f"no data could fail {gate.kind} {limit:g}, so that the gate would say nothing", "tighten or remove it"
    return None


class LimitKind(GateKind):
    """A gate with one limit."""

    keys = float
    correctable = True
    upper: bool
    """Whether the limit is the greatest value that passes, or else the least."""
    sign: str
    what: str
    """The limit in a sentence."""
    side: str
    """Where a value that passes lies, in a sentence."""

    def fields(self, given: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return the limit."""
        return {"limit": given}

    def region(self, gate: Gate, measured: Metric | Estimate | None = None, to: str | None = None) -> Region:  # noqa: ARG002
        """Return all up to the limit, or all from it on."""
        limit = gate.limit or 0.0
        return Region(greatest=limit) if self.upper else Region(least=limit)

    def describe(self, gate: Gate) -> str:
        """Return the condition as its file says it."""
        return f"{self.name} {gate.limit:g}{' corrected' if gate.corrected else ''}"

    def condition(self, gate: Gate, write: Write) -> str:
        """Return the gate as a condition for tables."""
        return f"{gate.metric} {self.sign} {write(gate.limit)}"

    def problem(self, gate: Gate, metric: Metric) -> Problem | None:
        """Return what is wrong with the limit."""
        return limit_problem(gate, metric.name, bounds_of(metric), int(self.upper))

    def cap_problem(self, gate: Gate, metric: Metric) -> Problem | None:
        """Return why its cap makes no sense on this metric, or None."""
        return problem_of_cap(self, gate, metric)

    def fewest(self, gate: Gate, metric: Metric) -> int | None:
        """Return the fewest samples: not one event under an upper limit, nothing but events above a lower one.

        Where every score is as good as can be, the bound of a mean is Clopper and Pearson's of no event too.
        """
        kind, limit = metric_kind(metric), gate.limit or 0.0
        known = metric.calibration if gate.corrected else None
        if gate.evidence == "point":
            return 1
        if known is not None and kind.shares:
            if self.upper:
                return smallest(lambda n: (corrected_interval(0, n, known, gate.alpha).high or 0.0) <= limit)
            return smallest(lambda n: (corrected_interval(n, n, known, gate.alpha).low or 0.0) >= limit)
        bounds = exact_range(metric)
        if bounds is None:  # under a cap, how far inside the best value lies is not known
            return kind.fewest_of(metric, gate.alpha) if gate.cap is None else kind.fewest
        best, worst = bounds if self.upper else bounds[::-1]
        if limit in bounds:
            return 1 if limit == worst else None
        return fewest_within((limit - best) / (worst - best), gate.alpha)

    def detectable(self, gate: Gate, metric: Metric, n: int, scatter: Scatter, power: float) -> float | None:
        """Return how far from the limit the truth must be."""
        if not metric_kind(metric).shares:
            return by_spread(self, gate, metric, n, scatter, power)
        limit, known, alpha = gate.limit or 0.0, metric.calibration, gate.alpha
        if gate.corrected and known is not None:
            best = 0.0 if self.upper else 1.0
            return farthest(best, limit, lambda rate: corrected_power(rate, limit, n, known, alpha) >= power)
        limit = limit if self.upper else 1.0 - limit
        return farthest(0.0, limit, lambda rate: binomial_power(rate, limit, n, alpha) >= power)

    def samples(self, gate: Gate, metric: Metric, outlook: Outlook, power: float = POWER) -> int | None:
        """Return about how many samples would show on which side of the limit the value is."""
        limit, share = gate.limit or 0.0, min(1.0, max(0.0, outlook.value))
        if outlook.counted and gate.corrected and metric.calibration is not None:
            return corrected_samples(share, limit, metric.calibration, gate.alpha, power)
        if outlook.counted:
            return proportion_samples(share, limit, gate.alpha, power)
        if outlook.error is None:
            return None
        return mean_samples(
            outlook.error, outlook.n, outlook.value - limit, gate.alpha, power, worst=outlook.worst,
            kurtosis=outlook.kurtosis,
        )  # fmt: skip

    def worst_distance(self, gate: Gate, metric: Metric, value: float | None = None) -> float:
        """Return how far from the value the worst possible score lies."""
        scores, at = score_range(metric), (gate.limit or 0.0) if value is None else value
        return 0.0 if scores is None else max(0.0, scores[1] - at if self.upper else at - scores[0])

    def room(self, gate: Gate, metric: Metric) -> float:
        """Return how far from the limit the best possible value lies."""
        scores, limit = score_range(metric), gate.limit or 0.0
        return math.inf if scores is None else limit - scores[0] if self.upper else scores[1] - limit

    def check(self, gate: Gate, arms: Arms) -> Check:
        """Return the verdict on the value's interval."""
        table, region = arms.candidate, self.region(gate, arms.candidate.metric)
        look = partial(assess, table, alpha=gate.alpha, seed=arms.seed, resamples=arms.resamples)
        tests: dict[float, tuple[float | None, float | None]] = {}
        for line in region.ends:
            found = look(null=line, corrected=gate.corrected) if gate.cap is None else self._capped(gate, arms)
            tests[line] = found.worst.p_above, found.worst.p_below
        labelled = look().estimate if gate.corrected else found.estimate
        point = gate.evidence == "point"
        low, high = found.worst_values if point else (found.worst.low, found.worst.high)
        status: Status = "inconclusive"
        if not found.obstacle or (point and found.estimate.value is not None):
            status = region.status(low, high, strict=self.strict)
        text = self._text(gate, arms, found, status, labelled)
        return Check(
            gate=gate, status=status, sentence=f"{status}: {text}", estimate=labelled,
            corrected=found.estimate if gate.corrected else None,
            low=None if point else found.worst.low, high=None if point else found.worst.high,
            p=None if point else region.p(tests),
            method="point value, no interval" if point else found.worst.method,
        )  # fmt: skip

    def _capped(self, gate: Gate, arms: Arms) -> Assessment:
        """Return the assessment of the capped mean, back on the metric's own scale."""
        metric, limit = arms.candidate.metric, gate.limit or 0.0
        table = capped_values(arms.candidate, gate.cap or 0.0, limit, upper=self.upper)
        found = assess(table, alpha=gate.alpha, null=ratio_at(metric, limit), seed=arms.seed, resamples=arms.resamples)
        back = partial(value_of, metric)
        own, worst = found.estimate, found.worst
        ends = [back(worst.low), back(worst.high)]
        if own.unscored:  # the good end is not bounded, so that what was not scored could be anything there
            ends[0 if self.upper else 1] = None
        return Assessment(
            estimate=replace(own, value=back(own.value), low=back(own.low), high=back(own.high), worst_case=None),
            worst=replace(worst, low=ends[0], high=ends[1], spread=None), obstacle=found.obstacle,
            worst_values=(back(found.worst_values[0]), back(found.worst_values[1])),
        )  # fmt: skip

    def limits(self, gate: Gate, metric: Metric, *, passed: bool) -> str:
        """Return the value's place in a sentence, such as `within the limit of 5 %`."""
        limit = limit_text(metric, gate.limit or 0.0)
        return f"{self.side} the {self.what} of {limit}" if passed else f"against a {self.what} of {limit}"

    def _text(self, gate: Gate, arms: Arms, found: Assessment, status: Status, labelled: Estimate) -> str:
        metric, value = arms.candidate.metric, found.estimate
        if value.value is None:
            return f"{gate.metric} has no value: {found.obstacle}"
        side = self.limits(gate, metric, passed=status == "passed")
        missing = "" if gate.cap is None else f", each text counted {'up' if self.upper else 'down'} to {gate.cap:g}"
        bounded = gate.cap is not None or bounds_of(metric) is not None
        missing += unscored_text(value.unscored, value.n, bounded=bounded)
        if gate.evidence == "point":
            return f"{gate.metric} is {amount(metric, value.value)}{missing}, {side} (point value, no interval)"
        text = (
            f"{gate.metric} is {amount(metric, value.value)} {bounds_text(metric, found.worst.low, found.worst.high)}"
        )
        if gate.corrected:
            missing = f", corrected for its labeller's errors ({amount(metric, labelled.value)} as labelled)" + missing
        text += f"{missing}, {side}" if missing or status == "passed" else f" {side}"
        if not arms.advises or status != "inconclusive":
            return text
        advice = self._advice(gate, metric, found, labelled, clustered=arms.candidate.clustered)
        return f"{text}; {advice}" if advice else text

    def _advice(self, gate: Gate, metric: Metric, found: Assessment, labelled: Estimate, *, clustered: bool) -> str:
        """Return how many samples would decide about the limit, or what else would."""
        estimate = found.estimate
        if advice := found.obstacle or too_small(self.fewest(gate, metric), estimate.n, self.ideal):
            return advice
        value, low, high = estimate.value, estimate.low, estimate.high
        if value is None:
            return ""
        region = self.region(gate, metric)
        if estimate.unscored and region.status(low, high, strict=False) != "inconclusive":
            return "the unscored samples alone keep it open: see why they could not be scored"
        if low is None or high is None:
            return estimate.note
        shares = metric_kind(metric).shares
        note = ""
        if shares and not clustered:
            counted = labelled.value if gate.corrected and labelled.value is not None else value
            needed = self.samples(gate, metric, Outlook(value=counted, counted=True))
            if gate.corrected and not needed:
                note = "; labelling more replies by hand would, since it tells how often the labeller is right"
        else:
            line = min(region.ends, key=lambda end: abs(end - value))
            scores = score_range(metric) or (value, value)
            outlook = outlook_of_run(gate, found.worst.spread, (value, low, high), estimate.n, scores, line)
            needed = self.samples(gate, metric, outlook)
        return would_decide(needed, estimate.n, "at this rate" if shares else "at this value") + note

    def drawn(self, check: Check) -> Drawn:
        """Return the value and its limit."""
        found = check.corrected or check.estimate
        percent = found is not None and metric_kind(found).shares
        unit = "%" if percent else "" if found is None else found.unit
        return Drawn(
            value=None if found is None else found.value, region=self.region(check.gate, found), percent=percent,
            axis=check.gate.metric, unit=unit,
        )  # fmt: skip
