"""Gates by an e-process: a verdict that holds however many looks there are, and whenever somebody stops.

I. Waudby-Smith and A. Ramdas, Estimating means of bounded random variables by betting, Journal of the Royal Statistical
Society B 86 (2024) 1–27. Whoever bets at each sample x, in [0, 1], that the mean is above m has the wealth
Π (1 + λ (x − m)) after all of them, with a fixed λ in [0, 1 / m]. If the mean is at most m, the wealth is not expected
to grow, and neither is the average over several λ. By Ville's inequality (1939) it ever reaches 1 / α with a chance of
at most α, at whichever look. Here λ = c / m for 16 values of c, spaced evenly by their logarithm (section 4.4 there).
The product does not depend on the order of the samples, so that each look need only hold the samples of the one before.

The price is a wider interval than that of a single look at a stated size. Values that the samples do not refute at
level α are a confidence sequence. Paired differences are shifted and scaled to [0, 1]. An unscored sample is the worst
that it can be for each bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from harness.api import AnchorCheck, Check, worst_status
from harness.api.gates import Correction, amount, bounds_text, change, limit_text, points_text
from harness.api.stats import estimate, gate_kind, metric_kind, pair, score_range

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from harness.api import Gate, Metric, Status
    from harness.api.gates import Arms, GateKind, Problem
    from harness.api.stats import MetricTable
    from harness.api.workspace import Workspace

NAME = "e_process"
METHOD = "e-process by betting"
_SHARES = np.geomspace(0.01, 0.99, 16)
_HALVINGS = 45


def log_wealth(values: NDArray[np.float64], mean: float) -> float:
    """Return the logarithm of the wealth against "the mean is at most `mean`".

    Args:
        values: in [0, 1], shape (n,).
        mean: in (0, 1].
    """
    points, counts = np.unique(values, return_counts=True)  # shares have two values, or three
    each = counts @ np.log1p(_SHARES[None, :] * (points[:, None] / mean - 1.0))
    top = float(each.max())
    return top + math.log(float(np.exp(each - top).mean()))


def lower_bound(values: NDArray[np.float64], alpha: float) -> float:
    """Return the smallest mean, in [0, 1], that the values do not refute at one-sided level `alpha`."""
    low, high = 0.0, float(values.mean()) if len(values) else 0.0
    for _ in range(_HALVINGS if high > 0.0 else 0):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if log_wealth(values, middle) >= -math.log(alpha) else (low, middle)
    return low


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What the samples say of a value or a difference."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    status: Status = "inconclusive"
    obstacle: str = ""
    n: int = 0
    unscored: int = 0


class EProcess(Correction):
    """A verdict at any number of looks; YAML asks for it with `correction: e_process`."""

    name = "at any look"
    by_people = False
    at_any_look = True

    def problem(self, gate: Gate, metric: Metric) -> Problem | None:
        """Return why a gate has no e-process, or None."""
        if gate.evidence == "point" or gate.corrected or gate.cap is not None:
            return "correction: e_process is for bounds, without `corrected` and `cap`", "keep one of them"
        kind = metric_kind(metric)
        if gate_kind(gate).of_the_run or gate_kind(gate).of_texts or not kind.per_sample or _range(metric) is None:
            return (
                f"correction: e_process is for shares and means of scores with a range, and {metric.name} is none",
                "remove it",
            )
        return None

    def evidence(
        self, tables: Mapping[str, MetricTable], gates: Iterable[Gate], workspace: Workspace  # noqa: ARG002
    ) -> Mapping[str, MetricTable]:  # fmt: skip
        """Return the tables as they are."""
        return tables

    def check(self, gate: Gate, kind: GateKind, arms: Arms) -> Check:
        """Return the verdict on a run."""
        table = arms.candidate
        own = estimate(table, confidence=1 - 2 * gate.alpha, seed=arms.seed, resamples=arms.resamples)
        if not kind.compares:
            found = _look(gate, kind, table, None, "")
            text = _text(gate, kind, table.metric, found)
            return Check(
                gate=gate, status=found.status, sentence=f"{found.status}: {text}", estimate=own, low=found.low,
                high=found.high, p=found.p, method=METHOD,
            )  # fmt: skip
        parts = [(to, margin, _look(gate, kind, table, arms.others[to], to)) for to, margin in kind.arms(gate)]
        status = cast("Status", worst_status(found.status for _, _, found in parts))
        said = "; ".join(_difference_text(table.metric, *part) for part in parts)
        kept = [
            AnchorCheck(
                status=found.status, baseline=estimate(arms.others[to], confidence=1 - 2 * gate.alpha, seed=arms.seed),
                difference=found.value, low=found.low, high=found.high, p=found.p, method=METHOD,
            )
            for to, _, found in parts
        ]  # fmt: skip
        known = [found.p for _, _, found in parts if found.p is not None]
        return Check(
            gate=gate, status=status, sentence=f"{status}: {said}", estimate=own, baseline=kept[0].baseline,
            difference=kept[0].difference, low=kept[0].low, high=kept[0].high, method=METHOD,
            p=max(known) if len(known) == len(parts) else None, anchor=kept[1] if len(kept) > 1 else None,
        )  # fmt: skip


def _range(metric: Metric) -> tuple[float, float] | None:
    """Return the least and the greatest score; None where there is none."""
    return (0.0, 1.0) if metric_kind(metric).shares else score_range(metric)


def _look(gate: Gate, kind: GateKind, table: MetricTable, other: MetricTable | None, to: str) -> _Found:
    """Return what the samples say against a gate's region."""
    least, greatest = _range(table.metric) or (0.0, 1.0)
    columns = _scores(table) if other is None else _differences(table, other)
    if other is not None:
        least, greatest = least - greatest, greatest - least
    if columns is None:
        return _Found(obstacle="an e-process is for samples that weigh the same and stand alone, without clusters")
    worst, best = columns  # NaN is unscored
    n = len(worst)
    if not n:
        return _Found(obstacle="no sample is in its denominator")
    unscored = int(np.isnan(worst).sum())
    scale = greatest - least
    downs = np.where(np.isnan(worst), 0.0, np.clip((worst - least) / scale, 0.0, 1.0))
    ups = np.where(np.isnan(best), 0.0, np.clip((greatest - best) / scale, 0.0, 1.0))  # mirrored
    low, high = least + scale * lower_bound(downs, gate.alpha), greatest - scale * lower_bound(ups, gate.alpha)

    def p(values: NDArray[np.float64], mean: float) -> float:
        return 1.0 if mean >= 1.0 else 0.0 if mean <= 0.0 else min(1.0, math.exp(-log_wealth(values, mean)))

    region = kind.region(gate, table.metric, to or None)
    tests: dict[float, tuple[float | None, float | None]] = {
        line: (p(downs, (line - least) / scale), p(ups, (greatest - line) / scale)) for line in region.ends
    }
    known = worst[~np.isnan(worst)]
    return _Found(
        value=float(known.mean()) if len(known) else None, low=low, high=high, p=region.p(tests),
        status=region.status(low, high, strict=kind.strict) if len(known) else "inconclusive", n=n, unscored=unscored,
        obstacle="" if len(known) else "no sample could be scored",
    )  # fmt: skip


def _column(table: MetricTable, at: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Return a score for each position, NaN where unscored; None where samples weigh differently."""
    scored = table.is_scored[at]
    rows = table.values(at[scored])
    if len(rows) and not (rows.shape[1] == 2 and (rows[:, 1] == 1.0).all()):
        return None
    found = np.full(len(at), np.nan)
    found[scored] = rows[:, 0]
    return found


def _scores(table: MetricTable) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    column = None if table.clustered else _column(table, table.applicable)
    return None if column is None else (column, column)


def _differences(
    own: MetricTable, other: MetricTable
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:  # fmt: skip
    """Return the pairs' differences as the worst and as the best that they can be."""
    first, second = pair(own, other)
    if own.clustered:
        return None
    a, b = _column(own, first), _column(other, second)
    if a is None or b is None:
        return None
    least, greatest = _range(own.metric) or (0.0, 1.0)
    lows = np.nan_to_num(a, nan=least) - np.nan_to_num(b, nan=greatest)
    highs = np.nan_to_num(a, nan=greatest) - np.nan_to_num(b, nan=least)
    either = np.isnan(a) | np.isnan(b)
    lows[either], highs[either] = np.nan, np.nan  # an unscored side makes the pair the worst, as it does elsewhere
    return lows, highs


def _text(gate: Gate, kind: GateKind, metric: Metric, found: _Found) -> str:
    if found.obstacle:
        return f"{gate.metric}: {found.obstacle}"
    text = f"{gate.metric} is {amount(metric, found.value)} {bounds_text(metric, found.low, found.high)}"
    return f"{text} against {kind.name} {limit_text(metric, gate.limit or 0.0)}{_rest(found)}"


def _difference_text(metric: Metric, to: str, margin: float, found: _Found) -> str:
    if found.obstacle or found.value is None:
        return f"{metric.name} against {to}: {found.obstacle}"
    text = f"{metric.name} against {to}: {change(metric, found.value)} {bounds_text(metric, found.low, found.high)}"
    within = f", with a margin of {points_text(metric, margin)}" if margin else ""
    return text + within + _rest(found)


def _rest(found: _Found) -> str:
    lost = f", {found.unscored} of them unscored" if found.unscored else ""
    return f", by an e-process on {found.n} samples{lost}, at any number of looks"
