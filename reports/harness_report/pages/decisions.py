"""Decisions with all they rest on, and the history of promotions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import streamlit as st

from harness.errors import HarnessError
from harness.serial import from_json
from harness.types import Candidate
from harness_report import cached, fragments, reading
from harness_report.figures import when
from harness_report.links import RUN, link
from harness_report.markup import Html, el, plain_label

if TYPE_CHECKING:
    from harness.types import LedgerEntry
    from harness_report.reading import EnteredDecision, Overview

_PAGE = 10


def draw() -> None:
    """Draw the page."""
    found = cached.overview()
    st.html(el("h1", "Decisions", cls="hr-page hr-title"))
    _ledger()
    if not found.decisions:
        st.html(
            fragments.notice(
                "info", "No decisions yet. Make one with ", fragments.command("harness decide --adapter REF"), "."
            )
        )
    pages = -(-len(found.decisions) // _PAGE)
    number = st.pagination(pages, key="decisions") if pages > 1 else 1
    for decision in found.decisions[(number - 1) * _PAGE : number * _PAGE]:
        with st.container(border=True):
            _decision(decision, found)
    _history(found)


def _ledger() -> None:
    try:
        rows, head = reading.verify_ledger(cached.root())
    except HarnessError as error:
        st.html(fragments.notice("error", "The ledger does not hold: ", str(error)))
        return
    st.html(
        el("div", fragments.badge("passed", "ledger holds"),
           f" {rows} rows, each with the hash of the one before; head ",
           el("code", head[:16]), cls="hr-page hr-small")
    )  # fmt: skip


def _decision(decision: EnteredDecision, found: Overview) -> None:
    promoted = [fragments.chip(f"promoted {when(at)}") for at in decision.promoted]
    live = [fragments.badge("passed", "live")] if found.decision == decision.id else []
    st.html(
        el("div",
           el("div", fragments.badge(decision.status), el("span", decision.id, cls="hr-gate-title"), *live, *promoted,
              el("span", when(decision.created), cls="hr-dim hr-small"), cls="hr-gate-head"),
           el("p", decision.sentence, cls="hr-sentence"), cls="hr-gate")
    )  # fmt: skip
    record = decision.record
    if record is None:
        st.html(fragments.notice("error", fragments.badge("broken"), f" {decision.problem}"))
        return
    pairs: dict[str, str | Html] = {
        "candidate": record.candidate.label, "compared with": record.baseline.label, "policy": record.policy,
        "policy's fingerprint": el("code", record.policy_fingerprint[:16]),
        "attempt": f"{record.attempt}, each gate at the level {record.level:.3g}"
        if record.attempt else "none: exploratory",
    }  # fmt: skip
    st.html(fragments.facts(pairs))
    for veto in record.vetoes:
        st.html(fragments.notice("error", f"Vetoed by {veto.owner}: {veto.reason}"))
    st.html(fragments.checks_list(record.checks))
    with st.container(horizontal=True):
        for kind, runs in (("run", record.runs), ("baseline", record.baseline_runs)):
            for name in runs:
                run = found.run(name)
                if run is None:
                    st.html(el("span", f"{kind} {name} (not here)", cls="hr-page hr-dim hr-small"))
                else:
                    link(RUN, plain_label(f"{kind}: {run.suite} {run.id[-6:]} →"), run=name)
    if decision.status == "passed" and not decision.promoted:
        if record.review == "manual":
            approve = fragments.command(f"harness approve {decision.id} --reason …")
            st.html(el("div", "A person approves it with ", approve, cls="hr-page"))
        st.html(el("div", "Promote it with ", fragments.command(f"harness promote {decision.id}"), cls="hr-page"))


def _history(found: Overview) -> None:
    st.subheader("Promotions, refused ones and rollbacks", anchor=False)
    if not found.history:
        st.html(fragments.notice("info", "Nothing was promoted yet: the bare base is live."))
        return
    rows = [
        (str(entry.number), entry.kind, _candidate(entry), str(entry.body.get("decision", "")),
         _reason(entry), when(entry.created))
        for entry in reversed(found.history)
    ]  # fmt: skip
    with st.container(border=True):
        st.html(fragments.table(("entry", "what", "candidate", "decision", "reason", "when"), rows, numeric=(0,)))


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
