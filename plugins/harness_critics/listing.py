"""Which principles are scored by admitted critics, and why the others are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import Admission, RunOptions
from harness.api.asking import make_panel
from harness.api.calibrations import admission_problem, labeller_of
from harness.api.stats import youden_bound
from harness.api.workspace import Constitutions
from harness_critics.calibrating import suite_options
from harness_critics.labels import held_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import CriticCalibration, Principle, Session

MOST_LABELS = 1000
"""Of each side; who needs more has a critic that is too weak."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What is known of the critics of one principle."""

    constitution: str
    principle: str
    critics: tuple[str, ...]
    labels: tuple[int, int]
    """(violations, others) among the labelled replies that ship for it."""
    admitted: bool
    why: str
    """Why it is not admitted; empty where it is."""
    calibration: str = ""
    """ID of the one that says so; empty without one."""


def listed(
    session: Session, constitutions: Sequence[str], calibrations: Sequence[CriticCalibration],
    *, suite: str | None = None, judge: str | None = None, roles: Sequence[str] = (),
) -> list[Listed]:  # fmt: skip
    """Tell of each principle whether what would judge by it now is admitted; nobody is asked.

    Args:
        session: where.
        constitutions: names or files.
        calibrations: that the workspace keeps.
        suite: a name or a file, whose options of critics and roles hold.
        judge: reference of the judge.
        roles: `ROLE=REF`, as for `run`.

    Raises:
        InputError: for names that nothing answers to.
    """
    registries = session.require_plugins().registries
    known, found = Constitutions(registries, session.options.folder), []
    of_suite = suite_options(session, suite)
    for name in constitutions:
        rules = known.record(name)
        panel = make_panel(rules.principles, registries, session.context, of_suite.panel)
        try:
            with session.judging(RunOptions.of(judge=judge, roles=tuple(roles)), own=of_suite.roles) as asking:
                fingerprints = panel.fingerprints(asking(panel))
        finally:
            panel.close()
        named = f"--constitution {name}{f' --suite {suite}' if suite else ''}"
        found += [
            _listed(rules.id, one, labeller_of(one, fingerprints), calibrations, named) for one in rules.principles
        ]
    return found


def _listed(
    constitution: str, principle: Principle, labeller: str, calibrations: Sequence[CriticCalibration], named: str
) -> Listed:  # fmt: skip
    ours = [one for one in calibrations if one.principle == principle.id]
    now = [one for one in ours if one.labeller == labeller]
    newest = max(now, key=lambda one: one.created, default=None)
    labels = held_out(principle.id)
    sides = [row.follows for row in labels.rows] if labels is not None else []
    command = f"harness critic calibrate {named} --principle {principle.id}{'' if sides else ' --data FILE'}"
    if newest is not None:
        why = why_not(newest.sensitivity, newest.specificity, Admission())
    elif ours:
        why = f"critics, judge or principle have changed since it was calibrated: {command}"
    else:
        why = f"never calibrated here: {command}"
    return Listed(
        constitution=constitution, principle=principle.id, critics=principle.critics,
        labels=(sides.count(False), sides.count(True)), admitted=not why, why=why,
        calibration="" if newest is None else newest.id,
    )  # fmt: skip


def why_not(sensitivity: tuple[int, int], specificity: tuple[int, int], admission: Admission) -> str:
    """Say whether labels are missing or the critic is too weak; empty where it is admitted.

    Args:
        sensitivity: (found, all) of the violations.
        specificity: (let through, all) of the others.
        admission: what must be shown.
    """
    if not admission_problem(sensitivity, specificity, admission):
        return ""
    counted = f"{sensitivity[1]} + {specificity[1]}"
    if sensitivity[1] < admission.positives or specificity[1] < admission.negatives:
        return f"too few labels: {counted}, and admission asks for {admission.positives} + {admission.negatives}"
    needed = labels_needed(sensitivity, specificity, admission)
    bound = f"Se + Sp − 1 at least {youden_bound(sensitivity, specificity):.2f}"
    if needed is None:
        return f"too weak: {bound}, and more labels at these rates would not make it {admission.youden:g}"
    return f"too few labels: {bound}; {needed} + {needed} labels at these rates would make it {admission.youden:g}"


def labels_needed(sensitivity: tuple[int, int], specificity: tuple[int, int], admission: Admission) -> int | None:
    """Return how many labels of each side would admit a critic at the rates counted, in tens; None where none would."""
    (found, violations), (spared, others) = sensitivity, specificity
    if not violations or not others:
        return max(admission.positives, admission.negatives)
    for n in range(10 * -(-max(admission.positives, admission.negatives) // 10), MOST_LABELS + 1, 10):
        counts = (round(n * found / violations), n), (round(n * spared / others), n)
        if not admission_problem(*counts, admission):
            return n
    return None
