"""Gates by prediction-powered inference: what people say of some replies, and the labeller's word on all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from harness.api import Estimate, HumanLabels
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
from harness.api.stats import gate_kind, metric_kind, pair
from harness_review.kept import with_labels
from harness_review.prediction_powered import FEWEST_LABELS, METHOD, Cell, powered_by_cells, powered_value

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from harness.api import Check, Gate, Metric
    from harness.api.gates import Arms, GateKind, Problem
    from harness.api.stats import MetricTable
    from harness.api.workspace import Workspace


class PredictionPowered(Correction):
    """What people say of some replies, and the labeller's word on all of them."""

    def problem(self, gate: Gate, metric: Metric) -> Problem | None:
        """Return why a gate cannot be prediction-powered."""
        return powered_problem(gate, metric)

    def evidence(
        self, tables: Mapping[str, MetricTable], gates: Iterable[Gate], workspace: Workspace
    ) -> Mapping[str, MetricTable]:
        """Return the tables with what people said of these very replies."""
        return with_labels(tables, gates, workspace)

    def check(self, gate: Gate, kind: GateKind, arms: Arms) -> Check:
        """Return the verdict by labels."""
        return check_powered(gate, kind, arms)


def powered_problem(gate: Gate, metric: Metric) -> Problem | None:
    """Return cause and hint of why a gate cannot be prediction-powered, or None."""
    if gate.evidence == "point" or gate.corrected or gate.cap is not None:
        return "correction: prediction_powered is for bounds, without `corrected` and `cap`", "keep one of them"
    if gate_kind(gate).of_the_run or not metric_kind(metric).shares:
        return f"correction: prediction_powered is for shares, and {metric.name} is none", "remove it"
    return None


def check_powered(gate: Gate, kind: GateKind, arms: Arms) -> Check:
    """Return the verdict of a gate whose correction is `prediction_powered`.

    Samples that the labeller could not score are a group of their own, of which the labels tell as of the others. It
    is inconclusive where labels are missing, of other replies or too few, and where samples come in clusters.
    """
    table = arms.candidate
    if kind.compares:
        return check_differences(
            gate, kind, arms, lambda to, margin: _look(gate, kind, table, (to, arms.others[to], margin)), METHOD
        )
    found = _look(gate, kind, table)
    check = check_value(gate, arms, found, METHOD)
    if found.value is None or check.estimate is None:
        return check
    own = check.estimate
    corrected = Estimate(
        metric=own.metric, kind=own.kind, direction=own.direction, value=found.value, low=found.low, high=found.high,
        n=own.n, unscored=0, not_applicable=own.not_applicable, confidence=own.confidence, method=METHOD, unit=own.unit,
    )  # fmt: skip
    return replace(check, corrected=corrected)


def _look(
    gate: Gate, kind: GateKind, table: MetricTable, against: tuple[str, MetricTable, float] | None = None
) -> Finding:
    """Return what labels say against a gate's region, of the value or against an arm with a margin."""
    to, other, margin = against or (None, None, 0.0)
    obstacle = _obstacle(table, "", with_=" --with RUN-OF-THE-OTHER" if to else "")
    if other is not None and to is not None:
        obstacle = (
            obstacle or _obstacle(other, f" of {to}", with_=" --with RUN-OF-THE-OTHER") or _apart(table, other, to)
        )
    if obstacle:
        return Finding(sentence=obstacle)
    labels = cast("HumanLabels", table.labels)
    cells = _cells(table) if other is None else _paired_cells(table, other)
    region = kind.region(gate, table.metric, to)
    tests: dict[float, tuple[float | None, float | None]] = {}
    for line in region.ends:
        bounds = powered_by_cells(cells, gate.alpha, paired=other is not None, null=line)
        tests[line] = bounds.p_above, bounds.p_below
    value, metric = powered_value(cells), table.metric
    status = region.status(bounds.low, bounds.high, strict=kind.strict)
    shown = bounds_text(metric, bounds.low, bounds.high)
    by = f"by {len(labels.sample.drawn)} labels of {sum(cell.samples for cell in cells)} samples (PPI++)"
    if other is None:
        within = "within" if status == "passed" else "against"
        limit = limit_text(metric, gate.limit or 0.0)
        text = f"{gate.metric} is {amount(metric, value)} {shown} {by}, {within} {kind.name} {limit}"
    else:
        text = f"{gate.metric} against {to}: {change(metric, value)} {shown} {by}, {gate.kind.replace('_', '-')}"
        text += f" by a margin of {points_text(metric, margin)}" if margin else ""
    if status == "inconclusive":
        text += "; more samples, and more labels of a new run, would decide"
    return Finding(
        sentence=text, value=value, low=bounds.low, high=bounds.high, p=region.p(tests), status=status
    )  # fmt: skip


def _obstacle(table: MetricTable, of: str, *, with_: str) -> str:
    """Return why a run's labels cannot be used, with the command that would change it; empty where they can."""
    labels, name = table.labels, table.metric.name
    if labels is None:
        return (
            f"{name}{of} has no labels by people for these replies: harness review latest --metric {name}{with_}, "
            "and run again"
        )
    sample = labels.sample
    if labels.missing:
        return (
            f"{labels.missing} of the {len(sample.drawn)} replies{of} drawn for {name} are not labelled yet: "
            f"harness review {sample.run} --metric {name}{with_}, and run again"
        )
    if len(sample.drawn) < FEWEST_LABELS:
        return f"{name}{of} has {len(sample.drawn)} labels, and at least {FEWEST_LABELS} are needed"
    ids = [table.ids[i] for i in table.applicable]
    if sorted(ids) != sorted(one for members in sample.strata.values() for one in members):
        return f"the labels of {name}{of} were drawn from other samples: run the suite again, and label that run"
    if table.clustered:
        return f"the samples of {name} come in clusters, and labels of independent samples are needed"
    return ""


def _apart(table: MetricTable, other: MetricTable, to: str) -> str:
    """Return why two arms' labels do not pair; empty where they do."""
    first, second = cast("HumanLabels", table.labels).sample, cast("HumanLabels", other.labels).sample
    if {one.id for one in first.drawn} == {one.id for one in second.drawn} and _members(first.strata) == _members(
        second.strata
    ):
        return ""
    return (
        f"the labels of {table.metric.name} here and of {to} are of different samples: draw both together on new runs, "
        f"with harness review RUN --metric {table.metric.name} --with RUN"
    )


def _members(strata: object) -> dict[str, list[str]]:
    return {name: sorted(members) for name, members in cast("dict[str, tuple[str, ...]]", strata).items()}


def _cells(table: MetricTable) -> list[Cell]:
    labels = cast("HumanLabels", table.labels)
    said = {table.ids[i]: _said(table, int(i)) for i in table.applicable}
    keys = {one: (stratum, said[one]) for stratum, members in labels.sample.strata.items() for one in members}
    return _counted(keys, {drawn.id: labels.labels[drawn.id] for drawn in labels.sample.drawn})


def _paired_cells(table: MetricTable, other: MetricTable) -> list[Cell]:
    """Return cells by the difference of what the labeller said of the two arms; unscored ones are cells too."""
    first, second = pair(table, other)
    own, its = cast("HumanLabels", table.labels), cast("HumanLabels", other.labels)
    said: dict[str, Hashable] = {}
    for i, j in zip(first, second, strict=True):
        mine, theirs = _said(table, int(i)), _said(other, int(j))
        said[table.ids[i]] = "unscored" if mine is None or theirs is None else mine - theirs
    keys = {one: (stratum, said[one]) for stratum, members in own.sample.strata.items() for one in members}
    labels: dict[str, float | None] = {}
    for drawn in own.sample.drawn:
        a, b = own.labels[drawn.id], its.labels[drawn.id]
        labels[drawn.id] = None if a is None or b is None else a - b
    return _counted(keys, labels)


def _said(table: MetricTable, at: int) -> float | None:
    row = table.rows[at]
    return row[0] if isinstance(row, tuple) and bool(table.is_scored[at]) else None


def _counted(keys: Mapping[str, tuple[str, Hashable]], labels: Mapping[str, float | None]) -> list[Cell]:
    samples, found = Counter(keys.values()), {key: Counter[float | None]() for key in keys.values()}
    for one, label in labels.items():
        found[keys[one]][label] += 1
    return [
        Cell(
            stratum=key[0], samples=count, labelled=found[key].total(), gains=found[key][1.0],
            losses=found[key][-1.0], skipped=found[key][None],
        )
        for key, count in samples.items()
    ]  # fmt: skip
