"""The first page: what is promoted, all runs, how metrics moved, and the newest decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.tables import counted, headline, interval
from harness_report import fragments
from harness_report.canvas import DECISIONS, RUN
from harness_report.figures import key_metrics, when
from harness_report.markup import Html, el, join
from harness_report.trend import trend_plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.types import Estimate, RunRecord
    from harness_report.canvas import Canvas
    from harness_report.reading import Overview
    from harness_report.source import Source

TITLE = "Overview"


def draw(canvas: Canvas, source: Source) -> None:
    """Draw the page."""
    from harness_report.choosing import choose_metric, choose_runs

    try:
        found = source.overview()
    except InputError as error:
        make = ("Make a workspace with ", fragments.command("harness init"), " or fill one with ",
                fragments.command("harness demo"), ".")  # fmt: skip
        canvas.html(fragments.notice("error", str(error)), fragments.notice("info", *make))
        return
    if _begin(canvas, found):
        canvas.heading("Runs")
        _runs(canvas, choose_runs(found))
        canvas.heading("How a metric moved")
        suite, metric = choose_metric(found, metrics_of)
        _trend(canvas, found, suite, metric)
        _decisions(canvas, found, 5)


def export(canvas: Canvas, source: Source) -> None:
    """Draw all runs, and how the first metric of each suite moved."""
    found = source.overview()
    if _begin(canvas, found):
        canvas.heading("Runs")
        _runs(canvas, list(reversed(found.runs)))
        canvas.heading("How a metric moved")
        for suite in found.suites:
            for metric in metrics_of(found, suite)[:1]:
                canvas.html(el("h4", suite))
                _trend(canvas, found, suite, metric)
    _decisions(canvas, found, len(found.decisions))


def _begin(canvas: Canvas, found: Overview) -> bool:
    """Draw what stands above the runs; False where there are none."""
    canvas.html(el("h1", TITLE, cls="hr-title"))
    statuses = [run.status for run in found.runs]
    promotable = sum(decision.status == "passed" for decision in found.decisions)
    others = ", ".join(f"{statuses.count(word)} {word}" for word in ("failed", "inconclusive", "ungated"))
    counts = (
        ("Promoted", *_promoted(found)), ("Runs", str(len(found.runs)), counted(len(found.suites), "suite")),
        ("Passed", str(statuses.count("passed")), others),
        ("Decisions", str(len(found.decisions)), f"{promotable} may be promoted"),
    )  # fmt: skip
    with canvas.card():
        for column, count in zip(canvas.columns(3, 1, 1, 1), counts, strict=True):
            with column:
                canvas.html(*_figure(*count))
    if found.problems:
        canvas.html(*(fragments.notice("error", fragments.badge("broken"), f" {one}") for one in found.problems))
    if not found.runs:
        canvas.html(fragments.no_runs())
    return bool(found.runs)


def _figure(name: str, value: str, note: str) -> tuple[Html, ...]:
    return (el("div", name, cls="hr-dim hr-small"), el("div", value, cls="hr-live"),
            el("div", note, cls="hr-dim hr-small"))  # fmt: skip


def _promoted(found: Overview) -> tuple[str, str]:
    """Say what is promoted, and since when and by what."""
    state = found.live
    if state is None:
        return "the bare base", "Nothing was promoted yet."
    label = "the bare base" if state.candidate is None else state.candidate.label
    label += " (served: its weights cannot be verified)" if state.verifiable is False else ""
    how = "promoted" if state.entry.kind == "promotion" else "rolled back"
    by = "" if found.decision is None else f" by decision {found.decision}"
    return label, f"{how} {when(state.entry.created)}{by} (ledger entry {state.entry.number})"


def _runs(canvas: Canvas, runs: Sequence[RunRecord]) -> None:
    if not runs:
        canvas.html(fragments.notice("info", "No run is like that."))
        return
    with canvas.card():
        for run, beneath in nested(runs):
            status, name, label, metrics, made = canvas.columns(1.25, 1.6, 3, 4, 1.9)
            with status:
                canvas.html(fragments.badge(run.status))
            with name:
                canvas.link(RUN, f"↳ {run.suite}" if beneath else run.suite, run=run.id)
            with label:
                said = [el("span", f"{beneath}: ", cls="hr-dim")] if beneath else []
                canvas.html(el("div", *said, run.candidate.label, cls="hr-small"))
            with metrics:
                canvas.html(*(_metric_chip(found) for found in key_metrics(run)))
            with made:
                canvas.html(el("div", when(run.created), Html("<br/>"), f"n = {run.samples}", cls="hr-dim hr-small"))


def nested(runs: Sequence[RunRecord]) -> list[tuple[RunRecord, str]]:
    """Return runs, each followed by the arms that its gates compared with, and as what these did: `baseline promoted`.

    An arm was never checked itself; one that several runs compared with stands below the first of them.
    """
    here = {run.id: run for run in runs}
    arms: dict[str, list[tuple[RunRecord, str]]] = {}
    placed: set[str] = set()
    for run in runs:
        for name, other in run.baseline_runs.items():
            arm = here.get(other)
            if arm is not None and not arm.checks and other != run.id and other not in placed:
                placed.add(other)
                arms.setdefault(run.id, []).append((arm, f"baseline {name}"))
    return [one for run in runs if run.id not in placed for one in ((run, ""), *arms.get(run.id, ()))]


def _metric_chip(found: Estimate) -> Html:
    span = interval(found)
    return fragments.chip(f"{found.metric} {headline(found)}" + ("" if span == "—" else f" {span}"))


def metrics_of(found: Overview, suite: str) -> list[str]:
    """Return the metrics of a suite's runs, those that gates rest on first."""
    runs = [run for run in found.runs if run.suite == suite]
    measured = [one.metric for run in runs for one in run.estimates]
    gated = [check.gate.metric for run in runs for check in run.checks if check.gate.metric in measured]
    return list(dict.fromkeys(gated + measured))


def _trend(canvas: Canvas, found: Overview, suite: str, metric: str | None) -> None:
    runs = [run for run in found.runs if run.suite == suite]
    promoted = None if found.live is None else found.live.fingerprint
    plot = trend_plot(runs, metric, promoted=promoted) if metric else None
    if plot is None:
        canvas.html(fragments.notice("info", "There is nothing to draw: the metric has no value in any run."))
        return
    canvas.html(plot)
    if len({run.suite_fingerprint for run in runs}) > 1 or len({run.samples_fingerprint for run in runs}) > 1:
        said = "These runs were not all made on the same samples with the same measures."
        canvas.html(el("div", said, cls="hr-dim hr-small"))


def _decisions(canvas: Canvas, found: Overview, most: int) -> None:
    canvas.heading("Decisions")
    if not found.decisions:
        canvas.html(fragments.no_decisions())
        return
    rows = []
    for decision in found.decisions[:most]:
        promoted = fragments.chip(f"promoted {when(decision.promoted[-1])}") if decision.promoted else Html()
        broken = fragments.badge("broken") if decision.problem else Html()
        rows.append(
            (join([fragments.badge(decision.status), broken], " "), el("code", decision.id),
             join([decision.sentence, promoted], " "), when(decision.created))
        )  # fmt: skip
    with canvas.card():
        canvas.html(fragments.table(("status", "decision", "because", "when"), rows))
        canvas.link(DECISIONS, "All decisions and promotions")
