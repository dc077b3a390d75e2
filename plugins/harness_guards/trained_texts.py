"""What the rows of a training file say, whatever their format: what a user asks, and everything in words."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.api import MOST_WHOLE, InputError, opened, parse_json, read_lines, read_text

_TURN = re.compile(r"\n\n(Human|Assistant): ?")
_ROWS = {".jsonl", ".json", ".ndjson", ".csv"}
_TEXTS = {".txt", ".md", ".text"}


@dataclass(frozen=True, kw_only=True)
class TrainedText:
    """One row of training data, or one paragraph of a corpus."""

    line: int
    """In its file, from 1; of a JSON array, the row's number."""
    asked: tuple[str, ...]
    """Each turn of the user; empty for plain text."""
    words: str
    """Everything that is learned from or shown, answers included."""


def is_rows(path: Path) -> bool:
    """Tell whether a file's name says that it holds rows or plain text, and not weights."""
    return _suffix(path) in _ROWS | _TEXTS


def is_text(path: Path) -> bool:
    """Tell whether a file's name says plain text."""
    return _suffix(path) in _TEXTS


def _suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def read_trained(path: Path) -> Iterator[TrainedText]:
    """Yield what a file's rows say; a row that is none is passed over, since the stage that learns from it says so.

    Raises:
        InputError: where the file cannot be read, or is no JSON.
    """
    if is_text(path):
        yield from _paragraphs(path)
        return
    for line, value in rows_of(path):
        if isinstance(value, Mapping):
            asked, said = _said(value)
            words = "\n".join((*asked, *said))
            if words.strip():
                yield TrainedText(line=line, asked=tuple(text for text in asked if text.strip()), words=words)


def rows_of(path: Path) -> Iterator[tuple[int, object]]:
    """Yield the rows of a table, or the JSON values of JSON Lines or of one array, each with its line or number.

    A broken line is passed over.

    Raises:
        InputError: where the file cannot be read, or is one array that is no JSON.
    """
    if _suffix(path) == ".csv":
        with opened(path, what="training data") as stream:
            yield from enumerate(
                csv.DictReader(stream.read().decode("utf-8-sig", "replace").splitlines(keepends=True)), 1
            )
        return
    with opened(path, what="training data") as stream:
        array = stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
    if array:
        yield from enumerate(parse_json(read_text(path, most=MOST_WHOLE), path), 1)
        return
    for number, text in read_lines(path):
        if text.strip():
            try:
                yield number, parse_json(text, path, number)
            except InputError:
                continue


def _paragraphs(path: Path) -> Iterator[TrainedText]:
    start, held = 1, list[str]()
    for number, text in read_lines(path):
        if text.strip():
            start = start if held else number
            held.append(text)
        elif held:
            yield TrainedText(line=start, asked=(), words="\n".join(held))
            held = []
    if held:
        yield TrainedText(line=start, asked=(), words="\n".join(held))


def _said(row: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return what a user asks in a row, and what else it says."""
    asked: list[str] = []
    said: list[str] = []
    for key in ("messages", "prompt", "chosen", "rejected", "completion"):
        value = row.get(key)
        if isinstance(value, list):
            _add_turns(value, asked, said)
        elif isinstance(value, str) and _TURN.match(value):
            parts = _TURN.split(value)[1:]
            for who, text in zip(parts[::2], parts[1::2], strict=False):
                (asked if who == "Human" else said).append(text.strip())
        elif isinstance(value, str):
            (asked if key == "prompt" else said).append(value)
    lower = {str(key).lower(): value for key, value in row.items()}
    asked += [lower[key] for key in ("goal", "question") if isinstance(lower.get(key), str)]
    if isinstance(row.get("instruction"), str):
        more = row.get("input")
        asked.append("\n".join(text for text in (row["instruction"], more) if isinstance(text, str) and text.strip()))
    said += [row[key] for key in ("output", "response", "text", "revision") if isinstance(row.get(key), str)]
    twin = row.get("twin")
    if isinstance(twin, str):
        asked.append(twin)
    return list(dict.fromkeys(asked)), list(dict.fromkeys(said))


def _add_turns(turns: Iterable[object], asked: list[str], said: list[str]) -> None:
    for turn in turns:
        if isinstance(turn, Mapping) and isinstance(turn.get("content"), str) and turn.get("role") != "system":
            (asked if turn.get("role") == "user" else said).append(turn["content"])
