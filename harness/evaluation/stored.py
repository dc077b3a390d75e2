"""A stored run's metrics and tables, built again from its folder: no model, no data file, no classifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, InputError
from harness.evaluation.calibrated import Labellers, look_up
from harness.evaluation.measure import tables
from harness.reading.suite import read_suite
from harness.stats.kinds import kind_of
from harness.stats.table import MetricTable
from harness.store.runs import SUITE_FILE, check_run, find_run, read_all_samples, read_constitutions
from harness.types import RunRecord, Unscored

if TYPE_CHECKING:
    from harness.contracts import Metric
    from harness.plugins import Registries
    from harness.reading.suite import Suite
    from harness.store.workspace import Workspace
    from harness.types import Constitution, Principle


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A run with what its numbers are made of."""

    record: RunRecord
    metrics: Mapping[str, Metric]
    """By name, in the suite's order."""
    tables: Mapping[str, MetricTable]
    labellers: Labellers
    notes: tuple[str, ...]
    """What could not be built again."""


def open_run(workspace: Workspace, registries: Registries, run: str) -> StoredRun:
    """Check a run's files against the ledger, and build its metrics from the suite and constitutions beside it.

    Raises:
        InputError: when there is no such run.
        BrokenRunError: when a file is not what it was when the run was made.
    """
    name = find_run(workspace, run)
    record = check_run(workspace, name)
    suite = read_suite(workspace.runs / name / SUITE_FILE, seed=record.seed, changes=record.settings)
    constitutions = read_constitutions(workspace, name)
    made, notes = _metrics(suite, registries, _Stored(constitutions))
    held = {metric for sample in islice(read_all_samples(workspace, name), 1) for metric in sample.rows}
    values = {estimate.metric: estimate.value for estimate in record.estimates}
    usable = [m for m in made if (m.name in values if not kind_of(m).per_sample else m.name in held)]
    left_out = sorted((held | set(values)) - {metric.name for metric in usable})
    if left_out:
        notes.append(f"of {name}, left out since the suite's own file does not measure them: {', '.join(left_out)}")
    seen = [metric for metric in usable if kind_of(metric).per_sample]
    try:
        found = tables(read_all_samples(workspace, name), seen, record.candidate, suite.ask)
    except KeyError as error:
        raise InputError(
            f"the run {name} does not hold what its metrics read: their plugin has changed since it was made",
            hint="run the suite again",
        ) from error
    for metric in usable:
        if not kind_of(metric).per_sample:
            value = values[metric.name]
            found[metric.name] = MetricTable.of_run(metric, Unscored(reason="not measured") if value is None else value)
    labellers = Labellers.of((principle for one in constitutions for principle in one.principles), record)
    look_up(usable, labellers, workspace)
    return StoredRun(
        record=record, metrics={metric.name: metric for metric in usable}, tables=found, labellers=labellers,
        notes=tuple(notes),
    )  # fmt: skip


def _metrics(suite: Suite, registries: Registries, constitutions: _Stored) -> tuple[list[Metric], list[str]]:
    """Return the suite's metrics; one that cannot be made any more becomes a note, since others may still do."""
    made: list[Metric] = []
    notes: list[str] = []
    for name, options in suite.measure:
        try:
            made += registries.metrics.get(name)(constitutions.named(options), constitutions)
        except HarnessError as error:
            notes.append(f"the metric {name} is not here any more: {error}")
    return made, notes


class _Stored(Mapping[str, "tuple[Principle, ...]"]):
    """The constitutions that judged the run, by id."""

    def __init__(self, constitutions: tuple[Constitution, ...]) -> None:
        self._known = {constitution.id: constitution.principles for constitution in constitutions}

    def named(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a metric's options with its constitution's id, where the suite gives a path or was overruled."""
        name = options.get("constitution")
        if not isinstance(name, str) or name in self._known:
            return options
        stem = PurePath(name).stem
        if stem in self._known:
            return {**options, "constitution": stem}
        return {**options, "constitution": next(iter(self._known))} if len(self._known) == 1 else options

    def __getitem__(self, name: str) -> tuple[Principle, ...]:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)
