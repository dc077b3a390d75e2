"""Looks at the columns of a data file, and proposes a suite: source, metrics and gates."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Any

from harness.api import InputError
from harness_suites.rows import source_and_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Row = Mapping[str, Any]

_LOOKED_AT = 2000
"""Rows from which is told what the columns hold."""
_LONG = 12
"""Words of a usual target from which it is a text to be compared, and no answer to be met."""
_NAMES: dict[str, tuple[str, ...]] = {
    "messages": ("messages", "conversation", "conversations", "chat"),
    "prompt": ("prompt", "question", "input", "instruction", "query", "problem", "request", "goal", "user", "text"),
    "choices": ("choices", "options", "endings"),
    "answer": ("answer", "label", "answer_index", "correct", "gold", "answer_idx", "target"),
    "target": (
        "target", "answer", "expected", "expected_output", "ideal", "output", "response", "reply", "completion",
        "reference", "references", "answers", "solution", "gold", "label", "best answer",
    ),
    "id": ("id", "uid", "key", "question_id"),
    "tags": ("tags", "category", "subject", "topic", "type"),
    "cluster": ("cluster", "group", "document", "passage", "story"),
}  # fmt: skip
"""What columns are called, by sample field, the likeliest first."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What a suite of a data file can be."""

    source: str
    rows: int
    """At least so many; counted up to a bound."""
    columns: Mapping[str, str]
    """Sample field to column."""
    kind: str
    """`choices`, `numbers`, `answers`, `texts`, `open` or `plain`."""
    names: Sequence[str]
    """All columns of the file."""

    @property
    def mapping(self) -> dict[str, str]:
        """What the suite maps: columns of other names, or all where one is no field's: unmapped, sources refuse it."""
        mapped = {field: column for field, column in self.columns.items() if field != column}
        return mapped or (dict(self.columns) if set(self.names) - set(self.columns.values()) else {})


def propose(path: Path, given: Mapping[str, str]) -> Proposal:
    """Return what fits the file.

    Args:
        path: JSONL, JSON, CSV or Parquet, plain or gzipped.
        given: columns that the person named, by field.

    Raises:
        InputError: for a file of another kind, without rows, or without a column to ask.
    """
    source, read = source_and_rows(path)
    rows = list(islice(read, _LOOKED_AT))
    if not rows:
        raise InputError("the file has no rows", file=path, hint="add at least one")
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    for field, column in given.items():
        if field not in _NAMES:
            raise InputError(f"there is no sample field {field!r}", key="--column", hint=f"fields: {', '.join(_NAMES)}")
        if column not in names:
            raise InputError(f"there is no column {column!r}", file=path, key="--column", hint=_listed(names))
    columns = dict(given)
    for field in _NAMES:
        if field == "prompt" and "messages" in columns:
            continue
        if field == "answer" and "choices" not in columns:
            continue
        if field == "target" and "answer" in columns:
            continue
        found = _column(field, names, rows, taken=set(columns.values()))
        if field not in columns and found is not None:
            columns[field] = found
    if "prompt" not in columns and "messages" not in columns:
        raise InputError(
            "no column looks like what is asked", file=path, hint=f"{_listed(names)}; say --column prompt=NAME"
        )
    if columns.get("prompt", "").lower() == "text" and "target" not in columns:
        return Proposal(source=source, rows=len(rows), columns={"target": columns["prompt"]}, kind="plain", names=names)
    return Proposal(source=source, rows=len(rows), columns=columns, kind=_kind(columns, rows), names=names)


def _listed(names: Sequence[str]) -> str:
    return f"columns: {', '.join(names[:20])}"


def _column(field: str, names: Sequence[str], rows: Sequence[Row], *, taken: set[str]) -> str | None:
    """Return the likeliest column that holds what the field needs."""
    by_name = {name.lower(): name for name in reversed(names)}
    for wanted in _NAMES[field]:
        name = by_name.get(wanted)
        if name is not None and name not in taken and all(_fits(field, row.get(name)) for row in rows):
            return name
    return None


def _fits(field: str, value: object) -> bool:
    if field == "messages":
        return isinstance(value, list) and bool(value) and all(isinstance(turn, dict) for turn in value)
    if field == "choices":
        return isinstance(value, list) and len(value) > 1 and all(isinstance(item, str) for item in value)
    if field == "answer":
        return isinstance(value, str | int) and not isinstance(value, bool) and value != ""
    if field in {"id", "cluster"}:
        return isinstance(value, str | int) and not isinstance(value, bool) and value != ""
    if field == "prompt":
        return isinstance(value, str) and bool(value.strip())
    listed = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, str) or listed or (field == "tags" and value is None)


def _kind(columns: Mapping[str, str], rows: Sequence[Row]) -> str:
    if "choices" in columns and "answer" in columns:
        return "choices"
    if "target" not in columns:
        return "open"
    values = [row[columns["target"]] for row in rows]
    texts = [value[0] if isinstance(value, list) and value else str(value) for value in values]
    if all(_is_number(text) for text in texts):
        return "numbers"
    return "texts" if median(len(text.split()) for text in texts) >= _LONG else "answers"


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True


_MEASURED: dict[str, tuple[str, str, str]] = {
    "choices": ("accuracy", "accuracy                     # the likeliest choice is the right one", ""),
    "numbers": ("number_match", "number_match                 # the last number of the reply is the accepted one", ""),
    "answers": (
        "answer_match", "answer_match                 # an accepted answer stands in the reply as whole words",
        "exact_match                  # the reply is an accepted answer and nothing else",
    ),
    "texts": ("chrf", "chrf                         # likeness of reply and reference by their character n-grams", ""),
    "open": ("repetition", "repetition                   # share of a reply's 4-grams that repeat", "length"),
    "plain": ("perplexity", "perplexity                   # how surprising the texts are", ""),
}  # fmt: skip
"""By kind: the metric that gates rest on, and the lines of `measure`."""
_TOKENS = {"choices": 8, "numbers": 256, "answers": 64, "texts": 256, "open": 256, "plain": 8}


def suite_text(name: str, data: str, proposal: Proposal, gate: str) -> str:
    """Return a commented suite.

    Args:
        name: its id.
        data: the data file, relative to the suite's.
        proposal: what it can be.
        gate: the line of its gate; empty where none could be passed.
    """
    _, first, second = _MEASURED[proposal.kind]
    mapped = proposal.mapping
    lines = [
        "# Written by `harness suite new`: a proposal to be changed. docs/files.md has every key.",
        f"id: {name}", "version: 1                       # raise it when the samples or metrics change",
        'about: ""                        # what it measures, in one line',
        'limitations: ""                  # what it does not measure',
        "samples:", f"  source: {proposal.source}", f"  path: {json.dumps(data)}",
        *(["  columns:                       # sample field: column of the file"] if mapped else []),
        *(f"    {field}: {json.dumps(column, ensure_ascii=False)}" for field, column in mapped.items()),
        f"ask: {{max_new_tokens: {_TOKENS[proposal.kind]}, temperature: 0}}",
        "# few_shot: {n: 3, seed: 0}      # solved examples of the same file before each question",
        "measure:                         # harness list metrics", f"  - {first}",
        *([f"  - {second}"] if second else []),
        "  # - adherence: {constitution: demo}      # harness list constitutions; asks a judge about every reply",
    ]  # fmt: skip
    if gate:
        lines += ["gates:                           # exactly one condition each; docs/statistics.md", f"  - {gate}"]
    else:
        lines += ["# No gate is proposed: with so few samples even perfect data could pass none that says much."]
    return "\n".join(lines) + "\n"


def gates_to_try(proposal: Proposal) -> list[str]:
    """Return lines of gates, the strictest first."""
    metric = _MEASURED[proposal.kind][0]
    if proposal.kind in {"open", "texts", "plain"}:
        return [f"{{metric: {metric}, max_unscored: {share}}}" for share in (0.02, 0.1, 0.3)]
    why = "    # not worse than what is promoted, give or take the margin"
    return [f"{{metric: {metric}, non_inferior: {{to: promoted, margin: {m}}}}}{why}" for m in (0.05, 0.1, 0.2, 0.3)]
