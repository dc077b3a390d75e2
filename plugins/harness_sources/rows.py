"""From rows to samples: which column is which field, and the checks that name file, line and key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from harness.api import InputError, Message, Sample, SourceInput, canonical_json, nearest, read_options
from harness_sources.files import Numbered, Row, csv_rows, data_path, json_rows, jsonl_rows, parquet_rows

FIELDS = ("id", "prompt", "messages", "target", "choices", "answer", "tags", "cluster", "metadata", "turns")
MOST_TURNS = 50
_INSTEAD = {"prompt": "messages", "messages": "prompt"}
_ROLES = ("system", "user", "assistant")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class RowOptions(BaseModel):
    """What a suite may say under `samples` besides source and path."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: dict[str, str | Annotated[list[str], Field(min_length=1)] | None] = {}
    """Sample field to column, or to none; `choices` may name several columns. Other fields keep their own names."""
    tags: list[str] = []
    """Given to every sample."""
    metadata: list[str] = []
    """Columns kept as metadata."""


def row_options(source: SourceInput, extra: Iterable[str] = ()) -> RowOptions:
    """Validate the options of a row-based source.

    Raises:
        InputError: naming the key, with the nearest right spelling.
    """
    given = {key: value for key, value in source.options.items() if key not in set(extra)}
    options = read_options(RowOptions, given, "samples", at=("samples",), file=source.suite_path)
    for field in options.columns:
        if field not in FIELDS:
            close = nearest(field, FIELDS)
            raise InputError(
                "unknown sample field", file=source.suite_path, key=f"samples.columns.{field}",
                hint=f"did you mean {close!r}?" if close else f"fields: {', '.join(FIELDS)}",
            )  # fmt: skip
    return options


def read_jsonl(source: SourceInput) -> Iterator[Sample]:
    """Yield the samples of a JSONL file."""
    path = data_path(source, what="the source jsonl")
    yield from samples_of(jsonl_rows(path), path, row_options(source))


def read_json(source: SourceInput) -> Iterator[Sample]:
    """Yield the samples of a JSON file that holds one list of objects."""
    path = data_path(source, what="the source json")
    yield from samples_of(json_rows(path), path, row_options(source))


def read_csv(source: SourceInput) -> Iterator[Sample]:
    """Yield the samples of a CSV file with a header."""
    path = data_path(source, what="the source csv")
    yield from samples_of(csv_rows(path), path, row_options(source))


def read_parquet(source: SourceInput) -> Iterator[Sample]:
    """Yield the samples of a Parquet file."""
    path = data_path(source, what="the source parquet")
    yield from samples_of(parquet_rows(path), path, row_options(source))


def samples_of(rows: Iterable[Numbered], path: Path, options: RowOptions) -> Iterator[Sample]:
    """Yield one sample a row.

    With a column mapping, a column of a field's own name is that field unless the mapping uses either otherwise, and
    others are passed over; without one, unknown keys are errors.

    Raises:
        InputError: naming file, line and key.
    """
    for line, row in rows:
        if options.columns or options.metadata:
            mapped = _mapped(row, options, path, line)
        else:
            mapped = dict(row)
            _refuse_unknown(mapped, path, line)
        yield _sample(mapped, options, path, line)


def _refuse_unknown(row: Row, path: Path, line: int) -> None:
    for key in row:
        if key not in FIELDS:
            close = nearest(str(key), FIELDS)
            hint = f"did you mean {close!r}?" if close else "name its columns with samples.columns"
            raise InputError("unknown key", file=path, line=line, key=str(key), hint=hint)


def _mapped(row: Row, options: RowOptions, path: Path, line: int) -> dict[str, Any]:
    used: set[str] = set(options.metadata)
    found: dict[str, Any] = {}
    for field, column in options.columns.items():
        names = [column] if isinstance(column, str) else column or []
        for name in names:
            if name not in row:
                close = nearest(name, map(str, row))
                raise InputError(
                    f"there is no column {name!r}", file=path, line=line, key=f"samples.columns.{field}",
                    hint=f"did you mean {close!r}?" if close else f"columns: {', '.join(map(str, row))}",
                )  # fmt: skip
        used.update(names)
        if column is not None:
            found[field] = row[column] if isinstance(column, str) else [row[name] for name in column]
    taken = {*options.columns, *used, *(_INSTEAD[field] for field in found if field in _INSTEAD)}
    found |= {field: row[field] for field in FIELDS if field in row and field not in taken}
    if options.metadata:
        found["metadata"] = {name: row.get(name) for name in options.metadata}
    return found


def _sample(row: Mapping[str, Any], options: RowOptions, path: Path, line: int) -> Sample:
    choices = _texts(row.get("choices", ()), path, line, "choices")
    if len(set(choices)) != len(choices):
        raise InputError("two choices are the same", file=path, line=line, key="choices", hint="make them differ")
    messages = _messages(row, path, line)
    target = _texts(row.get("target", ()), path, line, "target")
    if not messages and not target:
        raise InputError(
            "there is nothing to ask and nothing to measure", file=path, line=line,
            hint="give prompt, messages or target",
        )  # fmt: skip
    metadata = row.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise _wrong("metadata", "an object", metadata, path, line)
    for key, value in metadata.items():
        try:
            canonical_json({key: value})
        except (TypeError, ValueError) as error:  # Parquet and hub sets hold NaN, bytes, dates, …
            raise _wrong(f"metadata.{key}", "what JSON can hold", value, path, line) from error
    cluster = row.get("cluster")
    return Sample(
        id=_id(row, path, line), messages=messages, target=target, choices=choices,
        answer=_answer(row.get("answer"), choices, path, line),
        tags=(*options.tags, *_texts(row.get("tags", ()), path, line, "tags")),
        cluster=None if cluster is None or cluster == "" else str(cluster), metadata=metadata,
        turns=_turns(row, path, line),
    )  # fmt: skip


def _turns(row: Mapping[str, Any], path: Path, line: int) -> tuple[str, ...]:
    """Return what the user says next; each turn asks for a reply to all before it, so that their number is bounded."""
    turns = _texts(row.get("turns", ()), path, line, "turns")
    if len(turns) > MOST_TURNS:
        raise _wrong("turns", f"at most {MOST_TURNS} texts", f"{len(turns)} texts", path, line)
    return turns


def _id(row: Mapping[str, Any], path: Path, line: int) -> str:
    value = row.get("id", f"row-{line}")
    if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
        raise _wrong("id", "text or a whole number", value, path, line)
    return str(value)


def _messages(row: Mapping[str, Any], path: Path, line: int) -> tuple[Message, ...]:
    if row.get("prompt") is not None and row.get("messages") is not None:
        raise InputError("prompt and messages exclude each other", file=path, line=line, hint="keep one of them")
    if row.get("prompt") is not None:
        if not isinstance(row["prompt"], str):
            raise _wrong("prompt", "text", row["prompt"], path, line)
        return (Message(role="user", content=row["prompt"]),)
    turns = row.get("messages") or ()
    if not isinstance(turns, list | tuple):
        raise _wrong("messages", "a list of {role, content}", turns, path, line)
    found = []
    for index, turn in enumerate(turns):
        key = f"messages[{index}]"
        if not isinstance(turn, dict) or set(turn) != {"role", "content"} or not isinstance(turn["content"], str):
            raise _wrong(key, "an object with role and content", turn, path, line)
        if turn["role"] not in _ROLES:
            raise _wrong(f"{key}.role", f"one of {', '.join(_ROLES)}", turn["role"], path, line)
        found.append(Message(role=turn["role"], content=turn["content"]))
    if found and found[-1].role != "user":
        raise InputError(
            "the last turn must be the user's, for the model to answer", file=path, line=line, key="messages",
            hint="move the assistant's last turn to target",
        )  # fmt: skip
    return tuple(found)


def _texts(value: object, path: Path, line: int, key: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise _wrong(key, "text or a list of texts", value, path, line)
    return tuple(value)


def _answer(value: object, choices: tuple[str, ...], path: Path, line: int) -> int | None:
    """Return the index of the right choice, from an index, a letter or the choice's own text."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and value in choices:
        return choices.index(value)
    index = value
    if isinstance(value, str):
        text = value.strip()
        index = (
            int(text) if text.isdecimal() and len(text) < 9 else _LETTERS.find(text.upper()) if len(text) == 1 else -1
        )
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(choices):
        allowed = f"0 to {len(choices) - 1}, a letter, or a choice's text" if choices else "absent without choices"
        raise _wrong("answer", allowed, value, path, line)
    return index


def _wrong(key: str, expected: str, found: object, path: Path, line: int) -> InputError:
    shown = repr(found)
    shown = shown if len(shown) <= 40 else shown[:39] + "…"
    return InputError(f"must be {expected}, not {shown}", file=path, line=line, key=key, hint="mend that line")
