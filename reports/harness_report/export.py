"""The whole report as one HTML file: no script, no outside resource, and a policy that forbids both."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness import __version__
from harness.errors import InputError
from harness.tables import interval, number
from harness_report import fragments, reading, samples
from harness_report.figures import gate_figure, key_metrics, metric_rows, principle_figures, when, with_unit
from harness_report.markup import Html, el, join
from harness_report.svg import gate_plot, metric_plot

if TYPE_CHECKING:
    from harness.types import RunRecord
    from harness_report.reading import Overview

BEGIN = "<!DOCTYPE html>\n<!-- Made by: harness report -->\n"
"""How an exported file begins, by which the command knows its own."""

_PAGE_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 1080px; padding: 1.5rem 1.2rem 4rem;
  background: light-dark(#fff, #10131a); color: light-dark(#1c2330, #e4e8ee); }
h1 { font-size: 1.7rem; } h2 { font-size: 1.3rem; margin-top: 2.6rem; } h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
section, details, .hr-card { border: 1px solid light-dark(#e2e5ea, #343a46); border-radius: .6rem;
  padding: .9rem 1.1rem; margin: .8rem 0; }
summary { cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
.hr-two { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: .8rem; align-items: center; }
svg { width: 100%; height: auto; color: light-dark(#5b6472, #a0a8b5); }
svg text { font: 10px system-ui, sans-serif; fill: currentColor; }
.hr-cell-plot { min-width: 9rem; } a { color: light-dark(#1f5fbf, #79b8ff); }
"""


def export_html(root: Path, *, most: int = 20) -> str:
    """Return the report of a workspace as one HTML document.

    Args:
        root: the workspace.
        most: at most so many samples of each run: those that violate a principle or are unscored come first.

    Raises:
        InputError: when there is no workspace.
        BrokenRunError: when its ledger is damaged.
    """
    found = reading.read_overview(root)
    style = (Path(__file__).parent / "style.css").read_text(encoding="utf-8") + _PAGE_STYLE
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'none'; script-src 'none'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = el(
        "head", el("meta", charset="utf-8"), el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"), el("title", "harness report"),
        Html(f"<style>{style}</style>"),
    )  # fmt: skip
    newest = list(reversed(found.runs))
    parts = [_overview(found, newest), _decisions(found), *(_run(root, found, run, most) for run in newest)]
    made = f"Made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by harness {__version__}."
    body = el("body", el("h1", "harness report"), el("p", made, cls="hr-dim"), *parts, cls="hr-page")
    return f"{BEGIN}{el('html', head, body, lang='en')}\n"


def _overview(found: Overview, newest: list[RunRecord]) -> Html:
    rows = [
        (fragments.badge(run.status), el("a", run.suite, href=f"#{_anchor(run)}"), run.candidate.label,
         str(run.samples), when(run.created),
         join([f"{found.metric} {with_unit(found.value, found)}" for found in key_metrics(run)], ", "))
        for run in newest
    ]  # fmt: skip
    table = fragments.table(("gates", "suite", "candidate", "n", "when", "first metrics"), rows, numeric=(3,))
    broken = [fragments.notice("error", fragments.badge("broken"), f" {problem}") for problem in found.problems]
    empty = [] if rows else [fragments.notice("info", "No runs yet. Start one with ", fragments.command("harness run"))]
    return join([el("section", _promoted(found)), *broken, el("h2", "Runs"), *(empty or [table])])


def _promoted(found: Overview) -> Html:
    state = found.live
    label = "the bare base" if state is None or state.candidate is None else state.candidate.label
    since = "nothing was promoted yet" if state is None else f"since {when(state.entry.created)}"
    by = f", by decision {found.decision}" if found.decision else ""
    return join([el("div", "Promoted", cls="hr-dim hr-small"), el("div", label, cls="hr-live"),
                 el("div", since + by, cls="hr-dim hr-small")])  # fmt: skip


def _anchor(run: RunRecord) -> str:
    return f"run-{run.id}"


def _decisions(found: Overview) -> Html:
    if not found.decisions:
        return Html()
    rows = [
        (fragments.badge("broken" if decision.problem else decision.status), el("code", decision.id),
         decision.problem or decision.sentence, when(decision.created),
         ", ".join(when(at) for at in decision.promoted) or "—")
        for decision in found.decisions
    ]  # fmt: skip
    columns = ("status", "decision", "because", "when", "promoted")
    return join([el("h2", "Decisions"), fragments.table(columns, rows)])


def _run(root: Path, found: Overview, run: RunRecord, most: int) -> Html:
    baseline = next((other for name in run.baseline_runs.values() if (other := found.run(name)) is not None), None)
    head = el("h2", run.suite, Html(" "), fragments.badge(run.status), id=_anchor(run))
    label = el("p", f"{run.candidate.label} · {run.samples} samples · {when(run.created)}", cls="hr-dim")
    parts: list[Html] = [head, label]
    problem = reading.integrity(root, run.id)
    if problem is not None:
        parts.append(fragments.notice("error", "The stored files cannot be trusted: ", problem))
    if run.notes:
        parts.append(fragments.notes(run.notes))
    for check in run.checks:
        plot = gate_plot(gate_figure(check))
        parts.append(el("section", el("div", fragments.gate_text(check), plot, cls="hr-two")))
    if run.drift is not None:
        parts += [el("h3", "Drift"), fragments.drift(run)]
    rows = metric_rows(run, baseline)
    parts += [el("h3", "Metrics"), fragments.metrics_table(rows, metric_plot, baseline=baseline is not None)]
    parts.append(_principles(root, run, baseline))
    not_run = [status for status in run.classifiers if not status.ran]
    parts += [fragments.notice("warning", f"The classifier {status.name} did not run: {status.reason}")
              for status in not_run]  # fmt: skip
    parts.append(_samples(root, run, most))
    parts.append(el("details", el("summary", "What it was made of"), fragments.run_facts(run),
                    fragments.fingerprints(run)))  # fmt: skip
    return join(parts)


def _principles(root: Path, run: RunRecord, baseline: RunRecord | None) -> Html:
    try:
        figures = principle_figures(run, reading.constitutions(root, run.id), baseline)
    except InputError as error:
        return fragments.notice("error", str(error))
    if not figures:
        return Html()
    rows = []
    for figure in figures:
        found = figure.estimate
        follows = "not measured" if found is None else f"{number(found.value, found)} {interval(found)}"
        unscored = "" if found is None else f"{found.unscored} of {found.n}"
        rows.append((figure.principle.id, figure.principle.text.strip(), follows, unscored, figure.standing))
    columns = ("principle", "rule", "follows", "unscored", "standing")
    return join([el("h3", "Adherence to principles"), fragments.table(columns, rows)])


def _samples(root: Path, run: RunRecord, most: int) -> Html:
    if most == 0:
        return Html()
    try:
        judged = reading.constitutions(root, run.id)
        index = samples.read_index(
            root, run.id, judged, not_run=[status.name for status in run.classifiers if not status.ran]
        )
        chosen = sorted(index.entries, key=lambda entry: (not _notable(entry.marks), entry.position))[:most]
        records = samples.read_at(root, run.id, [entry.position for entry in chosen])
    except InputError as error:
        return fragments.notice("error", str(error))
    thresholds = {p.id: p.threshold for constitution in judged for p in constitution.principles}
    parts = []
    for entry in chosen:
        record = records[entry.position]
        answers = fragments.generated(record.replies)
        shown = [
            fragments.reply(answer, record.findings if place == 0 else {}, title="reply")
            for place, answer in enumerate(answers)
        ]
        likelihoods = fragments.likelihoods_list(record.replies)
        marks = [fragments.chip(mark) for mark in sorted(entry.marks)]
        parts.append(
            el("details", el("summary", entry.id, Html(" "), *marks),
               fragments.conversation(record.sample.messages), *shown, *([likelihoods] if likelihoods else []),
               *([fragments.verdicts_list(record.verdicts, thresholds)] if record.verdicts else []),
               *([fragments.findings_list(record.findings)] if record.findings else []),
               fragments.rows_list(record.rows))
        )  # fmt: skip
    title = f"Samples ({len(chosen)} of {len(index.entries)}, what is notable first)"
    return join([el("h3", title), *parts])


def _notable(marks: frozenset[str]) -> bool:
    return bool(marks & {samples.VIOLATES, samples.UNSCORED, samples.NO_REPLY})
