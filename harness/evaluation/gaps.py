"""Why metrics lack numbers: the reasons that stand behind unscored samples, and metrics that no sample is for."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from harness.types import NotApplicable, Unscored

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.stats.table import MetricTable
    from harness.types import Estimate

_NAMES = 4
_REASONS = 3


def gap_notes(tables: Mapping[str, MetricTable], estimates: Iterable[Estimate]) -> tuple[str, ...]:
    """Return a sentence for each set of metrics that lack numbers for the same reasons, in the order of the metrics.

    Args:
        tables: by metric.
        estimates: of these tables; only the rows of those that lack numbers are read.
    """
    unscored: dict[str, list[str]] = defaultdict(list)
    unasked: dict[int, dict[str, str]] = defaultdict(dict)
    for estimate in estimates:
        table = tables.get(estimate.metric)
        if table is None:
            continue
        if estimate.unscored:
            some = "all" if estimate.unscored == estimate.n else f"{estimate.unscored} of {estimate.n}"
            told = f"{some} samples are unscored: {_reasons(table.rows, Unscored)}"
            unscored[told].append(estimate.metric)
        elif estimate.n == 0 and len(table.rows):
            unasked[len(table.rows)][estimate.metric] = _reasons(table.rows, NotApplicable)
    notes = [f"{_names(names)}: {told}" for told, names in unscored.items()]
    for count, reasons in unasked.items():
        reason = f": {next(iter(reasons.values()))}" if len(set(reasons.values())) == 1 else ""
        notes.append(f"{_names(list(reasons))}: applies to none of the {count} samples{reason}")
    return tuple(notes)


def _reasons(rows: Iterable[object], kind: type[Unscored | NotApplicable]) -> str:
    counted = Counter(row.reason for row in rows if isinstance(row, kind))
    if len(counted) == 1:
        return next(iter(counted))
    parts = [f"{reason} ({count})" for reason, count in counted.most_common(_REASONS)]
    return "; ".join(parts) + ("; …" if len(counted) > _REASONS else "")


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMES
    return ", ".join(names[:_NAMES]) + (f" and {more} more" if more > 0 else "")
