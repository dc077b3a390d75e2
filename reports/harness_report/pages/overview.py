"""The first page: what is promoted, all runs, how metrics moved, and the newest decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from harness.errors import InputError
from harness.tables import interval
from harness.terminal import safe_text
from harness_report import cached, charts, fragments
from harness_report.choosing import empty
from harness_report.figures import key_metrics, when, with_unit
from harness_report.links import DECISIONS, RUN, link
from harness_report.markup import Html, el, join, plain_label

if TYPE_CHECKING:
    from harness.types import RunRecord
    from harness_report.reading import Overview

_PAGE = 12
_ALL = "all"


def draw() -> None:
    """Draw the page."""
    st.html(el("h1", "Overview", cls="hr-page hr-title"))
    try:
        found = cached.overview()
    except InputError as error:
        st.html(fragments.notice("error", str(error)))
        st.html(
            fragments.notice(
                "info", "Make a workspace with ", fragments.command("harness init"), " or fill one with ",
                fragments.command("harness demo"), ".",
            )
        )  # fmt: skip
        return
    _promoted(found)
    for problem in found.problems:
        st.html(fragments.notice("error", fragments.badge("broken"), f" {problem}"))
    if not found.runs:
        empty()
        return
    _runs(found)
    _trend(found)
    _decisions(found)


def _promoted(found: Overview) -> None:
    left, *counts = st.columns([3, 1, 1, 1], border=True)
    with left:
        st.html(promoted_text(found))
    statuses = [run.status for run in found.runs]
    for column, name, value, note in zip(
        counts, ("Runs", "Passed", "Decisions"),
        (len(found.runs), statuses.count("passed"), len(found.decisions)),
        (f"{len({run.suite for run in found.runs})} suites",
         ", ".join(f"{statuses.count(word)} {word}" for word in ("failed", "inconclusive", "ungated")),
         f"{sum(decision.status == 'passed' for decision in found.decisions)} may be promoted"),
        strict=True,
    ):  # fmt: skip
        with column:
            st.html(
                el("div", el("div", name, cls="hr-dim hr-small"), el("div", str(value), cls="hr-live"),
                   el("div", note, cls="hr-dim hr-small"), cls="hr-page")
            )  # fmt: skip


def promoted_text(found: Overview) -> Html:
    """Return what is promoted, since when and by what."""
    state = found.live
    if state is None:
        label, since = "the bare base", "Nothing was promoted yet."
    else:
        label = "the bare base" if state.candidate is None else state.candidate.label
        how = "promoted" if state.entry.kind == "promotion" else "rolled back"
        by = "" if found.decision is None else f" by decision {found.decision}"
        since = f"{how} {when(state.entry.created)}{by} (ledger entry {state.entry.number})"
    return el(
        "div", el("div", "Promoted", cls="hr-dim hr-small"), el("div", label, cls="hr-live"),
        el("div", since, cls="hr-dim hr-small"), cls="hr-page",
    )  # fmt: skip


def _runs(found: Overview) -> None:
    st.subheader("Runs", anchor=False)
    suites = sorted({run.suite for run in found.runs})
    left, middle, right = st.columns([2, 2, 3])
    suite = left.selectbox("Suite", [_ALL, *suites])
    status = middle.selectbox("Gates", [_ALL, "passed", "failed", "inconclusive", "ungated"])
    wanted = right.text_input("Candidate contains", placeholder="part of a model's or adapter's name")
    chosen = [
        run for run in reversed(found.runs)
        if suite in {_ALL, run.suite} and status in {_ALL, run.status}
        and (wanted or "").casefold() in run.candidate.label.casefold()
    ]  # fmt: skip
    if not chosen:
        st.html(fragments.notice("info", "No run is like that."))
        return
    pages = -(-len(chosen) // _PAGE)
    number = st.pagination(pages, key=f"runs-{suite}-{status}-{wanted}") if pages > 1 else 1
    with st.container(border=True):
        for run in chosen[(number - 1) * _PAGE : number * _PAGE]:
            _run_line(run)


def _run_line(run: RunRecord) -> None:
    columns = st.columns([1.25, 1.6, 3, 4, 1.9], vertical_alignment="center")
    columns[0].html(fragments.badge(run.status))
    with columns[1]:
        link(RUN, f"**{plain_label(run.suite)}**", run=run.id)
    label = safe_text(run.candidate.label, one_line=True, limit=90)
    columns[2].html(el("div", label, cls="hr-page hr-small"))
    columns[3].html(el("div", *(_metric_chip(found) for found in key_metrics(run)), cls="hr-page"))
    columns[4].html(
        el("div", f"{when(run.created)}", Html("<br/>"), f"n = {run.samples}", cls="hr-page hr-dim hr-small")
    )


def _metric_chip(found: object) -> Html:
    from harness.types import Estimate

    if not isinstance(found, Estimate):
        return Html()
    span = interval(found)
    return fragments.chip(f"{found.metric} {with_unit(found.value, found)}" + ("" if span == "—" else f" {span}"))


def _trend(found: Overview) -> None:
    st.subheader("How a metric moved", anchor=False)
    suites = sorted({run.suite for run in found.runs}, key=lambda name: -sum(run.suite == name for run in found.runs))
    left, right, _ = st.columns([2, 3, 2])
    suite = left.selectbox("Suite ", suites)
    runs = [run for run in found.runs if run.suite == suite]
    gated = [check.gate.metric for run in runs for check in run.checks]
    measured = [one.metric for run in runs for one in run.estimates]
    metrics = list(dict.fromkeys([name for name in gated if name in measured] + measured))
    metric = right.selectbox("Metric", metrics, key=f"trend-{suite}")
    chart = charts.trend_chart(runs, metric) if metric else None
    if chart is None:
        st.html(fragments.notice("info", "There is nothing to draw: the metric has no value in any run."))
        return
    st.altair_chart(chart, width="stretch", alt=f"{metric} over {len(runs)} runs of {suite}")
    if len({run.suite_fingerprint for run in runs}) > 1 or len({run.samples_fingerprint for run in runs}) > 1:
        st.html(el("div", "These runs were not all made on the same samples with the same measures.",
                   cls="hr-page hr-dim hr-small"))  # fmt: skip


def _decisions(found: Overview) -> None:
    st.subheader("Decisions", anchor=False)
    if not found.decisions:
        st.html(
            fragments.notice(
                "info", "No decisions yet. Make one with ", fragments.command("harness decide --adapter REF"), "."
            )
        )
        return
    rows = []
    for decision in found.decisions[:5]:
        promoted = fragments.chip(f"promoted {when(decision.promoted[-1])}") if decision.promoted else Html()
        broken = fragments.badge("broken") if decision.problem else Html()
        rows.append(
            (join([fragments.badge(decision.status), broken], " "), el("code", decision.id),
             join([decision.sentence, promoted], " "), when(decision.created))
        )  # fmt: skip
    with st.container(border=True):
        st.html(fragments.table(("status", "decision", "because", "when"), rows))
        link(DECISIONS, "All decisions and promotions")
