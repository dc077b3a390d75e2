"""Markdown for the page of a CI job: of what models, data and plugins say, nothing is obeyed."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from harness.api.commands import (
    confidence_of,
    describe_gate,
    headline,
    interval,
    one_confidence,
    reason,
    safe_text,
)
from harness_ci.junit import UNGATED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import Decision
    from harness.api.commands import Checked

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>$])")
_MARK = {"passed": "✅ passed", "failed": "❌ failed", "inconclusive": "❔ inconclusive",
         "not_applicable": "➖ not applicable", "ungated": "➖ ungated"}  # fmt: skip


def markdown_summary(checked: Sequence[Checked], decision: Decision | None = None) -> str:
    """Return headings, a table of gates with their reasons, and the metrics with intervals behind a fold."""
    lines: list[str] = []
    if decision is not None:
        arms = f"Candidate {_text(decision.candidate.label)}, baseline {_text(decision.baseline.label)}"
        lines += [f"## {_MARK[decision.status]}: policy {_text(decision.policy)}", "", _text(decision.sentence), ""]
        lines += [f"{arms}, decision `{decision.id}`.", ""]
        lines += [f"- not asked for: {_text(text)}" for text in decision.left_out]
        lines += [f"- vetoed by {_text(veto.owner)}: {_text(veto.reason)}" for veto in decision.vetoes]
    for item in checked:
        lines += [f"### {_text(item.run.suite)}: {item.run.samples} samples of {_text(item.run.candidate.label)}", ""]
        if item.checks:
            level = one_confidence(one for check in item.checks if (one := confidence_of(check)))
            lines += [
                f"| gate | verdict | {f'because, with {level} intervals' if level else 'because'} |",
                "|---|---|---|",
            ]
            lines += [
                f"| {_text(describe_gate(check))} | {_MARK[check.status]} | "
                f"{_text(reason(check, labelled=not level))} |"
                for check in item.checks
            ]
        else:
            lines.append("This run has no gates.")
        if item.checks and item.status == "ungated":
            lines += ["", f"{_MARK['ungated']}: {UNGATED}."]
        lines += ["", *(f"- note: {_text(note)}" for note in (*item.run.notes, *item.notes)), ""]
        lines += [f"<details><summary>Metrics of run {html.escape(item.run.id)}</summary>", ""]
        shared = one_confidence(e.confidence for e in item.run.estimates if e.low is not None)
        lines += [f"| metric | value | {f'{shared} interval' if shared else 'interval'} | n | unscored |"]
        lines += ["|---|---|---|---|---|"]
        lines += [
            f"| {_text(e.metric)} | {_text(headline(e))} | {_text(interval(e, labelled=not shared))} "
            f"| {e.n} | {e.unscored} |"
            for e in item.run.estimates
        ]
        lines += ["", "</details>", ""]
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """Return text of unknown origin on one line, in which Markdown and HTML find nothing to obey."""
    plain = html.escape(safe_text(text, one_line=True), quote=False)
    return _MARKUP.sub(r"\\\1", plain).replace("@", "&#64;").replace("://", ":&#47;/").replace("www\\.", "www&#46;")
