"""One run: gates, metrics, principles, findings, what it was made of, and plugins' sections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from harness.errors import InputError
from harness.terminal import safe_text
from harness_report import cached, charts, fragments
from harness_report.choosing import choose_baseline, choose_run
from harness_report.figures import gate_figure, metric_rows, principle_figures, when
from harness_report.links import SAMPLES, link
from harness_report.markup import Html, el, join, plain_label

if TYPE_CHECKING:
    from harness.types import RunRecord
    from harness_report.figures import PrincipleFigure
    from harness_report.samples import Index

_LEGEND = Html(
    '<div class="hr-page hr-legend"><b class="hr-cand"></b>candidate<b class="hr-base"></b>baseline; '
    "the bar is the interval</div>"
)


def draw() -> None:
    """Draw the page."""
    found = cached.overview()
    left, right = st.columns(2)
    with left:
        run = choose_run(found)
    if run is None:
        return
    with right:
        baseline = choose_baseline(run, found)
    _head(run)
    _gates(run)
    _drift(run)
    _metrics(run, baseline)
    _principles(run, baseline)
    _findings(run)
    _made_of(run)
    _sections(run)


def _head(run: RunRecord) -> None:
    st.html(
        el("div",
           el("div", el("h1", run.suite, cls="hr-title"), fragments.badge(run.status), cls="hr-gate-head"),
           el("div", f"{safe_text(run.candidate.label, one_line=True)} · {run.samples} samples · {when(run.created)}",
              cls="hr-dim"), cls="hr-page")
    )  # fmt: skip
    problem = cached.integrity(run)
    if problem is not None:
        st.html(fragments.notice("error", "The stored files cannot be trusted: ", problem))
    if run.notes:
        st.html(fragments.notes(run.notes))
    link(SAMPLES, "Look at the samples of this run →", run=run.id)


def _gates(run: RunRecord) -> None:
    st.subheader("Gates", anchor=False)
    if not run.checks:
        st.html(fragments.notice("info", "This suite has no gates: the run informs, and decides nothing."))
    for number, check in enumerate(run.checks):
        figure = gate_figure(check)
        with st.container(border=True):
            left, right = st.columns([3, 2], vertical_alignment="center")
            left.html(fragments.gate_text(check))
            chart = charts.gate_chart(figure)
            if chart is not None:
                right.altair_chart(chart, width="stretch", alt=charts.gate_alt(figure), key=f"gate-{run.id}-{number}")


def _drift(run: RunRecord) -> None:
    if run.drift is None:
        return
    st.subheader("Drift", anchor=False)
    with st.container(border=True):
        st.html(fragments.drift(run))


def _metrics(run: RunRecord, baseline: RunRecord | None) -> None:
    st.subheader("Metrics", anchor=False)
    rows = metric_rows(run, baseline)
    if not rows:
        st.html(fragments.notice("info", "Nothing was measured."))
        return
    levels = {f"{100 * row.estimate.confidence:g} %" for row in rows if row.estimate.low is not None}
    st.html(_LEGEND)
    with st.container(border=True):
        st.html(fragments.metrics_table(rows, fragments.bar, baseline=baseline is not None))
    if levels:
        st.html(
            el("div", f"Intervals are two-sided at {', '.join(sorted(levels))}. An unscored sample stays in n.",
               cls="hr-page hr-dim hr-small")
        )  # fmt: skip


def _principles(run: RunRecord, baseline: RunRecord | None) -> None:
    try:
        figures = principle_figures(run, cached.constitutions(run), baseline)
    except InputError as error:
        st.html(fragments.notice("error", str(error)))
        return
    if not figures:
        return
    st.subheader("Adherence to principles", anchor=False)
    with st.container(border=True):
        for standing in dict.fromkeys(figure.standing for figure in figures):
            names = ", ".join(figure.principle.id for figure in figures if figure.standing == standing)
            every = all(figure.standing == standing for figure in figures)
            st.html(el("div", standing if every else f"{names}: {standing}", cls="hr-page hr-dim hr-small"))
        chart = charts.adherence_chart(figures)
        if chart is not None:
            st.altair_chart(chart, width="stretch", alt="; ".join(_principle_words(figure) for figure in figures))
        st.html(
            fragments.table(
                ("principle", "rule", "critics", "follows", "unscored"),
                [
                    (figure.principle.id, figure.principle.text.strip(),
                     f"{', '.join(figure.principle.critics)}, from {figure.principle.threshold:g}",
                     _share(figure), _unscored(figure))
                    for figure in figures
                ],
                numeric=(3, 4),
            )
        )  # fmt: skip
        index = _index(run)
        broken = [f for f in figures if index is not None and f"violates {f.principle.id}" in index.marks]
        if broken:
            with st.container(horizontal=True):
                for figure in broken:
                    mark = f"violates {figure.principle.id}"
                    link(SAMPLES, plain_label(f"{mark} →"), run=run.id, mark=mark)


def _share(figure: PrincipleFigure) -> str:
    from harness.tables import interval, number

    found = figure.estimate
    return "not measured" if found is None else f"{number(found.value, found)} {interval(found)}"


def _unscored(figure: PrincipleFigure) -> str:
    found = figure.estimate
    return "" if found is None else f"{found.unscored} of {found.n}"


def _principle_words(figure: PrincipleFigure) -> str:
    return f"{figure.principle.id} {_share(figure)}"


def _index(run: RunRecord) -> Index | None:
    """Return the run's samples; None, after saying why, where they cannot be read."""
    try:
        return cached.index(run)
    except InputError as error:
        st.html(fragments.notice("error", str(error)))
        return None


def _findings(run: RunRecord) -> None:
    index = _index(run)
    if index is None:
        return
    if index.reasons:
        with st.expander(f"Why something is unscored ({sum(index.reasons.values())})"):
            rows = [(reason, str(count)) for reason, count in list(index.reasons.items())[:30]]
            st.html(fragments.table(("reason", "times"), rows, numeric=(1,)))
    if not run.classifiers:
        return
    st.subheader("What classifiers found", anchor=False)
    columns = st.columns(min(2, len(run.classifiers)))
    for number, status in enumerate(run.classifiers):
        with columns[number % len(columns)], st.container(border=True):
            word = fragments.badge("passed", "ran") if status.ran else fragments.badge("inconclusive", "not run")
            st.html(el("div", word, el("span", status.name, cls="hr-gate-title"), cls="hr-gate hr-gate-head"))
            if not status.ran:
                st.html(fragments.notice("warning", status.reason or "it gave no reason"))
                continue
            counts = [count for count in index.labels if count.classifier == status.name]
            missing = index.unscored_findings.get(status.name, 0)
            said = f"{len(index.entries) - missing} replies classified" + (f", {missing} unscored" if missing else "")
            st.html(el("div", f"{said}; a label counts from a probability of 0.5", cls="hr-page hr-dim hr-small"))
            if not counts:
                st.html(el("div", "No label on any reply.", cls="hr-page"))
                continue
            st.altair_chart(charts.labels_chart(counts), width="stretch", key=f"labels-{run.id}-{number}",
                            alt="; ".join(f"{c.label}: {c.samples} of {c.scored}" for c in counts))  # fmt: skip
            with st.container(horizontal=True):
                for count in counts[:6]:
                    mark = f"{status.name}: {count.label}"
                    link(SAMPLES, plain_label(f"{count.label}: {count.samples} →"), run=run.id, mark=mark)


def _made_of(run: RunRecord) -> None:
    st.subheader("What it was made of", anchor=False)
    with st.container(border=True):
        st.html(fragments.run_facts(run))
    with st.expander("Fingerprints"):
        st.html(fragments.fingerprints(run))


def _sections(run: RunRecord) -> None:
    """Draw plugins' sections; one that breaks says so in its place."""
    plugins = cached.plugins()
    for broken in plugins.broken:
        st.html(fragments.notice("warning", f"The plugin {broken.name} is broken: {broken.reason}"))
    for entry in plugins.registries.report_sections:
        st.subheader(plain_label(entry.value.title), anchor=False)
        try:
            entry.value.render(run, cached.root() / "runs" / run.id)
        except Exception as error:  # noqa: BLE001 - one plugin's mistake must not cost the page
            said = f"The section of the plugin {entry.owner} failed: {type(error).__name__}: {error}"
            st.html(fragments.notice("error", join([said])))
