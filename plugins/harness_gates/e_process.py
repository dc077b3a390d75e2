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
from typing import TYPE_CHECKING

import numpy as np

from harness.api.gates import (
    Correction,
    Finding,
    amount,
    bounds_text,
    change,
    check_differences,
    check_value,
    limit_text,
    points_text,
)
from harness.api.stats import gate_kind, metric_kind, pair, score_range

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from harness.api import Check, Gate, Metric
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
        if not kind.compares:
            return check_value(gate, arms, _look(gate, kind, table), METHOD)
        return check_differences(
            gate, kind, arms, lambda to, margin: _look(gate, kind, table, (to, arms.others[to], margin)), METHOD
        )


def _range(metric: Metric) -> tuple[float, float] | None:
    """Return the least and the greatest score; None where there is none."""
    return (0.0, 1.0) if metric_kind(metric).shares else score_range(metric)


def _look(
    gate: Gate, kind: GateKind, table: MetricTable, against: tuple[str, MetricTable, float] | None = None
) -> Finding:
    """Return what the samples say against a gate's region, of the value or against an arm with a margin."""
    to, other, margin = against or (None, None, 0.0)
    about = f"{gate.metric}: " if other is None else f"{gate.metric} against {to}: "
    least, greatest = _range(table.metric) or (0.0, 1.0)
    columns = _scores(table) if other is None else _differences(table, other)
    if other is not None:
        least, greatest = least - greatest, greatest - least
    if columns is None:
        return Finding(
            sentence=f"{about}an e-process is for samples that weigh the same and stand alone, without clusters"
        )
    worst, best = columns  # NaN is unscored
    n = len(worst)
    if not n:
        return Finding(sentence=f"{about}no sample is in its denominator")
    unscored = int(np.isnan(worst).sum())
    scale = greatest - least
    downs = np.where(np.isnan(worst), 0.0, np.clip((worst - least) / scale, 0.0, 1.0))
    ups = np.where(np.isnan(best), 0.0, np.clip((greatest - best) / scale, 0.0, 1.0))  # mirrored
    low, high = least + scale * lower_bound(downs, gate.alpha), greatest - scale * lower_bound(ups, gate.alpha)

    def p(values: NDArray[np.float64], mean: float) -> float:
        return 1.0 if mean >= 1.0 else 0.0 if mean <= 0.0 else min(1.0, math.exp(-log_wealth(values, mean)))

    region = kind.region(gate, table.metric, to)
    tests: dict[float, tuple[float | None, float | None]] = {
        line: (p(downs, (line - least) / scale), p(ups, (greatest - line) / scale)) for line in region.ends
    }
    known = worst[~np.isnan(worst)]
    if not len(known):
        return Finding(sentence=f"{about}no sample could be scored", low=low, high=high, p=region.p(tests))
    value = float(known.mean())
    bounds = bounds_text(table.metric, low, high)
    if other is None:
        text = f"{gate.metric} is {amount(table.metric, value)} {bounds}"
        text += f" against {kind.name} {limit_text(table.metric, gate.limit or 0.0)}"
    else:
        within = f", with a margin of {points_text(table.metric, margin)}" if margin else ""
        text = f"{about}{change(table.metric, value)} {bounds}{within}"
    lost = f", {unscored} of them unscored" if unscored else ""
    return Finding(
        sentence=f"{text}, by an e-process on {n} samples{lost}, at any number of looks", value=value, low=low,
        high=high, p=region.p(tests), status=region.status(low, high, strict=kind.strict),
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
