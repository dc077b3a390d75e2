"""Numbers of a check as people read them, and the next step where nothing was decided."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.stats.kinds import kind_of

if TYPE_CHECKING:
    from harness.contracts import Metric


def number(value: float) -> str:
    """Return a number with three significant digits, and with separators from 1,000 on."""
    if value != 0 and abs(value) < 1e-4:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def _alike(low: float, high: float) -> tuple[str, str]:
    """Return both ends of an interval with as many decimals as its width deserves: two digits of it."""
    width = high - low
    if width <= 0 or width < 1e-4:
        return number(low), number(high)
    decimals = max(0, 1 - math.floor(math.log10(width)))
    return f"{low:,.{decimals}f}", f"{high:,.{decimals}f}"


def _scaled(metric: Metric, value: float) -> str:
    """Return the number without its unit; shares as percent with one decimal."""
    return f"{100 * value:.1f}" if kind_of(metric).shares else number(value)


def _unit(metric: Metric) -> str:
    if kind_of(metric).shares:
        return " %"
    return f" {metric.unit}" if metric.unit else ""


def amount(metric: Metric, value: float | None) -> str:
    """Return a value with its unit; shares as percent."""
    return "unknown" if value is None else f"{_scaled(metric, value)}{_unit(metric)}"


def limit_text(metric: Metric, value: float) -> str:
    """Return a limit with its unit, without decimals that nobody wrote."""
    return f"{100 * value:g} %" if kind_of(metric).shares else f"{value:,.10g}{_unit(metric)}"


def points_text(metric: Metric, value: float) -> str:
    """Return a margin with its unit, without decimals that nobody wrote; of shares in points."""
    return limit_text(metric, value).replace(" %", " points")


def change(metric: Metric, value: float | None) -> str:
    """Return a difference with its sign; of shares in percentage points."""
    if value is None:
        return "unknown"
    text = _scaled(metric, value)
    sign = "" if text.startswith("-") else "+"
    return f"{sign}{text} points" if kind_of(metric).shares else f"{sign}{text}{_unit(metric)}"


def bounds_text(metric: Metric, low: float | None, high: float | None) -> str:
    """Return an interval in brackets; an open end where nothing bounds it."""
    if low is None and high is None:
        return "without bounds"
    if not kind_of(metric).shares and low is not None and high is not None:
        return f"[{', '.join(_alike(low, high))}]"
    ends = [("-∞" if low is None else _scaled(metric, low)), ("∞" if high is None else _scaled(metric, high))]
    return f"[{', '.join(ends)}]"
