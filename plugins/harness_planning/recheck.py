"""Checks a stored run's gates again, without the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import Check, Gate, InputError, OverallStatus, RunRecord, worst_status
from harness.api.stats import conditions, find_metric, of_each
from harness.api.workspace import StoredRun, checks, checks_as_calibrated, open_run, precision_checker

if TYPE_CHECKING:
    from harness.api.workspace import Registries, Workspace


@dataclass(frozen=True, kw_only=True)
class Recheck:
    """The gates' verdicts on a stored run."""

    record: RunRecord
    checks: tuple[Check, ...]
    exploratory: bool
    """Whether the gates are others than those that the run was made under: such a result cannot promote."""
    notes: tuple[str, ...]

    @property
    def status(self) -> OverallStatus:
        """The worst of the checks."""
        return worst_status(check.status for check in self.checks)


def recheck(workspace: Workspace, registries: Registries, run: str, *, gates: Sequence[Gate] | None = None) -> Recheck:
    """Check gates on a stored run, against the baselines' runs that it names.

    Args:
        workspace: that holds the run.
        registries: whose metrics are used.
        run: an id, the unique beginning of one, or `latest`.
        gates: None checks those that the run was made under.

    Raises:
        InputError: when there are no gates, a gate names what the run did not measure, or compares with what the run
            was not compared with.
        BrokenRunError: when a file of a run is not what it was.
    """
    own = open_run(workspace, registries, run)
    before = tuple(check.gate for check in own.record.checks)
    chosen = before if gates is None else tuple(gates)
    if not chosen:
        raise InputError(
            f"the run {own.record.id} was made without gates", hint="name some with --suite FILE or --policy NAME"
        )
    chosen = tuple(gate for one in chosen for gate in of_each(one, list(own.metrics.values())))
    if conditions(chosen) == conditions(before):
        chosen = before  # the same gates, at the level of the attempt for which the run was made
    for gate in chosen:
        find_metric(gate.metric, own.metrics.values())
    others = {
        name: _baseline(workspace, registries, own, name, before)
        for name in sorted({name for gate in chosen for name in gate.arms})
    }
    tables, seed = {name: other.tables for name, other in others.items()}, own.record.seed
    verdicts = checks(chosen, own.tables, tables, seed=seed, device=own.record.environment.get("device", ""))
    verdicts = precision_checker().verdicts(verdicts, own.record.precision, own.tables, tables, seed=seed)
    verdicts = checks_as_calibrated(verdicts, own.metrics, own.labellers)
    notes = (*own.notes, *(note for other in others.values() if other is not own for note in other.notes))
    return Recheck(record=own.record, checks=verdicts, exploratory=chosen != before, notes=tuple(dict.fromkeys(notes)))


def _baseline(
    workspace: Workspace, registries: Registries, own: StoredRun, name: str, before: Sequence[Gate]
) -> StoredRun:
    other = own.record.baseline_runs.get(name)
    if other is not None:
        return open_run(workspace, registries, other)
    if any(name in gate.arms for gate in before):
        return own  # the candidate was its own baseline
    known = ", ".join(sorted(own.record.baseline_runs)) or "nothing"
    raise InputError(
        f"the run {own.record.id} was compared with {known}, not with {name!r}",
        hint="run the suite again with that gate",
    )
