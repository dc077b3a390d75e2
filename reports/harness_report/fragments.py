"""Pieces of pages as safe HTML: badges, tables, conversations, highlighted findings."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from harness.tables import PRECISION_COLUMNS, headline, interval, precision_line, precision_rows
from harness.types import Completion, LogLikelihood, LogProb, NoReply, NotApplicable, Unscored
from harness_report.figures import MARKS, gate_figure
from harness_report.markup import Html, el, join, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.types import Check, Finding, Findings, Message, Reply, Request, Row, RunRecord, Verdict
    from harness_report.figures import MetricRow

_ARROWS = {"higher": "↑ higher", "lower": "↓ lower", "neither": ""}


def badge(status: str, word: str | None = None) -> Html:
    """Return a status as a mark, a word and a colour."""
    words = {"not_applicable": "not applicable", "broken": "unreadable"}
    return el("span", f"{MARKS.get(status, '·')} {word or words.get(status, status)}", cls=f"hr-badge hr-{status}")


def chip(word: str, kind: str = "") -> Html:
    """Return a small label, such as a tag."""
    return el("span", word, cls=f"hr-chip {kind}".strip())


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Html]], *, numeric: Iterable[int] = ()) -> Html:
    """Return a table; cells that are not `Html` are escaped."""
    right = set(numeric)

    def cls(position: int) -> str:
        return "hr-num" if position in right else ""

    head = el("tr", *(el("th", column, cls=cls(n), scope="col") for n, column in enumerate(columns)))
    body = [el("tr", *(el("td", cell, cls=cls(n)) for n, cell in enumerate(row))) for row in rows]
    inner = el("table", el("thead", head), el("tbody", *body), cls="hr-table")
    return el("div", inner, cls="hr-scroll")


def facts(pairs: Mapping[str, str | Html]) -> Html:
    """Return names beside values."""
    items = [el("div", el("dt", name), el("dd", value)) for name, value in pairs.items() if value != ""]
    return el("dl", *items, cls="hr-facts")


def notice(kind: str, *children: str | Html) -> Html:
    """Return a box; `kind` is `info`, `warning` or `error`."""
    return el("div", *children, cls=f"hr-notice hr-notice-{kind}", role="note")


def notes(sentences: Iterable[str]) -> Html:
    """Return what a reader must know, as a list."""
    return el("ul", *(el("li", sentence) for sentence in sentences), cls="hr-notes")


def command(line: str) -> Html:
    """Return a command that a person may type."""
    return el("code", line, cls="hr-command")


def no_runs() -> Html:
    """Say what to type where nothing was run yet."""
    start, see = command("harness run SUITE --model smollm2-135m"), command("harness demo")
    return notice("info", el("b", "No runs yet."), " Start one with ", start, " or see it all with ", see, ".")


def no_decisions() -> Html:
    """Say what to type where nothing was decided yet."""
    return notice("info", "No decisions yet. Make one with ", command("harness decide --adapter REF"), ".")


def gate_text(check: Check) -> Html:
    """Return a gate's condition, verdict and sentence."""
    figure = gate_figure(check)
    numbers = [el("span", "candidate ", el("b", figure.candidate))]
    if figure.baseline is not None:
        numbers.append(el("span", f"{check.gate.to or 'promoted'} ", el("b", figure.baseline)))
    if check.corrected is not None and check.estimate is not None:
        numbers.append(el("span", "as labelled ", el("b", headline(check.estimate))))
    if check.anchor is not None and check.anchor.baseline is not None:
        anchor = headline(check.anchor.baseline)
        numbers.append(el("span", f"{check.gate.anchor} ", el("b", anchor)))
    if figure.p is not None:
        numbers.append(el("span", "p ", el("b", "< 0.001" if figure.p < 0.001 else f"{figure.p:.3f}")))
    numbers.append(el("span", f"α {check.gate.alpha:g}", cls="hr-dim"))
    numbers.append(el("span", figure.method, cls="hr-dim"))
    return el(
        "div",
        el("div", badge(figure.status), el("span", figure.title, cls="hr-gate-title"), cls="hr-gate-head"),
        el("p", figure.sentence, cls="hr-sentence"),
        el("div", *numbers, cls="hr-numbers"),
        cls="hr-gate",
    )


def checks_list(checks: Iterable[tuple[str, Check]]) -> Html:
    """Return gates as a compact table."""
    rows = []
    for suite, check in checks:
        figure = gate_figure(check)
        rows.append((badge(figure.status), suite, figure.title, figure.sentence))
    return table(("verdict", "suite", "gate", "because"), rows)


def metrics_table(rows: Iterable[MetricRow], plot: Callable[[MetricRow], Html], *, baseline: bool) -> Html:
    """Return a run's metrics; `plot` draws one row's intervals."""
    cells = []
    for row in rows:
        found, other = row.estimate, row.baseline
        name = el("span", found.metric, chip("gated", "hr-chip-quiet") if row.gated else Html(), cls="hr-nowrap")
        beside = [headline(other) if other is not None else "—"] if baseline else []
        unscored = chip(f"{found.unscored} of {found.n}", "hr-chip-warn") if found.unscored else "0"
        note = el("span", join([found.method, *([found.note] if found.note else [])], " · "), cls="hr-dim")
        cells.append(
            (name, headline(found), interval(found), plot(row), *beside, str(found.n), unscored,
             el("span", _ARROWS[found.direction], cls="hr-nowrap"), note)
        )  # fmt: skip
    head = ["metric", "value", "interval", "", *(["baseline"] if baseline else []), "n", "unscored", "better", "method"]
    numeric = (1, 2, 4, 5) if baseline else (1, 2, 4)
    return table(head, cells, numeric=numeric)


def conversation(messages: Iterable[Message]) -> Html:
    """Return turns, each with who said it."""
    turns = [
        el("div", el("div", message.role, cls="hr-role"), el("div", message.content, cls="hr-text", dir="auto"),
           cls=f"hr-turn hr-turn-{message.role}")
        for message in messages
    ]  # fmt: skip
    return el("div", *turns, cls="hr-conversation")


def reply(answer: Reply, findings: Mapping[str, Findings], *, title: str) -> Html:
    """Return a reply with its findings' spans marked within the text."""
    cls = "hr-turn hr-turn-assistant" + (" hr-turn-baseline" if title.startswith("baseline") else "")
    if isinstance(answer, NoReply):
        body = el("div", badge("inconclusive", "unscored"), Html(" "), f"no reply: {answer.reason}")
        return el("div", el("div", title, cls="hr-role"), body, cls=cls)
    if isinstance(answer, LogProb):
        return el("div", f"log-probability {answer.logprob:.3f} over {answer.tokens} tokens")
    spans = [
        (name, item) for name, found in findings.items() if not isinstance(found, Unscored)
        for item in found if item.span is not None
    ]  # fmt: skip
    cut = chip("cut at max_new_tokens", "hr-chip-warn") if answer.finish == "length" else Html()
    shown = highlighted(answer.text, spans) if answer.text else el("span", "(empty)", cls="hr-dim")
    return el(
        "div", el("div", title, Html(" "), cut, cls="hr-role"), el("div", shown, cls="hr-text", dir="auto"),
        cls=cls,
    )  # fmt: skip


def highlighted(value: str, spans: Iterable[tuple[str, Finding]]) -> Html:
    """Return a text with the spans of findings marked, overlapping ones too. The text stays text."""
    ranges = []
    for name, finding in spans:
        if finding.span is not None:
            start, end = max(0, finding.span[0]), min(len(value), finding.span[1])
            if start < end:
                ranges.append((start, end, name, finding))
    edges = sorted({0, len(value), *(edge for start, end, _, _ in ranges for edge in (start, end))})
    parts: list[Html] = []
    for start, end in itertools.pairwise(edges):
        piece = text(value[start:end])
        inside = [(name, finding) for left, right, name, finding in ranges if left <= start and end <= right]
        if not inside:
            parts.append(piece)
            continue
        said = ", ".join(f"{finding.label} {finding.probability:.2f} ({name})" for name, finding in inside)
        labels = ", ".join(dict.fromkeys(finding.label for _, finding in inside))
        parts.append(el("mark", piece, el("sup", labels), title=said))
    return join(parts)


def findings_list(findings: Mapping[str, Findings]) -> Html:
    """Return what each classifier says of the reply."""
    rows: list[tuple[str | Html, ...]] = []
    for name, found in findings.items():
        if isinstance(found, Unscored):
            rows.append((name, badge("inconclusive", "unscored"), "", found.reason))
        elif not found:
            rows.append((name, el("span", "nothing found", cls="hr-dim"), "", ""))
        else:
            rows += [
                (name, item.label, f"{item.probability:.3f}",
                 "the whole reply" if item.span is None else f"characters {item.span[0]} to {item.span[1]}")
                for item in found
            ]  # fmt: skip
    return table(("classifier", "label", "probability", "where"), rows, numeric=(2,))


def verdicts_list(verdicts: Iterable[Verdict], thresholds: Mapping[str, float]) -> Html:
    """Return the critics' verdicts with their rationale, and which reply each is on where there are several.

    Principles that do not speak of the sample are named below, in one line that opens.
    """
    rows, given = [], list(verdicts)
    verdicts = [verdict for verdict in given if not isinstance(verdict.score, NotApplicable)]
    silent = {v.principle: v.score.reason for v in given if isinstance(v.score, NotApplicable)}
    several = len({verdict.completion for verdict in verdicts}) > 1
    for verdict in verdicts:
        threshold = thresholds.get(verdict.principle, 0.5)
        rows.append(
            (
                *((str(verdict.completion + 1),) if several else ()),
                verdict.principle,
                el("span", verdict.critic, cls="hr-nowrap"),
                _score(verdict.score, threshold),
                text(verdict.rationale),
            )
        )
    columns = (*(("reply",) if several else ()), "principle", "critic", "score", "rationale")
    folded = [el("summary", f"{len(silent)} principles do not apply"), table(("principle", "why"), silent.items())]
    parts = [*([table(columns, rows)] if rows else []), *([el("details", *folded, cls="hr-more")] if silent else [])]
    return join(parts)


def _score(score: float | Unscored | NotApplicable, threshold: float) -> Html:
    if isinstance(score, Unscored):
        return join([badge("inconclusive", "unscored"), score.reason], " ")
    if isinstance(score, NotApplicable):
        return el("span", f"not applicable: {score.reason}", cls="hr-dim")
    status, word = ("passed", "follows") if score >= threshold else ("failed", "violates")
    return join([badge(status, word), el("span", f"{score:.2f}, from {threshold:g}", cls="hr-nowrap")], " ")


def rows_list(rows: Mapping[str, Row | Unscored | NotApplicable]) -> Html:
    """Return what the sample adds to each metric."""
    cells: list[tuple[str | Html, ...]] = []
    for name, row in rows.items():
        if isinstance(row, Unscored):
            cells.append((name, badge("inconclusive", "unscored"), row.reason))
        elif isinstance(row, NotApplicable):
            cells.append((name, el("span", "not applicable", cls="hr-dim"), row.reason))
        else:
            cells.append((name, ", ".join(f"{value:g}" for value in row), ""))
    return table(("metric", "row", "why"), cells)


def likelihoods_list(replies: Iterable[tuple[Request, Reply]]) -> Html | None:
    """Return what was asked by log-likelihood; None where nothing was."""
    rows = []
    for request, answer in replies:
        asked = request.continuation if isinstance(request, LogLikelihood) else "(the text itself)"
        if isinstance(answer, LogProb):
            rows.append((asked, f"{answer.logprob:.3f}", str(answer.tokens)))
        elif isinstance(answer, NoReply) and request.type != "generate":
            rows.append((asked, f"no reply: {answer.reason}", ""))
    return table(("continuation", "log-probability (nats)", "tokens"), rows, numeric=(1, 2)) if rows else None


def generated(replies: Iterable[tuple[Request, Reply]]) -> list[Completion | NoReply]:
    """Return the replies to requests for text, in order."""
    return [
        answer for request, answer in replies
        if request.type == "generate" and isinstance(answer, Completion | NoReply)
    ]  # fmt: skip


def precision(run: RunRecord) -> Html:
    """Return how far the number format moved the gates' metrics; empty where there was nothing to check."""
    if run.precision is None:
        return Html()
    line = el("p", precision_line(run.precision), cls="hr-dim hr-small")
    rows = precision_rows(run)
    return join([line, *([table(PRECISION_COLUMNS, rows, numeric=(1, 2, 3, 4))] if rows else [])])


def run_facts(run: RunRecord) -> Html:
    """Return what a run was made of."""
    pairs: dict[str, str | Html] = {
        "run": run.id, "made": run.created, "suite": f"{run.suite} version {run.suite_version}",
        "candidate": run.candidate.label, "system prompt": run.candidate.system or "none",
        "judge": "none" if run.judge is None else run.judge.label, "seed": str(run.seed),
        "samples": f"{run.samples}" + ("" if run.limit is None else f" (limit {run.limit})"),
        "requests": f"{run.requests:,}, of which {run.model_calls:,} were not in the cache",
        "took": f"{run.seconds:.1f} s", "harness": run.harness_version, **run.environment,
    }  # fmt: skip
    return facts(pairs)


def fingerprints(run: RunRecord) -> Html:
    """Return every hash that the run names."""
    rows = [
        ("suite", run.suite_fingerprint), ("candidate", run.candidate_fingerprint),
        ("judge", run.judge_fingerprint or "—"), ("samples (ids and content)", run.samples_fingerprint),
        ("samples.parquet", run.samples_sha256),
        *((f"critic {name}", value) for name, value in run.critics.items()),
        *((f"constitution {name}", value) for name, value in run.constitutions.items()),
        *((f"classifier {found.name}", found.fingerprint) for found in run.classifiers),
        *((f"adapter {spec.reference}", spec.id) for spec in run.candidate.adapters),
    ]  # fmt: skip
    return table(("what", "SHA-256"), [(name, el("code", value)) for name, value in rows])
