"""One run: gates, metrics, principles, findings, what it was made of, and plugins' sections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.tables import headline, interval
from harness_report import fragments
from harness_report.canvas import SAMPLES
from harness_report.figures import gate_figure, metric_rows, principle_figures, when
from harness_report.markup import Html, el
from harness_report.plots import gate_plot, labels_plot, metric_plot, principles_plot
from harness_report.samples import FOUND_AT
from harness_report.sections import draw_sections

if TYPE_CHECKING:
    from harness.types import RunRecord
    from harness_report.canvas import Canvas
    from harness_report.figures import PrincipleFigure
    from harness_report.samples import Index
    from harness_report.source import Source

TITLE = "Run"
_LEGEND = Html(
    '<div class="hr-legend"><b class="hr-is-cand"></b>candidate<b class="hr-is-base"></b>baseline; '
    "the bar is the interval</div>"
)


def draw(canvas: Canvas, source: Source) -> None:
    """Draw the run that the person chooses."""
    from harness_report.choosing import choose

    run, baseline = choose(source.overview())
    if run is not None:
        _show(canvas, source, run, baseline)


def export_run(canvas: Canvas, source: Source, run: RunRecord, most: int) -> None:  # noqa: ARG001 - samples have a page
    """Draw one run beside the first that its gates compared with."""
    found = source.overview()
    baseline = next((other for name in run.baseline_runs.values() if (other := found.run(name)) is not None), None)
    _show(canvas, source, run, baseline)


def _show(canvas: Canvas, source: Source, run: RunRecord, baseline: RunRecord | None) -> None:
    _head(canvas, source, run)
    _gates(canvas, run)
    if run.precision is not None:
        canvas.heading("Precision")
        with canvas.card():
            canvas.html(fragments.precision(run))
    _metrics(canvas, run, baseline)
    index = _index(canvas, source, run)
    _principles(canvas, source, run, baseline, index)
    if index is not None:
        _findings(canvas, run, index)
    canvas.heading("What it was made of")
    with canvas.card():
        canvas.html(fragments.run_facts(run))
    with canvas.fold("Fingerprints"):
        canvas.html(fragments.fingerprints(run))
    draw_sections(canvas, source, run)


def _head(canvas: Canvas, source: Source, run: RunRecord) -> None:
    said = f"{run.candidate.label} · {run.samples} samples · {when(run.created)}"
    canvas.html(
        el("div", el("h1", run.suite, cls="hr-title"), fragments.badge(run.status), cls="hr-gate-head"),
        el("div", said, cls="hr-dim"),
    )
    problem = source.integrity(run)
    if problem is not None:
        canvas.html(fragments.notice("error", "The stored files cannot be trusted: ", problem))
    if run.notes:
        canvas.html(fragments.notes(run.notes))
    canvas.link(SAMPLES, "Look at the samples of this run →", run=run.id)


def _gates(canvas: Canvas, run: RunRecord) -> None:
    canvas.heading("Gates")
    if not run.checks:
        canvas.html(fragments.notice("info", "This suite has no gates: the run informs, and decides nothing."))
    for check in run.checks:
        with canvas.card():
            left, right = canvas.columns(3, 2)
            with left:
                canvas.html(fragments.gate_text(check))
            with right:
                canvas.html(gate_plot(gate_figure(check)))


def _metrics(canvas: Canvas, run: RunRecord, baseline: RunRecord | None) -> None:
    canvas.heading("Metrics")
    rows = metric_rows(run, baseline)
    if not rows:
        canvas.html(fragments.notice("info", "Nothing was measured."))
        return
    canvas.html(_LEGEND)
    with canvas.card():
        canvas.html(fragments.metrics_table(rows, metric_plot, baseline=baseline is not None))
    levels = sorted({f"{100 * row.estimate.confidence:g} %" for row in rows if row.estimate.low is not None})
    if levels:
        said = f"Intervals are two-sided at {', '.join(levels)}. An unscored sample stays in n."
        canvas.html(el("div", said, cls="hr-dim hr-small"))


def _principles(
    canvas: Canvas, source: Source, run: RunRecord, baseline: RunRecord | None, index: Index | None
) -> None:  # fmt: skip
    try:
        figures = principle_figures(run, source.constitutions(run), baseline)
    except InputError as error:
        canvas.html(fragments.notice("error", str(error)))
        return
    if not figures:
        return
    canvas.heading("Adherence to principles")
    with canvas.card():
        for standing in dict.fromkeys(figure.standing for figure in figures):
            names = ", ".join(figure.principle.id for figure in figures if figure.standing == standing)
            every = all(figure.standing == standing for figure in figures)
            canvas.html(el("div", standing if every else f"{names}: {standing}", cls="hr-dim hr-small"))
        spoken = [figure for figure in figures if figure.estimate is not None and figure.estimate.n]
        plot = principles_plot(spoken)
        rows = [
            (figure.principle.id, figure.principle.text.strip(),
             f"{', '.join(figure.principle.critics)}, from {figure.principle.threshold:g}", *_followed(figure))
            for figure in spoken
        ]  # fmt: skip
        columns = ("principle", "rule", "critics", "follows", "unscored")
        if spoken:
            canvas.html(*([] if plot is None else [plot]), fragments.table(columns, rows, numeric=(3, 4)))
        for figure in figures:
            mark = f"violates {figure.principle.id}"
            if canvas.live and index is not None and mark in index.marks:
                canvas.link(SAMPLES, f"{mark} →", run=run.id, mark=mark)
    silent = [figure for figure in figures if figure not in spoken]
    if silent:
        with canvas.fold(f"{len(silent)} principles that speak of none of these samples"):
            told = [(figure.principle.id, figure.principle.text.strip()) for figure in silent]
            canvas.html(fragments.table(("principle", "rule"), told))


def _followed(figure: PrincipleFigure) -> tuple[str, str]:
    found = figure.estimate
    if found is None:
        return "not measured", ""
    return f"{headline(found)} {interval(found)}", f"{found.unscored} of {found.n}"


def _index(canvas: Canvas, source: Source, run: RunRecord) -> Index | None:
    """Return the run's samples; None, after saying why, where they cannot be read."""
    try:
        return source.index(run)
    except InputError as error:
        canvas.html(fragments.notice("error", str(error)))
        return None


def _findings(canvas: Canvas, run: RunRecord, index: Index) -> None:
    if index.reasons:
        with canvas.fold(f"Why something is unscored ({sum(index.reasons.values())})"):
            rows = [(reason, str(count)) for reason, count in list(index.reasons.items())[:30]]
            canvas.html(fragments.table(("reason", "times"), rows, numeric=(1,)))
    if run.classifiers:
        canvas.heading("What classifiers found")
    for status in run.classifiers:
        with canvas.card():
            word = fragments.badge("passed", "ran") if status.ran else fragments.badge("inconclusive", "not run")
            canvas.html(el("div", word, el("span", status.name, cls="hr-gate-title"), cls="hr-gate-head"))
            if not status.ran:
                said = f"The classifier {status.name} did not run: {status.reason or 'it gave no reason'}"
                canvas.html(fragments.notice("warning", said))
                continue
            counts = [count for count in index.labels if count.classifier == status.name]
            missing = index.unscored_findings.get(status.name, 0)
            said = f"{len(index.entries) - missing} replies classified" + (f", {missing} unscored" if missing else "")
            canvas.html(el("div", f"{said}; a label counts from a probability of {FOUND_AT:g}", cls="hr-dim hr-small"))
            canvas.html(labels_plot(counts) if counts else "No label on any reply.")
            for count in counts[:6] if canvas.live else ():
                mark = f"{status.name}: {count.label}"
                canvas.link(SAMPLES, f"{count.label}: {count.samples} →", run=run.id, mark=mark)
