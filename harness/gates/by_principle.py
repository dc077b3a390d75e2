"""Gates that ask the same of each principle: one gate in a file, one check for each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.contracts import Metric
    from harness.types import Gate


def of_each(
    gate: Gate, metrics: Sequence[Metric], *, file: Path | str | None = None, line: int | None = None,
    key: str | None = None,
) -> tuple[Gate, ...]:  # fmt: skip
    """Return one gate for each principle where the gate says `each: principle`, and else the gate itself.

    A gate on `adherence` becomes gates on the metrics `adherence.<principle>`; one that was spread before stays.

    Raises:
        InputError: for a metric that has no values by principle.
    """
    if gate.each is None:
        return (gate,)
    parts = {metric.name for metric in metrics if metric.about_principle is not None}
    if gate.metric in parts:
        return (gate,)
    # In the order of the suite's metrics, which a set would lose.
    chosen = [m.name for m in metrics if m.name in parts and m.name == f"{gate.metric}.{m.about_principle}"]
    if not chosen:
        raise InputError(
            f"nothing measures {gate.metric} by principle, so that `each: principle` names nothing",
            file=file, line=line, key=key, hint="name the metric as its parts begin, such as adherence",
        )  # fmt: skip
    return tuple(replace(gate, metric=name) for name in chosen)


def as_written(gates: Sequence[Gate]) -> tuple[Gate, ...]:
    """Return gates as their file has them: those that `of_each` spread are one again."""
    found: list[Gate] = []
    for gate in gates:
        whole = gate if gate.each is None else replace(gate, metric=gate.metric.rpartition(".")[0] or gate.metric)
        if gate.each is None or not found or found[-1] != whole:
            found.append(whole)
    return tuple(found)


def conditions(gates: Sequence[Gate]) -> tuple[Gate, ...]:
    """Return the gates without their level, which is the attempt's."""
    return tuple(replace(gate, alpha=0.0) for gate in gates)
