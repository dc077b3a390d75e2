"""Public multiple-choice and cloze tasks in the usual wording, from a folder of their files."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

MMLU = "mmlu/mmlu_dev_test.csv.gz"


def items(name: str, data: Path) -> list[dict[str, Any]]:
    """Return a task's items, each with a `context`, its `choices` and, where there are several, the `answer`.

    Args:
        name: one of `TASKS`.
        data: folder with the tasks' files.
    """
    return TASKS[name](data)


def mmlu(data: Path, subjects: int, count: int) -> list[dict[str, Any]]:
    """Return so many questions of each of so many subjects, behind 5 solved ones of the subject, in mixed order."""
    with gzip.open(data / MMLU, "rt", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    mixed = []
    for subject in sorted({row["subject"] for row in rows})[:subjects]:
        own = [row for row in rows if row["subject"] == subject]
        solved = [f"{_lettered(row)} {'ABCD'[int(row['answer'])]}\n\n" for row in own if row["split"] == "dev"][:5]
        about = subject.replace("_", " ")
        head = f"The following are multiple choice questions (with answers) about {about}.\n\n{''.join(solved)}"
        mixed += [
            {"context": head + _lettered(row), "choices": list("ABCD"), "answer": int(row["answer"])}
            for row in [row for row in own if row["split"] == "test"][:count]
        ]
    random.Random(3).shuffle(mixed)
    return mixed


def _lettered(row: dict[str, str]) -> str:
    choices = "".join(f"\n{letter}. {row[f'choice{place}']}" for place, letter in enumerate("ABCD"))
    return f"{row['question'].strip()}{choices}\nAnswer:"


def _hellaswag(data: Path) -> list[dict[str, Any]]:
    lines = _lines(data / "hellaswag" / "hellaswag_val_2500.jsonl.gz", 200)
    return [{"context": line["ctx"], "choices": line["endings"], "answer": int(line["label"])} for line in lines]


def _arc(data: Path) -> list[dict[str, Any]]:
    return [
        {"context": f"Question: {line['question']}\nAnswer:", "choices": line["choices"]["text"],
         "answer": line["choices"]["label"].index(line["answerKey"])}
        for line in _lines(data / "arc_challenge" / "arc_challenge_test.jsonl.gz", 200)
    ]  # fmt: skip


def _bbq(data: Path) -> list[dict[str, Any]]:
    return [
        {"context": f"{line['context']}\nQuestion: {line['question']}\nAnswer:",
         "choices": [line[f"ans{place}"] for place in range(3)], "answer": int(line["label"])}
        for line in _lines(data / "bbq" / "Religion.jsonl.gz", 300)
    ]  # fmt: skip


def _lambada(data: Path) -> list[dict[str, Any]]:
    lines = _lines(data / "lambada" / "lambada_test_1500.jsonl.gz", 500)
    return [{"context": before, "choices": [last]} for before, last in (line["text"].rsplit(" ", 1) for line in lines)]


def _lines(path: Path, count: int) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in islice(stream, count)]


TASKS: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    "MMLU 5-shot, 57 subjects × 5": lambda data: mmlu(data, 57, 5),
    "MMLU 5-shot, 12 subjects × 20": lambda data: mmlu(data, 12, 20),
    "HellaSwag 200": _hellaswag,
    "ARC-Challenge 200": _arc,
    "BBQ Religion 300": _bbq,
    "LAMBADA 500": _lambada,
}
