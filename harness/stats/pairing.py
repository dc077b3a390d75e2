"""Which samples of two runs belong together: those of equal id and equal content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from harness.stats.table import MetricTable

_SHOWN = 5


def pair(candidate: MetricTable, baseline: MetricTable) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions in each table of the samples that are in the denominator of either.

    Raises:
        InputError: where the tables are of different metrics, or their samples differ; it names some that do.
    """
    name = candidate.metric.name
    if name != baseline.metric.name or candidate.metric.kind != baseline.metric.kind:
        raise InputError(f"cannot compare {name} with {baseline.metric.name}: they are different metrics")
    place = {sample: i for i, sample in enumerate(baseline.ids)}
    only_candidate = [sample for sample in candidate.ids if sample not in place]
    known = set(candidate.ids)
    only_baseline = [sample for sample in baseline.ids if sample not in known]
    if only_candidate or only_baseline:
        parts = []
        if only_candidate:
            parts.append(f"{len(only_candidate)} are only in the candidate's run ({_some(only_candidate)})")
        if only_baseline:
            parts.append(f"{len(only_baseline)} are only in the baseline's run ({_some(only_baseline)})")
        raise InputError(
            f"the two runs do not hold the same samples: {' and '.join(parts)}",
            hint="run both with the same suite and the same --limit and --seed",
        )
    second = np.array([place[sample] for sample in candidate.ids], dtype=np.int64)
    changed = [
        sample for i, sample in enumerate(candidate.ids)
        if candidate.content_hashes[i] != baseline.content_hashes[second[i]]
    ]  # fmt: skip
    if changed:
        raise InputError(
            f"{len(changed)} samples have the same id but different content in the two runs ({_some(changed)})",
            hint="run the baseline again on the suite as it is now",
        )
    applies = set(candidate.applicable.tolist())
    also = set(baseline.applicable.tolist())
    first = np.array([i for i in range(len(second)) if i in applies or int(second[i]) in also], dtype=np.int64)
    return first, second[first]


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_SHOWN]) + (", …" if len(listed) > _SHOWN else "")
