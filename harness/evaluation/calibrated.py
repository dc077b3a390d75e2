"""Whether a calibration is about what labelled a run: counts of one judge's errors say nothing of another judge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.gates.kinds import kind_of
from harness.hashing import sha256_json
from harness.serial import to_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.contracts import Metric
    from harness.types import Check, Gate, Principle, RunRecord

_DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class Labellers:
    """What labelled a run's replies."""

    principles: Mapping[str, Principle]
    critics: Mapping[str, str]
    """Whole fingerprint by critic: its code, prompts and options, its classifiers, and the judge with its adapters."""
    classifiers: Mapping[str, str]
    """Fingerprint by classifier."""

    @classmethod
    def of(cls, principles: Iterable[Principle], run: RunRecord) -> Labellers:
        """Return those of a run, whose principles are not in its record."""
        return cls(
            principles={principle.id: principle for principle in principles}, critics=run.critics,
            classifiers={status.name: status.fingerprint for status in run.classifiers},
        )  # fmt: skip

    def name(self, metric: Metric) -> str | None:
        """Return `sha256:` and the first digits of the hash of what labels for a metric; None where that is its plugin.

        A principle is its rule, critics, way to combine them, threshold and tags: not its weight or examples.
        """
        principle = self.principles.get(metric.about_principle or "")
        if principle is not None:
            rule = {key: value for key, value in to_plain(principle).items() if key not in _NO_PART}
            parts: list[object] = [rule, {name: self.critics.get(name) for name in principle.critics}]
        elif metric.classifiers:
            parts = [metric.labeller, {name: self.classifiers.get(name) for name in metric.classifiers}]
        else:
            return metric.labeller or None
        return f"sha256:{sha256_json(parts)[:_DIGITS]}"


_NO_PART = {"weight", "critique", "revise", "examples"}


def checks_as_calibrated(
    checks: Iterable[Check], metrics: Mapping[str, Metric], labellers: Labellers
) -> tuple[Check, ...]:
    """Return the checks; one that rests on the calibration of something else is inconclusive."""
    return tuple(_checked(check, metrics[check.gate.metric], labellers) for check in checks)


def _checked(check: Check, metric: Metric, labellers: Labellers) -> Check:
    if check.status == "not_applicable" or metric.calibration is None or not _rests_on_it(check.gate, metric):
        return check
    here, counted = labellers.name(metric), metric.calibration.of
    if here in {None, counted}:
        return check
    made = f"was counted for {counted}" if counted else "does not say what it was counted for"
    text = (
        f"{check.sentence.removeprefix(f'{check.status}: ')}, but the calibration of {metric.name} {made}, and {here} "
        f"judged here: count again how often that is right, and write `of: {here}` beside the counts"
    )
    return replace(check, status="inconclusive", sentence=f"inconclusive: {text}")


def _rests_on_it(gate: Gate, metric: Metric) -> bool:
    return not kind_of(gate).of_the_run and (gate.corrected or metric.about_principle is not None)
