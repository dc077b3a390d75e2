"""Samples as files, and one sample in full."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from harness.api import Completion, Generate, LogLikelihood, LogProb, NoReply, to_plain
from harness.api.commands import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.api import SampleRecord
    from harness_inspect.choosing import Found

COLUMNS = ("harness_run", "sample", "metric", "score", "tags", "prompt", "reply", "reply_before")
JSONL_MARK = '{"harness_run": "'
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def plain(found: Found) -> Iterator[dict[str, Any]]:
    """Yield the samples as JSON values."""
    for one in found.samples:
        sample = one.record.sample
        before = found.before.get(sample.id)
        yield {
            "harness_run": found.run.id, "sample": sample.id, "metric": one.metric, "score": one.value,
            "tags": list(sample.tags), "prompt": sample.prompt, "reply": one.reply,
            **({} if before is None else {"score_before": before[0], "reply_before": before[1]}),
            "replies": [to_plain(reply) for _, reply in one.record.replies],
            "verdicts": [to_plain(verdict) for verdict in one.record.verdicts],
        }  # fmt: skip


def as_jsonl(found: Found) -> str:
    """Return a line of JSON for each sample; nothing in it but ASCII, whatever the model said."""
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in plain(found))


def as_csv(found: Found) -> str:
    """Return a table for spreadsheets, in which no text of a model is taken for a formula."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in plain(found):
        row["tags"] = " ".join(row["tags"])
        row["score"] = "unscored" if row["score"] is None else row["score"]
        writer.writerow([_cell(row.get(column, "")) for column in COLUMNS])
    return stream.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    clean = safe_text(value)
    return f"'{clean}" if clean.startswith(_FORMULA) else clean


def turns(record: SampleRecord) -> Iterator[tuple[str, str]]:
    """Yield who said what, turn after turn, then the reference, the findings and the verdicts."""
    sample = record.sample
    for message in sample.messages:
        yield message.role, message.content
    for number, (request, reply) in enumerate(record.replies):
        if number and isinstance(request, Generate) and request.messages and request.messages[-1].role == "user":
            yield "user", request.messages[-1].content
        yield from _reply(request, reply)
    if sample.target:
        yield "accepted", "\n".join(sample.target)
    if sample.answer is not None:
        yield "accepted", sample.choices[sample.answer]
    for verdict in record.verdicts:
        score = (
            f"{verdict.score:.2f}"
            if isinstance(verdict.score, float | int)
            else f"{verdict.score.type}, {verdict.score.reason}"
        )
        yield f"{verdict.principle}, says {verdict.critic}", f"{score} {verdict.rationale}".strip()
    for metric, row in record.rows.items():
        yield (
            f"metric {metric}",
            ", ".join(f"{x:.4g}" for x in row) if isinstance(row, tuple) else f"{row.type}: {row.reason}",
        )


def _reply(request: object, reply: object) -> Iterator[tuple[str, str]]:
    if isinstance(reply, Completion):
        yield f"reply ({reply.finish})", reply.text
    elif isinstance(reply, NoReply):
        yield "no reply", reply.reason
    elif isinstance(reply, LogProb):
        said = request.continuation if isinstance(request, LogLikelihood) else "the text"
        yield "log-likelihood", f"{reply.logprob:.3f} for {said}"
