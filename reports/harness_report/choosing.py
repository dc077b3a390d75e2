"""What a person chooses on a page, with Streamlit's widgets; the address says so, so that it can be shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import streamlit as st

from harness.terminal import safe_text
from harness_report import fragments
from harness_report.figures import when
from harness_report.markup import el
from harness_report.samples import Filter, RowValue, matching, worst_first

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.types import RunRecord
    from harness_report.reading import Overview
    from harness_report.samples import Entry, Index

T = TypeVar("T")
NO_BASELINE = "nothing"
_ALL, _ANY = "all", "any"
_SIZES = (10, 25, 50)
_ORDERS = ("the worst first", "as in the run")
_KINDS: tuple[RowValue, ...] = ("unscored", "not applicable")


def choose_part(items: Sequence[T], size: int, *, key: str) -> Sequence[T]:
    """Let the person turn pages of so many items; return those of the page."""
    pages = -(-len(items) // size)
    number = st.pagination(pages, key=key) if pages > 1 else 1
    return items[(number - 1) * size : number * size]


def choose_runs(found: Overview) -> Sequence[RunRecord]:
    """Let the person filter all runs, the newest first."""
    left, middle, right = st.columns([2, 2, 3])
    suites, statuses = [_ALL, *sorted(found.suites)], [_ALL, "passed", "failed", "inconclusive", "ungated"]
    suite = left.selectbox("Suite", suites, index=_asked("suite", suites))
    status = middle.selectbox("Gates", statuses, index=_asked("gates", statuses))
    wanted = right.text_input(
        "Candidate contains", value=_word("candidate"), placeholder="part of a model's or adapter's name"
    )
    _remember(suite="" if suite == _ALL else suite, gates="" if status == _ALL else status, candidate=wanted or "")
    chosen = [
        run for run in reversed(found.runs)
        if suite in {_ALL, run.suite} and status in {_ALL, run.status}
        and (wanted or "").casefold() in run.candidate.label.casefold()
    ]  # fmt: skip
    return choose_part(chosen, 12, key=f"runs-{suite}-{status}-{wanted}")


def choose_metric(found: Overview, metrics_of: Callable[[Overview, str], list[str]]) -> tuple[str, str | None]:
    """Let the person choose a suite, and one of its metrics."""
    left, right, _ = st.columns([2, 3, 2])
    suite = left.selectbox("Suite ", found.suites, index=_asked("trend", found.suites)) or found.suites[0]
    metrics = metrics_of(found, suite)
    metric = right.selectbox("Metric", metrics, index=_asked("metric", metrics), key=f"trend-{suite}")
    first = (suite, metric) == (found.suites[0], metrics[0] if metrics else None)
    _remember(trend="" if first else suite, metric="" if first else metric or "")
    return suite, metric


def _word(name: str) -> str:
    """Return what the address says under a name; empty where it says nothing."""
    return str(st.query_params.get(name, ""))


def _asked(name: str, options: Sequence[str]) -> int:
    """Return the place of the option that the address names; the first where it names none of them."""
    return list(options).index(_word(name)) if _word(name) in options else 0


def _remember(**chosen: str | Sequence[str]) -> None:
    """Write what was chosen into the address; what is empty goes."""
    for name, value in chosen.items():
        if not value:
            st.query_params.pop(name, None)
        elif (st.query_params.get_all(name) if isinstance(value, list) else _word(name)) != value:
            st.query_params[name] = value


def choose(overview: Overview) -> tuple[RunRecord | None, RunRecord | None]:
    """Let the person choose a run and what to compare it with; None where there is none, or nothing."""
    left, right = st.columns(2)
    with left:
        run = _choose_run(overview)
    if run is None:
        return None, None
    with right:
        return run, _choose_baseline(run, overview)


def describe(run: RunRecord) -> str:
    """Return a run in one line of plain text, for the options of a select box."""
    label = safe_text(run.candidate.label, one_line=True, limit=60)
    return f"{run.suite} · {label} · {when(run.created)} · {run.id[-6:]}"


def _choose_run(overview: Overview) -> RunRecord | None:
    """Let the person choose a run: the one of the address, else the newest. None where there are none."""
    if not overview.runs:
        st.html(fragments.no_runs())
        return None
    newest_first = list(reversed(overview.runs))
    names = [run.id for run in newest_first]
    asked = st.query_params.get("run")
    if asked is not None and asked not in names:
        st.html(fragments.notice("warning", f"There is no readable run {asked}; the newest one is shown."))
    start = names.index(asked) if asked in names else 0
    chosen = st.selectbox("Run", newest_first, index=start, format_func=describe, key=f"run-of-{asked}-{len(names)}")
    run: RunRecord = chosen or newest_first[0]
    if asked != run.id and (asked is not None or run is not newest_first[0]):
        st.query_params["run"] = run.id
    return run


def baselines_of(run: RunRecord, runs: Sequence[RunRecord]) -> dict[str, RunRecord]:
    """Return what a run can be compared with, by label: what its gates compared with, then runs on its samples."""
    here = {other.id: other for other in runs}
    found = {
        f"{name} ({describe(here[other])})": here[other] for name, other in run.baseline_runs.items() if other in here
    }
    used = {other.id for other in found.values()} | {run.id}
    for other in reversed(runs):
        if other.id not in used and other.suite == run.suite and other.samples_fingerprint == run.samples_fingerprint:
            found[describe(other)] = other
    return found


def missing_baselines(run: RunRecord, runs: Sequence[RunRecord]) -> list[str]:
    """Return a sentence for each run that gates compared with and that is not here any more."""
    here = {other.id for other in runs}
    return [
        f"The run of {name} that gates compared with ({other}) is not here any more."
        for name, other in run.baseline_runs.items()
        if other not in here
    ]


def _choose_baseline(run: RunRecord, overview: Overview) -> RunRecord | None:
    """Let the person choose what to compare with; None for nothing."""
    found = baselines_of(run, overview.runs)
    for sentence in missing_baselines(run, overview.runs):
        st.html(fragments.notice("warning", sentence))
    if not found:
        return None
    start = 1 if run.baseline_runs and next(iter(found.values())).id in run.baseline_runs.values() else 0
    chosen = st.selectbox("Compare with", [NO_BASELINE, *found], index=start, key=f"baseline-of-{run.id}")
    return found.get(chosen or NO_BASELINE)


def choose_samples(run: RunRecord, index: Index, other: Index | None) -> Sequence[Entry]:
    """Let the person filter a run's samples, or take the one of the address; return those of the page."""
    wanted = _filter(run, index, other)
    entries = matching(index, wanted, other)
    by_run = _word("order") == _ORDERS[1]
    asked = st.query_params.get("sample")
    if asked is not None:
        entries = tuple(entry for entry in entries if entry.id == asked)
    left, middle, right = st.columns([3, 2, 1], vertical_alignment="center")
    order = middle.selectbox("Order", _ORDERS, index=int(by_run), key=f"order-{run.id}")
    _remember(order="" if order == _ORDERS[0] else order or "")
    if order == _ORDERS[0]:
        entries = worst_first(entries, run.estimates, metric=wanted.metric)
    size = right.selectbox("Per page", _SIZES, key=f"size-{run.id}") or _SIZES[0]
    with left:
        st.html(el("div", el("b", f"{len(entries):,}"), f" of {len(index.entries):,} samples", cls="hr-page"))
        return choose_part(entries, size, key=f"page-{run.id}-{hash(wanted)}-{size}-{order}")


def _filter(run: RunRecord, index: Index, other: Index | None) -> Filter:
    first, second, third = st.columns([3, 3, 3])
    asked = [mark for mark in st.query_params.get_all("mark") if mark in index.marks]
    marks = second.multiselect(
        "Status or finding", index.marks, default=asked, key=f"marks-{run.id}",
        placeholder="such as violates …, complied, unscored",
    )  # fmt: skip
    known = [tag for tag in st.query_params.get_all("tag") if tag in index.tags]
    tags = first.multiselect("Tags", index.tags, default=known, key=f"tags-{run.id}", placeholder="all of these")
    words = third.text_input(
        "Text in prompt or reply", value=_word("text"), key=f"text-{run.id}", placeholder="ignoring case"
    )
    fourth, fifth, sixth = st.columns([3, 3, 3], vertical_alignment="bottom")
    metrics = [_ANY, *index.metrics]
    metric = fourth.selectbox("Metric", metrics, index=_asked("metric", metrics), key=f"metric-{run.id}")
    value: RowValue = "any"
    if metric != _ANY:
        values = _row_values(index, metric)
        place = _asked("row", [_row_word(one) for one in values])
        value = fifth.selectbox("Row", values, index=place, format_func=_row_word, key=f"row-{run.id}-{metric}")
    changed = other is not None and sixth.toggle(
        "Only where a score changed", value=_word("changed") == "yes", key=f"changed-{run.id}"
    )
    _remember(
        mark=list(marks), tag=list(tags), text=words or "", metric="" if metric == _ANY else metric,
        row="" if value == "any" else _row_word(value), changed="yes" if changed else "",
    )  # fmt: skip
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
