"""Decisions with all they rest on, and the history of promotions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.serial import from_json
from harness.types import Candidate
from harness_report import fragments, reading
from harness_report.canvas import RUN
from harness_report.curves import curve_plot
from harness_report.figures import when
from harness_report.markup import Html, el
from harness_report.power import power_curves, power_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.types import LedgerEntry
    from harness_report.canvas import Canvas
    from harness_report.reading import EnteredDecision, Overview
    from harness_report.source import Source

TITLE = "Decisions"


def draw(canvas: Canvas, source: Source) -> None:
    """Draw the page."""
    from harness_report.choosing import choose_part

    found = source.overview()
    _show(canvas, source, choose_part(found.decisions, 10, key="decisions"))


def export(canvas: Canvas, source: Source) -> None:
    """Draw all decisions."""
    _show(canvas, source, source.overview().decisions)


def _show(canvas: Canvas, source: Source, decisions: Sequence[EnteredDecision]) -> None:
    found = source.overview()
    canvas.html(el("h1", TITLE, cls="hr-title"))
    _ledger(canvas, source)
    if not decisions:
        canvas.html(fragments.no_decisions())
    for decision in decisions:
        with canvas.card():
            _decision(canvas, decision, found)
    _history(canvas, found)


def _ledger(canvas: Canvas, source: Source) -> None:
    try:
        rows, head = reading.verify_ledger(source.root)
    except HarnessError as error:
        canvas.html(fragments.notice("error", "The ledger does not hold: ", str(error)))
        return
    said = f" {rows} rows, each with the hash of the one before; head "
    canvas.html(el("div", fragments.badge("passed", "ledger holds"), said, el("code", head[:16]), cls="hr-small"))


def _decision(canvas: Canvas, decision: EnteredDecision, found: Overview) -> None:
    promoted = [fragments.chip(f"promoted {when(at)}") for at in decision.promoted]
    live = [fragments.badge("passed", "live")] if found.decision == decision.id else []
    canvas.html(
        el("div", fragments.badge(decision.status), el("span", decision.id, cls="hr-gate-title"), *live, *promoted,
           el("span", when(decision.created), cls="hr-dim hr-small"), cls="hr-gate-head"),
        el("p", decision.sentence, cls="hr-sentence"),
    )  # fmt: skip
    record = decision.record
    if record is None:
        canvas.html(fragments.notice("error", fragments.badge("broken"), f" {decision.problem}"))
        return
    pairs: dict[str, str | Html] = {
        "candidate": record.candidate.label, "compared with": record.baseline.label, "policy": record.policy,
        "policy's fingerprint": el("code", record.policy_fingerprint[:16]),
        "attempt": f"{record.attempt}, each gate at the level {record.level:.3g}"
        if record.attempt else "none: exploratory",
    }  # fmt: skip
    if not record.verifiable:
        pairs["weights"] = "of a served model: nobody here can verify them"
    vetoes = [fragments.notice("error", f"Vetoed by {veto.owner}: {veto.reason}") for veto in record.vetoes]
    canvas.html(fragments.facts(pairs), *vetoes, fragments.checks_list(record.checks))
    curves = power_curves(record.checks)
    if curves:
        with canvas.fold("How often such gates pass, by what is true"):
            canvas.html(curve_plot(curves, "true effect in margins, where 0 is an equal candidate,"))
            canvas.html(fragments.table(("true effect", *curves), power_rows(curves), numeric=(1, 2)))
    for kind, runs in (("run", record.runs), ("baseline", record.baseline_runs)):
        for name in runs:
            run = found.run(name)
            if run is None:
                canvas.html(el("span", f"{kind} {name} (not here)", cls="hr-dim hr-small"))
            else:
                canvas.link(RUN, f"{kind}: {run.suite} {run.id[-6:]} →", run=name)
    if decision.status == "passed" and not decision.promoted:
        if record.review == "manual":
            canvas.html("A person approves it with ", fragments.command(f"harness approve {decision.id} --reason …"))
        canvas.html("Promote it with ", fragments.command(f"harness promote {decision.id}"))


def _history(canvas: Canvas, found: Overview) -> None:
    canvas.heading("Promotions, refused ones and rollbacks")
    if not found.history:
        canvas.html(fragments.notice("info", "Nothing was promoted yet: the bare base is live."))
        return
    rows = [
        (str(entry.number), entry.kind, _candidate(entry), str(entry.body.get("decision", "")),
         _reason(entry), when(entry.created))
        for entry in reversed(found.history)
    ]  # fmt: skip
    with canvas.card():
        canvas.html(fragments.table(("entry", "what", "candidate", "decision", "reason", "when"), rows, numeric=(0,)))


def _reason(entry: LedgerEntry) -> str:
    if entry.kind == "refusal":
        return "; ".join(f"vetoed by {veto['owner']}: {veto['reason']}" for veto in entry.body.get("vetoes", ()))
    return str(entry.body.get("reason", ""))


def _candidate(entry: LedgerEntry) -> str:
    stored = entry.body.get("candidate")
    if stored is None:
        return "the bare base"
    try:
        return from_json(Candidate, json.dumps(stored)).label
    except HarnessError:
        return "(unreadable)"
