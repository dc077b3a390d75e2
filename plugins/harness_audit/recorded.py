"""Where an audit's rows come from: the workspace's own stored runs, or rows of real runs that ship with harness.

The shipped file holds numbers alone: for each suite the cluster of every sample, and for each metric and arm its rows.
A proportion is a text with one character per sample: 1 or 0, `u` for unscored, `-` where the metric does not apply.
Other metrics are lists of rows, or `u` or `-`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.api import BrokenRunError, InputError, NotApplicable, Row, Unscored, data_dir
from harness.api.stats import metric_kind
from harness.api.workspace import Constitutions, StoredRun, list_runs, make_metrics, open_run, read_suite, resolve_suite
from harness_audit.population import BASELINE, CANDIDATE, Column, Population

if TYPE_CHECKING:
    from pathlib import Path

    from harness.api import Metric, RunRecord
    from harness.api.workspace import Registries, Workspace

_LOST, _OUTSIDE = Unscored(reason="as recorded"), NotApplicable(reason="as recorded")
_MARKS: dict[str, Row | Unscored | NotApplicable] = {"u": _LOST, "-": _OUTSIDE, "0": (0.0, 1.0), "1": (1.0, 1.0)}


def shipped_file() -> Path:
    """Return the file of rows that ships with harness."""
    return data_dir("suites") / "data" / "audit-rows.json"


def shipped(
    registries: Registries, *, pair: tuple[str, str] | None = None
) -> tuple[list[Population], Mapping[str, Any]]:
    """Return the recorded rows, one population for each suite, and how they were made.

    Args:
        registries: whose metrics read the rows.
        pair: names of the arms that stand for candidate and baseline; None is the file's first pair.

    Raises:
        BrokenRunError: when the file is not there or not what it was when it was made.
        InputError: when a suite or metric is not there any more.
    """
    path = shipped_file()
    try:
        content = json.loads(path.read_text("utf-8"))
        first, second = pair or content["pairs"][0]
        return [
            _population(name, suite, registries, (first, second)) for name, suite in content["suites"].items()
        ], content["made"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise BrokenRunError(f"{path}: the recorded rows cannot be read ({error}); install harness again") from error


def alike(registries: Registries) -> dict[str, Population]:
    """Return by suite the recorded rows of two adapters that one recipe made from two seeds, where there are any.

    Raises:
        BrokenRunError: as `shipped`.
    """
    content = json.loads(shipped_file().read_text("utf-8"))
    found: dict[str, Population] = {}
    for name, suite in content["suites"].items():
        pair = content["pairs"][1]
        rows = {metric: arms for metric, arms in suite["rows"].items() if set(pair) <= set(arms)}
        if rows:
            found[name] = _population(name, {**suite, "rows": rows}, registries, (pair[0], pair[1]))
    return found


def _population(name: str, suite: Mapping[str, Any], registries: Registries, arms: tuple[str, str]) -> Population:
    read = read_suite(resolve_suite(name, registries))
    known = {
        metric.name: metric for metric in make_metrics(read, registries, Constitutions(registries, read.path.parent))
    }
    metrics = {metric: known[metric] for metric in suite["rows"]}
    return Population(
        suite=name, metrics=metrics, clusters=np.array(suite["clusters"], dtype=np.int64),
        source=f"{arms[0]} against {arms[1]}, recorded",
        arms={
            arm: {metric: Column.of(_decoded(suite["rows"][metric][written])) for metric in metrics}
            for arm, written in zip((CANDIDATE, BASELINE), arms, strict=True)
        },
    )  # fmt: skip


def _decoded(rows: str | Sequence[Any]) -> list[Row | Unscored | NotApplicable]:
    if isinstance(rows, str):
        return [_MARKS[mark] for mark in rows]
    return [_MARKS[row] if isinstance(row, str) else tuple(float(number) for number in row) for row in rows]


def encoded(rows: Sequence[Row | Unscored | NotApplicable], *, proportion: bool) -> str | list[Any]:
    """Return rows as the shipped file writes them."""
    marks: list[Any] = []
    for row in rows:
        if isinstance(row, Unscored):
            marks.append("u")
        elif isinstance(row, NotApplicable):
            marks.append("-")
        else:
            marks.append(str(int(row[0])) if proportion else [float(f"{number:.7g}") for number in row])
    return "".join(marks) if proportion else marks


def numbered(clusters: Sequence[str | None]) -> list[int]:
    """Return clusters as numbers from 0, in order of first appearance; None is a cluster of its own."""
    known: dict[object, int] = {}
    return [known.setdefault(("alone", i) if name is None else name, len(known)) for i, name in enumerate(clusters)]


def from_workspace(workspace: Workspace, registries: Registries, run: str | None = None) -> list[Population]:
    """Return rows of stored runs: of each suite the newest run that was compared with another, and that other.

    Args:
        workspace: whose runs.
        registries: whose metrics read them.
        run: this run alone.

    Raises:
        InputError: for a run that is not there, or was compared with none.
        BrokenRunError: for a run whose files are not what they were.
    """
    if run is not None:
        own = open_run(workspace, registries, run)
        if not own.record.baseline_runs:
            raise InputError(
                f"the run {own.record.id} was compared with no other, so that there are no pairs to draw from",
                hint="name a run that was made with --baseline, or leave --run out",
            )
        population = _of_runs(own, workspace, registries)
        if population is None:
            raise InputError(
                f"the run {own.record.id} holds no rows that can be drawn anew", hint="name another with --run"
            )
        return [population]
    newest: dict[str, RunRecord] = {}
    for record in list_runs(workspace, problems=[]):
        if record.baseline_runs:
            newest[record.suite] = record
    found = [_of_runs(open_run(workspace, registries, record.id), workspace, registries) for record in newest.values()]
    return [population for population in found if population is not None]


def _of_runs(own: StoredRun, workspace: Workspace, registries: Registries) -> Population | None:
    """Return the population of a run and the one it was compared with; None where no metric's rows can be drawn."""
    name, other = next(iter(sorted(own.record.baseline_runs.items())))
    base = open_run(workspace, registries, other)
    metrics: dict[str, Metric] = {
        name: metric for name, metric in own.metrics.items() if metric_kind(metric).summed and name in base.tables
    }
    if not metrics:
        return None
    table = own.tables[next(iter(metrics))]
    places = {sample: place for place, sample in enumerate(base.tables[next(iter(metrics))].ids)}
    if set(places) != set(table.ids):
        raise InputError(f"the runs {own.record.id} and {other} do not hold the same samples", hint="run both again")
    order = [places[sample] for sample in table.ids]
    return Population(
        suite=own.record.suite, metrics=metrics, clusters=np.array(numbered(table.clusters), dtype=np.int64),
        source=f"run {own.record.id} against {other} ({name})",
        arms={
            CANDIDATE: {name: Column.of(own.tables[name].rows) for name in metrics},
            BASELINE: {
                name: Column.of([base.tables[name].rows[place] for place in order]) for name in metrics
            },
        },
    )  # fmt: skip
