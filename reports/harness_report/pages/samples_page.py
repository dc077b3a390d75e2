"""The sample explorer: filter, then read what was asked, what was answered, and why it was judged so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from harness_report import cached, fragments
from harness_report.choosing import choose_baseline, choose_run
from harness_report.links import RUN, link
from harness_report.markup import Html, el, join
from harness_report.samples import FOLLOWS, UNSCORED, VIOLATES, Filter, RowValue, matching

if TYPE_CHECKING:
    from harness.types import RunRecord, SampleRecord
    from harness_report.samples import Entry, Index

_SIZES = (10, 25, 50)
_ANY = "any"
_KINDS: tuple[RowValue, ...] = ("unscored", "not applicable")


def draw() -> None:
    """Draw the page."""
    found = cached.overview()
    st.html(el("h1", "Samples", cls="hr-page hr-title"))
    left, right = st.columns(2)
    with left:
        run = choose_run(found)
    if run is None:
        return
    with right:
        baseline = choose_baseline(run, found)
    link(RUN, "← Back to the run", run=run.id)
    index = cached.index(run)
    other = None if baseline is None else cached.index(baseline)
    wanted = _filter(run, index, other)
    entries = matching(index, wanted, other)
    asked = st.query_params.get("sample")
    if asked is not None:
        entries = tuple(entry for entry in entries if entry.id == asked)
    size, number = _paging(run, len(entries), len(index.entries), wanted)
    shown = entries[(number - 1) * size : number * size]
    if not shown:
        st.html(fragments.notice("info", "No sample is like that: loosen the filters above."))
        return
    _samples(run, shown, baseline, other)


def _filter(run: RunRecord, index: Index, other: Index | None) -> Filter:
    first, second, third = st.columns([3, 3, 3])
    asked = st.query_params.get("mark")
    marks = second.multiselect(
        "Status or finding", index.marks, default=[asked] if asked in index.marks else [],
        key=f"marks-{run.id}-{asked}",
        placeholder="such as violates …, complied, unscored",
    )  # fmt: skip
    tags = first.multiselect("Tags", index.tags, key=f"tags-{run.id}", placeholder="all of these")
    words = third.text_input("Text in prompt or reply", key=f"text-{run.id}", placeholder="ignoring case")
    fourth, fifth, sixth = st.columns([3, 3, 3], vertical_alignment="bottom")
    metric = fourth.selectbox("Metric", [_ANY, *index.metrics], key=f"metric-{run.id}")
    value: RowValue = "any"
    if metric != _ANY:
        value = fifth.selectbox("Row", _row_values(index, metric), format_func=_row_word, key=f"row-{run.id}-{metric}")
    changed = other is not None and sixth.toggle("Only where a score changed", key=f"changed-{run.id}")
    return Filter(
        tags=tuple(tags), marks=tuple(marks), text=words or "", metric=None if metric == _ANY else metric,
        value=value, changed=bool(changed),
    )  # fmt: skip


def _row_values(index: Index, metric: str) -> list[RowValue]:
    """Return what a metric's row can be filtered by: its values where they are few, else what kind it is."""
    found = {entry.values.get(metric, "not applicable") for entry in index.entries}
    numbers = sorted(value for value in found if isinstance(value, float))
    words: list[RowValue] = [word for word in _KINDS if word in found]
    return ["any", "scored", *(numbers if len(numbers) <= 8 else []), *words]


def _row_word(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _paging(run: RunRecord, count: int, total: int, wanted: Filter) -> tuple[int, int]:
    left, right = st.columns([3, 2], vertical_alignment="center")
    size = right.selectbox("Per page", _SIZES, key=f"size-{run.id}")
    pages = max(1, -(-count // (size or _SIZES[0])))
    with left:
        st.html(el("div", el("b", f"{count:,}"), f" of {total:,} samples", cls="hr-page"))
        number = st.pagination(pages, key=f"page-{run.id}-{hash(wanted)}-{size}") if pages > 1 else 1
    return size or _SIZES[0], number


def _samples(run: RunRecord, shown: tuple[Entry, ...], baseline: RunRecord | None, other: Index | None) -> None:
    records = cached.records(run, [entry.position for entry in shown])
    twins = {} if other is None else other.by_id()
    pairs = {entry.id: twins[entry.id] for entry in shown if entry.id in twins}
    beside = {} if baseline is None else cached.records(baseline, [twin.position for twin in pairs.values()])
    thresholds = {p.id: p.threshold for c in cached.constitutions(run) for p in c.principles}
    for entry in shown:
        twin = pairs.get(entry.id)
        with st.container(border=True):
            st.html(_head(entry))
            record = records[entry.position]
            st.html(fragments.conversation(record.sample.messages))
            _expected(record)
            if baseline is None:
                _side(record, thresholds, title="reply")
            elif twin is None or twin.content_hash != entry.content_hash:
                _side(record, thresholds, title="reply")
                st.html(fragments.notice("warning", "The baseline's run has no sample of this id and content."))
            else:
                left, right = st.columns(2)
                with left:
                    _side(record, thresholds, title=f"candidate: {run.candidate.label}")
                with right:
                    _side(beside[twin.position], thresholds, title=f"baseline: {baseline.candidate.label}")


def _head(entry: Entry) -> Html:
    marks = []
    for mark in sorted(entry.marks - {VIOLATES}):  # which one it violates is said
        bad = mark.startswith("violates")
        warn = mark == UNSCORED
        marks.append(fragments.chip(("✓ " if mark == FOLLOWS else "✗ " if bad else "? " if warn else "") + mark,
                                    "hr-chip-bad" if bad else "hr-chip-warn" if warn else ""))  # fmt: skip
    tags = [fragments.chip(f"# {tag}", "hr-chip-quiet") for tag in entry.tags]
    return el("div", el("span", entry.id, cls="hr-gate-title"), join(tags), join(marks), cls="hr-gate hr-gate-head")


def _expected(record: SampleRecord) -> None:
    sample = record.sample
    pairs: dict[str, str | Html] = {}
    if sample.target:
        pairs["accepted or reference"] = "\n".join(sample.target)
    if sample.choices:
        pairs["choices"] = "\n".join(
            f"{'→' if number == sample.answer else ' '} {choice}" for number, choice in enumerate(sample.choices)
        )
    if pairs:
        st.html(fragments.facts(pairs))


def _side(record: SampleRecord, thresholds: dict[str, float], *, title: str) -> None:
    """Draw one arm's replies and all that was made of them."""
    answers = fragments.generated(record.replies)
    for number, answer in enumerate(answers):
        name = title if len(answers) == 1 else f"{title}, {number + 1} of {len(answers)}"
        # Findings speak of the first completion.
        st.html(fragments.reply(answer, record.findings if number == 0 else {}, title=name))
    likelihoods = fragments.likelihoods_list(record.replies)
    if likelihoods is not None:
        st.html(likelihoods)
    if not answers and likelihoods is None:
        st.html(el("div", "Nothing was asked about this sample.", cls="hr-page hr-dim"))
    if record.verdicts:
        st.html(fragments.verdicts_list(record.verdicts, thresholds))
    with st.expander("Findings and rows"):
        if record.findings:
            st.html(fragments.findings_list(record.findings))
        st.html(fragments.rows_list(record.rows))
