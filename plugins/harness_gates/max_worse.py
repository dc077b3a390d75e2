"""`max_worse`: at most such a share of all texts may be worse than a baseline's by more than so much.

The exact companion of a gate on an unbounded mean, which no sample can hold whatever its distribution is (see
`harness.stats.procedures`): a text is worse or it is not, and Clopper and Pearson's bound of the share holds for every
distribution.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from harness.api import Check, Metric, NotApplicable, Unscored
from harness.api.gates import (
    Arms,
    Drawn,
    GateKind,
    Problem,
    Region,
    Scatter,
    Write,
    points_text,
)
from harness.api.stats import MetricTable, assess, binomial_power, metric_kind, pair
from harness_gates.comparison import ToSection
from harness_gates.outlooks import farthest, fewest_within, unscored_text, would_decide
from harness_gates.power import proportion_samples

if TYPE_CHECKING:
    from harness.api import Estimate, Gate, Row

_LOST = Unscored(reason="not scored in both runs")


class MaxWorseSection(ToSection):
    """At most the share `share` of all texts is worse by more than `by`."""

    by: Annotated[float, Field(gt=0)]
    share: Annotated[float, Field(gt=0, lt=1)]


class _Worse(Metric):
    """Row: (1 where the text is worse by more than the gate allows, 1)."""

    kind, direction, bounds, unit = "proportion", "lower", (0.0, 1.0), "share"

    def __init__(self, metric: Metric) -> None:
        self.name = metric.name


class MaxWorse(GateKind):
    """A share of the texts; `limit` is the share, `margin` what a text may lose."""

    name = "max_worse"
    keys = MaxWorseSection
    compares = True
    of_texts = True
    ideal = "no text that is worse"

    def fields(self, given: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return share, what a text may lose, and what is compared with."""
        return {"to": given.to, "margin": given.by, "limit": given.share}

    def arms(self, gate: Gate) -> tuple[tuple[str, float], ...]:
        """Return what it compares with."""
        return ((gate.to or "promoted", gate.margin or 0.0),)

    def describe(self, gate: Gate) -> str:
        """Return the condition as its file says it."""
        return f"max_worse to {gate.to or 'promoted'} by {gate.margin:g} in {gate.limit:g} of the texts"

    def condition(self, gate: Gate, write: Write) -> str:
        """Return the gate as a condition for tables."""
        return (
            f"{gate.metric} worse than {gate.to} by {write(gate.margin)} in ≤ {100 * (gate.limit or 0.0):g} % of texts"
        )

    def problem(self, gate: Gate, metric: Metric) -> Problem | None:
        """Return what makes no sense about it on this metric."""
        if metric.direction == "neither":
            return f"{metric.name} has no better direction, so that no text is worse", "remove the gate"
        if not metric_kind(metric).summed:
            return f"{metric.name} has no value for each text", "gate a metric that has one, such as bits_per_byte"
        if gate.cap is not None or gate.evidence == "point":
            return "max_worse counts texts exactly, without `cap` and `evidence: point`", "remove them"
        return None

    def region(self, gate: Gate, measured: Metric | Estimate | None = None, to: str | None = None) -> Region:  # noqa: ARG002
        """Return all shares up to the limit."""
        return Region(greatest=gate.limit or 0.0)

    def fewest(self, gate: Gate, metric: Metric) -> int | None:  # noqa: ARG002
        """Return the fewest texts, none of them worse."""
        return fewest_within(gate.limit or 0.0, gate.alpha)

    def detectable(self, gate: Gate, metric: Metric, n: int, scatter: Scatter, power: float) -> float | None:  # noqa: ARG002
        """Return how far below the limit the share must be."""
        limit = gate.limit or 0.0
        return farthest(0.0, limit, lambda share: binomial_power(share, limit, n, gate.alpha) >= power)

    def check(self, gate: Gate, arms: Arms) -> Check:
        """Return the verdict on the share."""
        to, by, limit = gate.to or "promoted", gate.margin or 0.0, gate.limit or 0.0
        metric = arms.candidate.metric
        found = assess(worse(arms.candidate, arms.others[to], by), alpha=gate.alpha, null=limit, seed=arms.seed)
        own = assess(arms.candidate, alpha=gate.alpha, seed=arms.seed, resamples=arms.resamples).estimate
        its = assess(arms.others[to], alpha=gate.alpha, seed=arms.seed, resamples=arms.resamples).estimate
        low, high, value = found.worst.low, found.worst.high, found.estimate.value
        region = self.region(gate)
        status = "inconclusive" if found.obstacle else region.status(low, high, strict=self.strict)
        text = f"{gate.metric} has no text in both runs: {found.obstacle}"
        if value is not None and low is not None and high is not None:
            n = found.estimate.n
            missing = unscored_text(found.estimate.unscored, n, bounded=True)
            side = "within" if status == "passed" else "against"
            text = (
                f"{100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}] of {n} texts are worse in {gate.metric} than "
                f"{to} by more than {points_text(metric, by)}{missing}, "
                f"{side} a limit of {100 * limit:g} %"
            )
            if arms.advises and status == "inconclusive":
                needed = proportion_samples(value, limit, gate.alpha)
                text += f"; {found.obstacle or would_decide(needed, n, 'at this share')}"
        return Check(
            gate=gate, status=status, sentence=f"{status}: {text}", estimate=own, baseline=its, difference=value,
            low=low, high=high, p=found.worst.p_below, method=found.worst.method,
        )  # fmt: skip

    def drawn(self, check: Check) -> Drawn:
        """Return the share of the texts."""
        return Drawn(
            value=check.difference, region=self.region(check.gate), percent=True, unit="%",
            axis=f"{check.gate.metric}: texts that are worse than {check.gate.to}",
        )  # fmt: skip


def worse(candidate: MetricTable, baseline: MetricTable, by: float) -> MetricTable:
    """Return whether each text is worse than the baseline's by more than `by`; unscored where either side is."""
    metric, first, second = candidate.metric, *pair(candidate, baseline)
    sign = -1.0 if metric.direction == "higher" else 1.0
    rows: list[Row | Unscored | NotApplicable] = [NotApplicable(reason="in neither run")] * len(candidate.ids)
    for own, its in zip(first.tolist(), second.tolist(), strict=True):
        mine, theirs = candidate.rows[own], baseline.rows[its]
        rows[own] = _LOST
        if isinstance(mine, tuple) and isinstance(theirs, tuple):
            with np.errstate(all="ignore"):
                apart = sign * float(metric.estimate(np.array(mine)) - metric.estimate(np.array(theirs)))
            rows[own] = _LOST if math.isnan(apart) else (1.0 if apart > by else 0.0, 1.0)
    return MetricTable(
        metric=_Worse(metric), ids=candidate.ids, content_hashes=candidate.content_hashes,
        clusters=candidate.clusters, rows=tuple(rows),
    )  # fmt: skip
