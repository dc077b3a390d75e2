"""The files of HellaSwag, ARC, PIQA, WinoGrande and LAMBADA as their authors publish them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.api import InputError, Message, Sample, SourceInput, read_lines
from harness_sources.files import Row, jsonl_rows, native_files, need, split_files

_TRAIN = {"train": ("train.jsonl*",)}


def read_hellaswag(source: SourceInput) -> Iterator[Sample]:
    """Yield HellaSwag's beginnings with four endings each (Zellers et al. 2019, arXiv:1905.07830)."""
    what = "HellaSwag's jsonl"
    for file in split_files(source, what, "hellaswag_val*.jsonl*", "*val*.jsonl*", splits=_TRAIN):
        for line, row in jsonl_rows(file):
            endings = row.get("endings")
            if not isinstance(endings, list) or not all(isinstance(one, str) for one in endings):
                raise _not(what, "endings", file, line)
            yield _chosen(
                f"hellaswag-{row.get('ind', line)}", need(row, "ctx", file, line, what=what), endings,
                row.get("label"), file, line, tags=_tags(row, "activity_label", "split_type"),
            )  # fmt: skip


def read_arc(source: SourceInput) -> Iterator[Sample]:
    """Yield ARC's questions (Clark et al. 2018, arXiv:1803.05457), as published or as the hub has them."""
    what = "ARC's jsonl"
    for file in split_files(
        source, what, "ARC-Challenge-Test.jsonl*", "*[Tt]est*.jsonl*", splits={**_TRAIN, "dev": ("dev.jsonl*",)}
    ):
        for line, row in jsonl_rows(file):
            asked = row.get("question")
            stem, choices = (asked.get("stem"), asked.get("choices")) if isinstance(asked, dict) else (asked, None)
            texts, labels = _choices(row.get("choices") if choices is None else choices)
            key = str(row.get("answerKey"))
            if not isinstance(stem, str) or not texts or key not in labels:
                raise _not(what, "question, choices or answerKey", file, line)
            name = str(row.get("id", line))
            yield _chosen(f"arc-{name}", stem, texts, labels.index(key), file, line)


def _choices(given: Any) -> tuple[list[str], list[str]]:  # noqa: ANN401 - untrusted JSON
    """Return texts and labels of the authors' list of objects, or of the hub's object of lists."""
    if isinstance(given, dict) and isinstance(given.get("text"), list) and isinstance(given.get("label"), list):
        given = [{"text": text, "label": label} for text, label in zip(given["text"], given["label"], strict=False)]
    if not isinstance(given, list) or not all(isinstance(one, dict) and "text" in one for one in given):
        return [], []
    return [str(one["text"]) for one in given], [str(one.get("label")) for one in given]


def read_piqa(source: SourceInput) -> Iterator[Sample]:
    """Yield PIQA's goals with two solutions each (Bisk et al. 2020, arXiv:1911.11641).

    The right ones stand in a file beside it, `valid-labels.lst` beside `valid.jsonl`, or in each row's `label`.
    """
    what = "PIQA's jsonl"
    for file in split_files(source, what, "valid.jsonl*", "*val*.jsonl*", splits=_TRAIN):
        beside = file.with_name(file.name.split(".jsonl")[0] + "-labels.lst")
        labels = dict(read_lines(beside)) if beside.is_file() else {}
        for number, (line, row) in enumerate(jsonl_rows(file), start=1):
            solutions = [need(row, name, file, line, what=what) for name in ("sol1", "sol2")]
            goal, label = need(row, "goal", file, line, what=what), row.get("label", labels.get(number))
            yield _chosen(f"piqa-{row.get('id', line)}", goal, solutions, label, file, line)


def read_winogrande(source: SourceInput) -> Iterator[Sample]:
    """Yield WinoGrande's sentences with a blank (Sakaguchi et al. 2019, arXiv:1907.10641), asked which word fills it.

    Others score the rest of the sentence behind each word (partial evaluation); the numbers are not the same.
    """
    what, sizes = "WinoGrande's jsonl", {"train": tuple(f"train_{size}.jsonl*" for size in ("xl", "l", "m", "s", "xs"))}
    for file in split_files(source, what, "dev.jsonl*", "*val*.jsonl*", splits=sizes):
        for line, row in jsonl_rows(file):
            options = [need(row, name, file, line, what=what) for name in ("option1", "option2")]
            asked = f"{need(row, 'sentence', file, line, what=what)}\nWhat belongs in the place of _?"
            number = str(row.get("answer"))
            label = int(number) - 1 if number in {"1", "2"} else None
            yield _chosen(f"winogrande-{row.get('qID', line)}", asked, options, label, file, line)


def read_lambada(source: SourceInput) -> Iterator[Sample]:
    """Yield LAMBADA's passages (Paperno et al. 2016, arXiv:1606.06031), asked for their last word.

    Takes jsonl with the key `text`, or plain text with a passage a line.
    """
    what = "LAMBADA's file"
    for file in native_files(source, what, "*lambada_test*", "*test*.jsonl*", "*test*.txt"):
        rows = ((line, {"text": text}) for line, text in read_lines(file) if text.strip())
        for line, row in jsonl_rows(file) if ".jsonl" in file.name else rows:
            before, _, last = need(row, "text", file, line, what=what).strip().rpartition(" ")
            if not before:
                raise _not(what, "a passage of several words", file, line)
            asked = f"{before}\n\nWhich one word comes next? Answer with that word alone."
            yield Sample(id=f"lambada-{line}", messages=(Message(role="user", content=asked),), target=(last,))


def _chosen(
    name: str, prompt: str, choices: list[str], label: object, file: Path, line: int, *, tags: tuple[str, ...] = ()
) -> Sample:
    index = int(label) if isinstance(label, str) and label.strip() in {"0", "1", "2", "3"} else label
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(choices):
        raise InputError(
            "the row does not say which choice is right", file=file, line=line,
            hint="use the split whose answers are published, and keep its labels' file beside it",
        )  # fmt: skip
    different = tuple(dict.fromkeys(choices))
    return Sample(
        id=name, messages=(Message(role="user", content=prompt.strip()),), choices=different,
        answer=different.index(choices[index]), target=(choices[index],), tags=tags,
    )  # fmt: skip


def _tags(row: Row, *names: str) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in names if row.get(name))


def _not(what: str, missing: str, file: Path, line: int) -> InputError:
    return InputError(
        f"this is not {what}: {missing} is missing", file=file, line=line,
        hint="check that --data names the original file",
    )  # fmt: skip
