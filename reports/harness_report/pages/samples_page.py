"""The sample explorer: filter, then read what was asked, what was answered, and why it was judged so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import InputError
from harness_report import fragments
from harness_report.canvas import RUN
from harness_report.markup import Html, el, join
from harness_report.samples import (
    COMPLIED,
    FOLLOWS,
    INCOHERENT,
    NO_REPLY,
    REFUSED,
    UNSCORED,
    VIOLATES,
    severity,
    worst_first,
)

if TYPE_CHECKING:
    from harness.types import RunRecord, SampleRecord
    from harness_report.canvas import Canvas
    from harness_report.samples import Entry
    from harness_report.source import Source

TITLE = "Samples"
_SIGNS = {"bad": "✗", "warn": "?", "": ""}


def draw(canvas: Canvas, source: Source) -> None:
    """Draw the samples that the person filters."""
    from harness_report.choosing import choose, choose_samples

    canvas.html(el("h1", TITLE, cls="hr-title"))
    run, baseline = choose(source.overview())
    if run is None:
        return
    canvas.link(RUN, "← Back to the run", run=run.id)
    index = source.index(run)
    other = None if baseline is None else source.index(baseline)
    shown = choose_samples(run, index, other)
    if not shown:
        canvas.html(fragments.notice("info", "No sample is like that: loosen the filters above."))
        return
    records = source.records(run, [entry.position for entry in shown])
    twins = {} if other is None else other.by_id()
    pairs = {entry.id: twins[entry.id] for entry in shown if entry.id in twins}
    beside = {} if baseline is None else source.records(baseline, [twin.position for twin in pairs.values()])
    thresholds = source.thresholds(run)
    for entry in shown:
        record, twin = records[entry.position], pairs.get(entry.id)
        with canvas.card():
            canvas.html(_head(entry, run), fragments.conversation(record.sample.messages), _expected(record))
            if baseline is None or twin is None or twin.content_hash != entry.content_hash:
                _side(canvas, record, thresholds, title="reply")
                if baseline is not None:
                    said = "The baseline's run has no sample of this id and content."
                    canvas.html(fragments.notice("warning", said))
            else:
                left, right = canvas.columns(1, 1)
                with left:
                    _side(canvas, record, thresholds, title=f"candidate: {run.candidate.label}")
                with right:
                    title = f"baseline: {baseline.candidate.label}"
                    _side(canvas, beside[twin.position], thresholds, title=title)


def export_run(canvas: Canvas, source: Source, run: RunRecord, most: int) -> None:
    """Draw a run's samples, what is notable first."""
    if most == 0:
        return
    try:
        index = source.index(run)
        chosen = worst_first(index.entries, run.estimates)[:most]
        records = source.records(run, [entry.position for entry in chosen])
    except InputError as error:
        canvas.html(fragments.notice("error", str(error)))
        return
    thresholds = source.thresholds(run)
    canvas.heading(f"Samples ({len(chosen)} of {len(index.entries)}, the worst first)")
    for entry in chosen:
        record = records[entry.position]
        with canvas.fold(f"{_SIGNS[_level(entry, run)]} {entry.id}".strip()):
            canvas.html(_head(entry, run), fragments.conversation(record.sample.messages), _expected(record))
            _side(canvas, record, thresholds, title="reply")


def _level(entry: Entry, run: RunRecord) -> str:
    """Return how a reply stands: `bad` where something counts against it, `warn` where something has no score."""
    against, missing = severity(entry, run.estimates)
    return "bad" if against else "warn" if missing else ""


def _head(entry: Entry, run: RunRecord) -> Html:
    level, marks = _level(entry, run), []
    lost = {COMPLIED: entry.values.get("harmful_compliance") == 1, REFUSED: entry.values.get("over_refusal") == 1}
    for mark in sorted(entry.marks - {VIOLATES}):  # which one it violates is said
        bad = mark.startswith("violates") or mark == INCOHERENT or lost.get(mark, False)
        warn = mark in {UNSCORED, NO_REPLY}
        marks.append(fragments.chip(("✓ " if mark == FOLLOWS else "✗ " if bad else "? " if warn else "") + mark,
                                    "hr-chip-bad" if bad else "hr-chip-warn" if warn else ""))  # fmt: skip
    tags = [fragments.chip(f"# {tag}", "hr-chip-quiet") for tag in entry.tags]
    return el("div", el("span", entry.id, cls="hr-gate-title"), join(tags), join(marks),
              cls=f"hr-gate hr-gate-head hr-level-{level}" if level else "hr-gate hr-gate-head")  # fmt: skip


def _expected(record: SampleRecord) -> Html:
    sample = record.sample
    pairs: dict[str, str | Html] = {}
    if sample.target:
        pairs["accepted or reference"] = "\n".join(sample.target)
    if sample.choices:
        pairs["choices"] = "\n".join(
            f"{'→' if number == sample.answer else ' '} {choice}" for number, choice in enumerate(sample.choices)
        )
    return fragments.facts(pairs) if pairs else Html()


def _side(canvas: Canvas, record: SampleRecord, thresholds: dict[str, float], *, title: str) -> None:
    """Draw one arm's replies and all that was made of them."""
    answers = fragments.generated(record.replies)
    parts = []
    for number, answer in enumerate(answers):
        name = title if len(answers) == 1 else f"{title}, {number + 1} of {len(answers)}"
        # Findings speak of the first completion.
        parts.append(fragments.reply(answer, record.findings if number == 0 else {}, title=name))
    likelihoods = fragments.likelihoods_list(record.replies)
    if likelihoods is not None:
        parts.append(likelihoods)
    if not parts:
        parts.append(el("div", "Nothing was asked about this sample.", cls="hr-dim"))
    if record.verdicts:
        parts.append(fragments.verdicts_list(record.verdicts, thresholds))
    canvas.html(*parts)
    with canvas.fold("Findings and rows"):
        if record.findings:
            canvas.html(fragments.findings_list(record.findings))
        canvas.html(fragments.rows_list(record.rows))
