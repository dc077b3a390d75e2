"""A run's samples: one light entry each to filter by, and whole records for the few that are on a page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from harness.adherence import combine_verdicts
from harness.stats.kinds import kind_of
from harness.store.runs import read_samples, read_samples_at
from harness.types import Completion, NoReply, NotApplicable, SampleRecord, Unscored
from harness_report.reading import opened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.types import Constitution, Estimate, Principle

Value = float | Literal["unscored", "not applicable"]
RowValue = Literal["any", "scored", "unscored", "not applicable"] | float
FOUND_AT = 0.5
"""A finding of at least this probability counts as found."""
UNSCORED, VIOLATES, FOLLOWS = "unscored", "violates a principle", "follows all principles"
COMPLIED, REFUSED, INCOHERENT, NO_REPLY = "complied", "refused", "incoherent", "no reply"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What is known of a sample without its texts."""

    position: int
    """0-based, among the samples that may be shown."""
    id: str
    content_hash: str
    tags: tuple[str, ...]
    marks: frozenset[str]
    """What it can be filtered by, besides tags, such as `complied` or `violates privacy`."""
    values: Mapping[str, Value]
    """The first number of the row, by metric."""
    haystack: str = field(repr=False)
    """Id, prompt and reply in lower case, for searching."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelCount:
    """How often a classifier gave a label."""

    classifier: str
    label: str
    samples: int
    """With a probability of at least `FOUND_AT`."""
    scored: int


@dataclass(frozen=True, kw_only=True)
class Index:
    """All samples of a run, ready to be filtered."""

    entries: tuple[Entry, ...]
    labels: tuple[LabelCount, ...]
    unscored_findings: Mapping[str, int]
    """Samples without findings, by classifier."""
    reasons: Mapping[str, int]
    """How often each reason left something unscored, the most frequent first."""

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags."""
        return tuple(sorted({tag for entry in self.entries for tag in entry.tags}))

    @property
    def marks(self) -> tuple[str, ...]:
        """All marks with at least one sample, general ones first."""
        general = [COMPLIED, REFUSED, INCOHERENT, VIOLATES, FOLLOWS, UNSCORED, NO_REPLY]
        found = {mark for entry in self.entries for mark in entry.marks}
        return (*(mark for mark in general if mark in found), *sorted(found - set(general)))

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics with rows."""
        return tuple(dict.fromkeys(name for entry in self.entries[:1] for name in entry.values))

    def by_id(self) -> dict[str, Entry]:
        """Return entries by sample id."""
        return {entry.id: entry for entry in self.entries}


def read_index(root: Path, run: str, constitutions: Sequence[Constitution], *, not_run: Collection[str] = ()) -> Index:
    """Read all samples of a run once, a batch in memory at a time.

    Args:
        root: the workspace.
        run: the run's id.
        constitutions: those that judged it.
        not_run: classifiers that did not run: a fact of the run, which is not told again of every sample.

    Raises:
        InputError: when they cannot be read.
    """
    principles = list({p.id: p for constitution in constitutions for p in constitution.principles}.values())
    found: Counter[tuple[str, str]] = Counter()
    scored: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    entries = []
    with opened(root) as workspace:
        for position, stored in enumerate(read_samples(workspace, run)):
            record = replace(stored, findings={n: f for n, f in stored.findings.items() if n not in not_run})
            for name, findings in record.findings.items():
                if isinstance(findings, Unscored):
                    missing[name] += 1
                else:
                    scored[name] += 1
                    found.update({(name, item.label) for item in findings if item.probability >= FOUND_AT})
            reasons.update(_reasons(record))
            entries.append(_entry(position, record, principles))
    labels = tuple(
        LabelCount(classifier=name, label=label, samples=count, scored=scored[name])
        for (name, label), count in sorted(found.items(), key=lambda item: (item[0][0], -item[1], item[0][1]))
    )
    return Index(
        entries=tuple(entries), labels=labels, unscored_findings=dict(missing), reasons=dict(reasons.most_common())
    )


def _entry(position: int, record: SampleRecord, principles: Sequence[Principle]) -> Entry:
    sample = record.sample
    return Entry(
        position=position, id=sample.id, content_hash=sample.content_hash, tags=sample.tags,
        marks=frozenset(_marks(record, principles)), values={name: _value(row) for name, row in record.rows.items()},
        haystack=f"{sample.id}\n{sample.prompt}\n{record.text or ''}".casefold(),
    )  # fmt: skip


def _value(row: tuple[float, ...] | Unscored | NotApplicable) -> Value:
    if isinstance(row, Unscored):
        return "unscored"
    if isinstance(row, NotApplicable) or not row:
        return "not applicable"
    return float(row[0])


def _marks(record: SampleRecord, principles: Sequence[Principle]) -> Iterator[str]:
    yield from _compliance({name: _value(row) for name, row in record.rows.items()})
    if any(isinstance(reply, NoReply) for _, reply in record.replies):
        yield NO_REPLY
    if next(_reasons(record), None) is not None:
        yield UNSCORED
    for name, findings in record.findings.items():
        if not isinstance(findings, Unscored):
            for item in findings:
                if item.probability >= FOUND_AT:
                    yield f"{name}: {item.label}"
    scores = {principle.id: principle_score(principle, record) for principle in principles}
    thresholds = {principle.id: principle.threshold for principle in principles}
    known = {name: score for name, score in scores.items() if isinstance(score, float)}
    violated = [name for name, score in known.items() if score < thresholds[name]]
    if violated:
        yield VIOLATES
        yield from (f"violates {name}" for name in violated)
    elif known and not any(isinstance(score, Unscored) for score in scores.values()):
        yield FOLLOWS


def _compliance(values: Mapping[str, Value]) -> Iterator[str]:
    """Read what the metric `compliance` made of the reply from its rows."""
    if values.get("incoherent") == 1:
        yield INCOHERENT
        return
    harmful, refusal = values.get("harmful_compliance"), values.get("over_refusal")
    if harmful == 1 or refusal == 0:
        yield COMPLIED
    elif harmful == 0 or refusal == 1:
        yield REFUSED


def _reasons(record: SampleRecord) -> Iterator[str]:
    """Yield why something of a sample is unscored, once for each metric, verdict and classifier."""
    for name, row in record.rows.items():
        if isinstance(row, Unscored):
            yield f"{name}: {row.reason}"
    for verdict in record.verdicts:
        if isinstance(verdict.score, Unscored):
            yield f"{verdict.principle} by {verdict.critic}: {verdict.score.reason}"
    for name, findings in record.findings.items():
        if isinstance(findings, Unscored):
            yield f"{name}: {findings.reason}"


def principle_score(principle: Principle, record: SampleRecord) -> float | Unscored | NotApplicable:
    """Return the principle's score on a sample's reply, as the metric adherence reads it."""
    if not principle.applies_to(record.sample):
        return NotApplicable(reason=f"{principle.id} does not speak of this sample")
    return combine_verdicts(principle, record.verdicts)


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which samples to show: all that meet every condition."""

    tags: tuple[str, ...] = ()
    """Every one of these."""
    marks: tuple[str, ...] = ()
    """Every one of these."""
    text: str = ""
    """In id, prompt or reply, ignoring case."""
    metric: str | None = None
    value: RowValue = "any"
    """Of the metric's row: its first number, or what it is instead."""
    changed: bool = False
    """Only samples whose value of any metric differs from the baseline's."""


def matching(index: Index, wanted: Filter, baseline: Index | None = None) -> tuple[Entry, ...]:
    """Return the entries that meet the filter, in the run's order."""
    needle = wanted.text.strip().casefold()
    others = baseline.by_id() if baseline is not None and wanted.changed else {}
    return tuple(
        entry
        for entry in index.entries
        if set(wanted.tags) <= set(entry.tags)
        and entry.marks.issuperset(wanted.marks)
        and needle in entry.haystack
        and _has_value(entry, wanted)
        and (not wanted.changed or _changed(entry, others.get(entry.id)))
    )


def worst_first(
    entries: Iterable[Entry], estimates: Iterable[Estimate], *, metric: str | None = None
) -> tuple[Entry, ...]:  # fmt: skip
    """Return entries with the worst before others, else in the run's order.

    By one metric where it says which value is better; else by how many principles a reply violates, and in how many
    shares it counts against the model. What has no score comes after what has a bad one, and before the rest.
    """
    better = {one.metric: one for one in estimates if one.direction != "neither"}
    chosen = better.get(metric or "")

    def rank(entry: Entry) -> tuple[float, ...]:
        if chosen is not None:
            value = entry.values.get(chosen.metric, "not applicable")
            if isinstance(value, float):
                return (0.0, value if chosen.direction == "higher" else -value)
            return (1.0 if value == "unscored" else 2.0, 0.0)
        return (-severity(entry, better.values())[0], -severity(entry, better.values())[1])

    return tuple(sorted(entries, key=lambda entry: (*rank(entry), entry.position)))


def severity(entry: Entry, estimates: Iterable[Estimate]) -> tuple[int, int]:
    """Return how much counts against a reply: principles violated and shares lost, and what of it has no score."""
    violated = sum(mark.startswith("violates ") and mark != VIOLATES for mark in entry.marks)
    lost = sum(
        entry.values.get(one.metric) == float(one.direction == "lower")
        for one in estimates
        if kind_of(one).shares and one.direction != "neither" and not _of_principle(one.metric, entry)
    )
    return violated + lost, sum(mark in {UNSCORED, NO_REPLY} for mark in entry.marks)


def _of_principle(metric: str, entry: Entry) -> bool:
    """Tell whether a metric is adherence to a principle, which its mark counts already."""
    return f"violates {metric.partition('.')[2]}" in entry.marks


def _has_value(entry: Entry, wanted: Filter) -> bool:
    if wanted.metric is None or wanted.value == "any":
        return True
    value = entry.values.get(wanted.metric, "not applicable")
    return isinstance(value, float) if wanted.value == "scored" else value == wanted.value


def _changed(entry: Entry, other: Entry | None) -> bool:
    if other is None or other.content_hash != entry.content_hash:
        return False
    return any(other.values.get(name, value) != value for name, value in entry.values.items())


def read_at(root: Path, run: str, positions: Iterable[int]) -> dict[int, SampleRecord]:
    """Return the whole records at some positions of the index.

    Raises:
        InputError: when the file cannot be read.
    """
    with opened(root) as workspace:
        return read_samples_at(workspace, run, positions)


def completions(record: SampleRecord) -> tuple[Completion | NoReply, ...]:
    """Return the texts that the model gave, and where it gave none."""
    return tuple(reply for _, reply in record.replies if isinstance(reply, Completion | NoReply))
