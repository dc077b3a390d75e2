"""From rows of data to samples: the column names of JSONL files, and the checks that name file, line and key."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.contracts import SourceInput
from harness.errors import InputError, nearest
from harness.types import Message, Sample

_KEYS = frozenset({"id", "prompt", "messages", "target", "choices", "answer", "tags", "cluster", "metadata", "text"})


def read_jsonl(source: SourceInput) -> Iterator[Sample]:
    """Yield the samples of a JSONL file."""
    if source.path is None:
        raise InputError("samples.path is missing", file=source.suite_path, key="samples.path", hint="name the file")
    for line, row in _rows(source.path):
        yield sample_of(row, source.path, line)


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if not path.is_file():
        raise InputError("no such data file", file=path, hint="check samples.path, or pass --data")
    opened = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    with opened as stream:
        for number, raw in enumerate(stream, start=1):
            if not raw.strip():
                continue
            try:
                row = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                raise InputError("the line is not UTF-8", file=path, line=number, hint="save it as UTF-8") from error
            except ValueError as error:
                raise InputError(
                    f"not valid JSON ({error})", file=path, line=number, hint="one object a line"
                ) from error
            if not isinstance(row, dict):
                raise InputError("the line is not a JSON object", file=path, line=number, hint="one object a line")
            yield number, row


def sample_of(row: Mapping[str, Any], path: Path, line: int) -> Sample:
    """Return the sample of one row.

    Raises:
        InputError: for unknown keys, wrong types and missing content.
    """
    for key in row:
        if key not in _KEYS:
            close = nearest(key, _KEYS)
            raise InputError("unknown key", file=path, line=line, key=key,
                             hint=f"did you mean {close!r}?" if close else f"known keys: {', '.join(sorted(_KEYS))}")  # fmt: skip
    target = row.get("target", row.get("text", ()))
    return Sample(
        id=str(row.get("id", line)),
        messages=_messages(row, path, line),
        target=(target,) if isinstance(target, str) else tuple(target),
        choices=tuple(row.get("choices", ())),
        answer=row.get("answer"),
        tags=tuple(row.get("tags", ())),
        cluster=row.get("cluster"),
        metadata=dict(row.get("metadata", {})),
    )


def _messages(row: Mapping[str, Any], path: Path, line: int) -> tuple[Message, ...]:
    if "prompt" in row and "messages" in row:
        raise InputError("both prompt and messages stand here", file=path, line=line, hint="keep one of them")
    if "prompt" in row:
        return (Message(role="user", content=str(row["prompt"])),)
    return tuple(Message(role=turn["role"], content=turn["content"]) for turn in row.get("messages", ()))
