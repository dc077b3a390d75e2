"""Labelled replies: own files, public sets by their readers, and those that ship with harness."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError

from harness.api import InputError, Message, SourceInput, StrictModel, parse_json, read_lines, sha256_file, sha256_json

if TYPE_CHECKING:
    from harness.api import Sample
    from harness.api.workspace import Registries

HELD_OUT = Path(__file__).parent / "data"
"""Where `heldout-*.jsonl` lie: labelled replies that no critic was made from."""
_LABELS = {0: False, "breaks": False, 1: True, "follows": True}
_ROW = '{"prompt": "…", "response": "…", "label": "follows"}'
_NATIVE = {
    ("Response", "label", "question"): "gptfuzz", ("human_majority", "target_response"): "jailbreakbench-judges",
    ("label_gold", "test_case"): "hatecheck",
}  # fmt: skip
"""Public sets by columns that only they have."""


class _Turn(StrictModel):
    role: Literal["system", "user", "assistant"]
    content: str


class _Row(StrictModel):
    """Other keys are passed over."""

    prompt: str | None = None
    messages: Annotated[list[_Turn], Field(min_length=1)] | None = None
    response: str
    label: Literal[0, 1, "follows", "breaks"] | None = None
    verdict: Literal["follows", "breaks"] | None = None
    principle: str | None = None
    id: str = ""
    by: str = ""


@dataclass(frozen=True, kw_only=True)
class LabelledReply:
    """A reply in its conversation, and whether people say that it follows the principle."""

    messages: tuple[Message, ...]
    response: str
    follows: bool
    id: str = ""
    by: str = ""
    """The model that wrote it; empty where that is not known."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Labelled replies of one principle."""

    rows: tuple[LabelledReply, ...]
    data: str
    """SHA-256 of the files."""
    where: str
    """Their names."""


def read_labelled(path: Path, principle: str | None = None) -> Labels:
    """Read JSON Lines of `prompt` or `messages`, `response`, and `label`: 1 or `follows`, 0 or `breaks`.

    `verdict` may stand for `label`; rows that name another `principle` are passed over. What stands there several times
    with one label counts once.

    Raises:
        InputError: naming file, line and key, for what is no such row, two labels of one reply, and one label for all.
    """
    rows = _labels([(number, row) for number, row in _own_rows(path) if _is_about(row, principle)], path)
    return Labels(rows=rows, data=sha256_file(path), where=path.name)


def principles_in(path: Path) -> list[str]:
    """Return the principles that the rows of a file name, in order."""
    return list(dict.fromkeys(row.principle for _, row in _own_rows(path) if row.principle is not None))


def held_out(principle: str, folder: Path = HELD_OUT) -> Labels | None:
    """Return the replies that ship with harness for a principle; None where none do."""
    files = sorted(folder.glob("heldout-*.jsonl"))
    used = [(file, rows) for file in files
            if (rows := [(number, row) for number, row in _own_rows(file) if row.principle == principle])]  # fmt: skip
    if not used:
        return None
    found = tuple(one for file, rows in used for one in _labels(rows, file))
    hashed = sha256_json([[row.id, row.response, row.follows] for row in found])  # a file holds several principles
    return Labels(rows=found, data=hashed, where=", ".join(file.name for file, _ in used))


def read_native(path: Path, source: str, registries: Registries, *, offline: bool = False) -> Labels:
    """Read a file by a registered source whose samples hold `metadata.response` and `metadata.verdict`.

    Raises:
        InputError: where a sample does not, or one label is all there is.
    """
    samples = registries.sources.get(source)(SourceInput(path=path, offline=offline))
    found = [_of_sample(sample, path, source) for sample in samples]
    return Labels(rows=_both(found, path), data=sha256_file(path), where=path.name)


def source_of(path: Path) -> str | None:
    """Return the public set whose columns a file has; None where it is read as own labels."""
    name = path.name.removesuffix(".gz")
    if name.startswith("LLMBar") and name.endswith(".json"):
        return "llmbar"
    if not name.endswith(".csv"):
        return None
    _, header = next(iter(read_lines(path, what="file of labelled replies")), (0, ""))
    columns = {column.strip().strip('"') for column in header.strip().split(",")}
    return next((source for known, source in _NATIVE.items() if set(known) <= columns), None)


def some(labels: Labels, limit: int | None, seed: int) -> Labels:
    """Return at most so many rows, drawn at random, half of each label as far as there are."""
    if limit is None or limit >= len(labels.rows):
        return labels
    draw = random.Random(seed)  # noqa: S311 - a sample, no secret
    sides = [[row for row in labels.rows if row.follows is follows] for follows in (False, True)]
    least = min(len(sides[0]), limit // 2)
    least = max(least, limit - len(sides[1]))
    counts = (least, limit - least)
    kept = [row for side, count in zip(sides, counts, strict=True) for row in draw.sample(side, count)]
    drawn = sha256_json([labels.data, limit, seed])
    return Labels(rows=tuple(kept), data=drawn, where=f"{labels.where} ({limit} of {len(labels.rows)})")


def _of_sample(sample: Sample, path: Path, source: str) -> LabelledReply:
    said, verdict = sample.metadata.get("response"), sample.metadata.get("verdict")
    if not isinstance(said, str) or verdict not in {"follows", "breaks"}:
        raise InputError(
            f"the source {source} gives no labelled replies: {sample.id} has no metadata.response and metadata.verdict",
            file=path, hint="name one that does: gptfuzz, hatecheck, jailbreakbench-judges, llmbar",
        )  # fmt: skip
    by = sample.metadata.get("by", "")
    return LabelledReply(
        messages=sample.messages, response=said, follows=verdict == "follows", id=sample.id, by=str(by)
    )


def _own_rows(path: Path) -> Iterator[tuple[int, _Row]]:
    for number, line in read_lines(path, what="file of labelled replies"):
        if line.strip():
            yield number, _row(parse_json(line, path, number), path, number)


def _is_about(row: _Row, principle: str | None) -> bool:
    return principle is None or row.principle in {None, principle}


def _labels(rows: Iterable[tuple[int, _Row]], path: Path) -> tuple[LabelledReply, ...]:
    found: dict[tuple[tuple[Message, ...], str], tuple[LabelledReply, int]] = {}
    for number, row in rows:
        turns = row.messages or [_Turn(role="user", content=row.prompt or "")]
        messages = tuple(Message(role=turn.role, content=turn.content) for turn in turns)
        label = row.verdict if row.label is None else row.label
        reply = LabelledReply(
            messages=messages, response=row.response, follows=_LABELS[label or 0], id=row.id, by=row.by
        )
        before, line = found.setdefault((messages, row.response), (reply, number))
        if before.follows is not reply.follows:
            raise InputError(
                f"this reply is labelled otherwise on line {line}", file=path, line=number, key="label",
                hint="keep the right one of both",
            )  # fmt: skip
    return _both([reply for reply, _ in found.values()], path)


def _both(rows: Sequence[LabelledReply], path: Path) -> tuple[LabelledReply, ...]:
    """Return the rows, of which some must break the principle and others follow it."""
    labels = {row.follows for row in rows}
    if len(labels) < 2:
        what = "holds no rows" if not rows else f"every reply {'follows' if True in labels else 'breaks'} the principle"
        raise InputError(
            f"{what}, and critics are counted on replies that follow it and on others that break it", file=path,
            hint="add rows with the other label, best 50 or more of each",
        )  # fmt: skip
    return tuple(rows)


def _row(value: object, path: Path, line: int) -> _Row:
    if not isinstance(value, dict):
        raise InputError("is no JSON object", file=path, line=line, hint=f"write one object a line: {_ROW}")
    known = {key: value[key] for key in _Row.model_fields if key in value}
    try:
        row = _Row.model_validate(known)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        cause = f"the key {key!r} is missing" if first["type"] == "missing" else f"{key}: {first['msg'].lower()}"
        raise InputError(cause, file=path, line=line, key=key, hint=f"write {_ROW}") from error
    if row.label is None and row.verdict is None:
        raise InputError("the key 'label' is missing", file=path, line=line, key="label", hint=f"write {_ROW}")
    if (row.prompt is None) is (row.messages is None) or isinstance(row.label, bool):
        raise InputError("needs either prompt or messages, and a label", file=path, line=line, hint=f"write {_ROW}")
    return row
