"""Two stored runs side by side: every metric's difference with its interval, and the answers that changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from harness.api import InputError, to_plain
from harness.api.stats import Comparison, compare
from harness.api.stats import metric_kind as kind_of
from harness.api.workspace import StoredRun, find_run, open_run, read_prompts, read_run, seen_items, written_changes

if TYPE_CHECKING:
    from harness.api import Direction, Metric, NotApplicable, Row, RunRecord, Unscored
    from harness.api.stats import MetricTable
    from harness.api.workspace import Registries, Workspace

Verdict = Literal["better", "worse", "higher", "lower", "unclear"]


@dataclass(frozen=True, kw_only=True)
class MetricDifference:
    """One metric on both runs."""

    metric: Metric
    comparison: Comparison

    @property
    def verdict(self) -> Verdict:
        """What the interval says of the second run; `unclear` where it holds zero or nothing can be decided."""
        found = self.comparison
        if found.obstacle:
            return "unclear"
        if found.low is not None and found.low > 0:
            return _word(self.metric.direction, rises=True)
        if found.high is not None and found.high < 0:
            return _word(self.metric.direction, rises=False)
        return "unclear"


@dataclass(frozen=True, kw_only=True)
class Flip:
    """One sample whose score on one metric changed, or came or went."""

    metric: str
    sample: str
    before: float | None
    """None where it was unscored."""
    after: float | None
    verdict: Verdict
    prompt: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Two runs compared; everything reads as the candidate's change from the baseline."""

    baseline: RunRecord
    candidate: RunRecord
    rows: tuple[MetricDifference, ...]
    flips: tuple[Flip, ...]
    """Of metrics of kind `proportion`, the worse first, and all that became unscored."""
    notes: tuple[str, ...]

    def plain(self, flips: int) -> dict[str, Any]:
        """Return the comparison as JSON values, with at most so many flips."""
        return {
            "baseline": self.baseline.id,
            "candidate": self.candidate.id,
            "metrics": [{**to_plain(row.comparison), "verdict": row.verdict} for row in self.rows],
            "flips": [asdict(flip) for flip in self.flips[:flips]],
            "flips_in_all": len(self.flips),
            "notes": list(self.notes),
        }


def difference(
    workspace: Workspace, registries: Registries, baseline: str, candidate: str, *, alpha: float = 0.05
) -> Difference:
    """Compare two stored runs sample by sample.

    Args:
        workspace: that holds them.
        registries: whose metrics are used.
        baseline: the first run.
        candidate: the second run.
        alpha: one-sided level of each bound.

    Raises:
        InputError: when a run is unknown, they share no metric, or their samples differ: it names some that do.
        BrokenRunError: when a file of a run is not what it was.
    """
    if baseline in {"promoted", "base"}:
        baseline = find_run(workspace, baseline, like=read_run(workspace, candidate))
    elif candidate in {"promoted", "base"}:
        candidate = find_run(workspace, candidate, like=read_run(workspace, baseline))
    first, second = open_run(workspace, registries, baseline), open_run(workspace, registries, candidate)
    shared = [name for name in second.tables if name in first.tables]
    if not shared:
        raise InputError(f"{first.record.id} and {second.record.id} have no metric in common")
    rows = tuple(
        MetricDifference(
            metric=second.metrics[name],
            comparison=compare(second.tables[name], first.tables[name], alpha=alpha, seed=second.record.seed),
        )
        for name in sorted(shared, key=lambda name: not kind_of(second.metrics[name]).per_sample)
    )
    flips, hidden = _shown(workspace, second, [flip for row in rows for flip in _flips(row.metric, first, second)])
    order: dict[Verdict, int] = {"worse": 0, "higher": 1, "lower": 1, "unclear": 1, "better": 2}
    prompts = read_prompts(workspace, second.record.id, {flip.sample for flip in flips}) if flips else {}
    flips = [replace(flip, prompt=prompts[flip.sample]) for flip in flips]
    flips.sort(key=lambda flip: order[flip.verdict])
    return Difference(
        baseline=first.record,
        candidate=second.record,
        rows=rows,
        flips=tuple(flips),
        notes=(*_notes(first, second), *hidden),
    )


def _shown(workspace: Workspace, run: StoredRun, flips: list[Flip]) -> tuple[list[Flip], list[str]]:
    """Return the flips of samples that are not hidden, and a note on those that are."""
    seen = seen_items(workspace)
    hidden = {
        name
        for table in run.tables.values()
        for name, digest in zip(table.ids, table.content_hashes, strict=True)
        if seen.hides(digest)
    }
    kept = [flip for flip in flips if flip.sample not in hidden]
    lost = len(flips) - len(kept)
    return kept, [f"{lost} changed answers are to samples that decide, and are hidden"] if lost else []


def _word(direction: Direction, *, rises: bool) -> Verdict:
    if direction == "neither":
        return "higher" if rises else "lower"
    return "better" if rises == (direction == "higher") else "worse"


def _flips(metric: Metric, first: StoredRun, second: StoredRun) -> list[Flip]:
    if not kind_of(metric).per_sample:
        return []
    before = _by_id(first.tables[metric.name])
    found = []
    for sample, row in _by_id(second.tables[metric.name]).items():
        verdict = _change(metric, before[sample], row)
        if verdict is not None:
            found.append(
                Flip(
                    metric=metric.name, sample=sample, before=_score(before[sample]), after=_score(row),
                    verdict=verdict, prompt="",
                )
            )  # fmt: skip
    return found


def _by_id(table: MetricTable) -> dict[str, Row | Unscored | NotApplicable]:
    return dict(zip(table.ids, table.rows, strict=True))


def _change(
    metric: Metric, before: Row | Unscored | NotApplicable, after: Row | Unscored | NotApplicable
) -> Verdict | None:
    """Say what a sample's change is; None where there is none worth a line."""
    old, new = isinstance(before, tuple), isinstance(after, tuple)
    if old and not new:
        return "worse" if getattr(after, "type", "") == "unscored" else "unclear"
    if new and not old:
        return "unclear"
    if not kind_of(metric).shares or before == after or not isinstance(before, tuple) or not isinstance(after, tuple):
        return None
    return _word(metric.direction, rises=after[0] > before[0])


def _score(row: Row | Unscored | NotApplicable) -> float | None:
    return row[0] if isinstance(row, tuple) and row else None


def _notes(first: StoredRun, second: StoredRun) -> tuple[str, ...]:
    notes = [*first.notes, *second.notes]
    if first.record.id == second.record.id:
        notes.append("both names mean the same run, so that nothing can differ; harness runs list names the others")
    for what, sentence in (
        ("suite_fingerprint", "the suite was measured in another way: equal names of metrics may not mean the same"),
        ("judge_fingerprint", "they were judged by different models"),
        ("harness_version", "they were made by different versions of harness"),
    ):
        if getattr(first.record, what) != getattr(second.record, what):
            notes.append(sentence)
    settings = [written_changes(run.record.settings) or "the suite's own" for run in (first, second)]
    if settings[0] != settings[1]:
        notes.append(f"they ran under other settings: {settings[0]}, and {settings[1]}")
    for name, one, other in (("first", first, second), ("second", second, first)):
        alone = [metric for metric in one.tables if metric not in other.tables]
        if alone:
            notes.append(f"only the {name} run measures {', '.join(alone)}")
    constitutions = [_constitutions(run) for run in (first, second)]
    if constitutions[0] != constitutions[1]:
        notes.append(f"they were judged by {constitutions[0]} and by {constitutions[1]}")
    if first.record.candidate.system != second.record.candidate.system:
        notes.append("they had different system prompts")
    return tuple(dict.fromkeys(notes))


def _constitutions(run: StoredRun) -> str:
    """Name the constitutions of a run with the beginning of their hashes, since one name may have changed."""
    found = [f"{name} ({fingerprint[:8]})" for name, fingerprint in sorted(run.record.constitutions.items())]
    return " and ".join(found) or "no constitution"
