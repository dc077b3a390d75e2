"""Plain text to learn from: text files, or rows {"text": …}."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.api import MOST_WHOLE, InputError, StageInput, read_text, resolve_path
from harness_stages.reading import gather, kind_of
from harness_stages.rows import read_field
from harness_stages.tuning import Places

_ROWS = (".jsonl", ".jsonl.gz", ".json", ".json.gz")


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Documents to learn from, and those held out."""

    learned: tuple[str, ...]
    held_out: tuple[str, ...]
    note: str
    bad_rows: int


def find_texts(inputs: StageInput, data: str | list[str] | None, error_at: Places) -> dict[str, Path]:
    """Return the files that `data` names by role, or the dataset of the stage before where it names none.

    Raises:
        InputError: where there is neither, or no such file.
    """
    if data is None:
        if inputs.dataset is None:
            raise InputError("the key 'data' is missing, and no stage before wrote a dataset", **error_at(),
                             hint="add data: FILE.txt")  # fmt: skip
        return {"data": inputs.dataset}
    named = [data] if isinstance(data, str) else data
    found = {}
    for number, reference in enumerate(named, 1):
        where = error_at("data")
        path = resolve_path(reference, inputs.recipe_path, line=where["line"], key=where["key"])
        if not path.is_file():
            cause = "is a folder, not a file of text" if path.is_dir() else f"there is no file {path}"
            raise InputError(cause, **where, hint="write the path relative to the recipe's folder, or absolute")
        found["data" if len(named) == 1 else f"data {number}"] = path
    return found


def read_documents(path: Path, *, most_bad: float = 0.0) -> tuple[tuple[str, ...], str, int]:
    """Return a file's documents, a note on rows that were left out, and their number.

    A text file is one document; JSON Lines have one in each row's `text`. `.gz` is unpacked.

    Raises:
        InputError: naming file, line and key.
    """
    if path.name.endswith(_ROWS):

        def parse(value: object, line: int) -> str:
            if not isinstance(value, dict):
                raise InputError(f"a row must be a JSON object, this is {kind_of(value)}", file=path, line=line)
            if "text" not in value:
                raise InputError("the key 'text' is missing", file=path, line=line, hint="add it")
            return read_field(value, "text", path, line)

        rows = gather(path, parse, most_bad=most_bad, what="rows of text")
        return rows.good, rows.note, len(rows.bad)
    text = read_text(path, what="text", most=MOST_WHOLE)
    if not text.strip():
        raise InputError("holds no text", file=path, hint="name a file with text")
    return (text,), "", 0


def read_texts(paths: Sequence[Path], *, most_bad: float, share: float, seed: int) -> Texts:
    """Read files, and hold out a share: the end of a single document, else whole documents drawn by the seed."""
    documents: list[str] = []
    notes, bad = [], 0
    for path in paths:
        found, note, count = read_documents(path, most_bad=most_bad)
        documents += found
        bad += count
        notes += [note] if note else []
    if len(documents) < 10:  # a few long ones: the end of each
        cuts = [len(document) - round(share * len(document)) for document in documents]
        learned = [document[:cut] for document, cut in zip(documents, cuts, strict=True)]
        held = [document[cut:] for document, cut in zip(documents, cuts, strict=True)]
    else:
        drawn = random.Random(seed).sample(range(len(documents)), max(1, round(share * len(documents))))  # noqa: S311
        chosen = set(drawn)
        learned = [document for index, document in enumerate(documents) if index not in chosen]
        held = [documents[index] for index in sorted(chosen)]
    return Texts(
        learned=tuple(text for text in learned if text), held_out=tuple(text for text in held if text.strip()),
        note="; ".join(notes), bad_rows=bad,
    )  # fmt: skip


def pack(documents: Sequence[Sequence[int]], length: int, end: int | None) -> list[list[int]]:
    """Join documents' tokens, each ended by `end`, into blocks of `length`; a last part that is shorter is left out.

    Where there is less than one block, it is one, shorter.
    """
    stream: list[int] = []
    for ids in documents:
        stream += [*ids, *([] if end is None else [end])]
    whole = [stream[start : start + length] for start in range(0, len(stream) - length + 1, length)]
    return whole or ([stream] if len(stream) > 1 else [])
