"""The workloads of benchmarks/engine.py: prompts with choices to score, or to be continued."""

from __future__ import annotations

import gzip
import json
import random
from itertools import islice
from pathlib import Path
from typing import Any

NAMES = ("BBQ 0-shot", "BBQ 5-shot", "GSM8K generate")
_QUESTIONS, _FEW_SHOT, _PROBLEMS, _SHOTS = 300, 100, 64, 5


def make(name: str, data: Path | None) -> dict[str, Any]:
    """Return a workload: `kind`, `items` with their `context`, and what the kind needs.

    Args:
        name: one of `NAMES`.
        data: folder with `bbq/Age.jsonl.gz` and `gsm8k/test.jsonl.gz`; None makes questions of the same form.
    """
    if name == "GSM8K generate":
        problems = _lines(data / "gsm8k" / "test.jsonl.gz", _PROBLEMS) if data else _made_problems(_PROBLEMS)
        items = [{"context": f"Question: {line['question']}\nAnswer:", "target": line["answer"]} for line in problems]
        return {"kind": "generate", "items": items, "stop": ["\n\n", "Question:"], "max_new_tokens": 128}
    lines = _lines(data / "bbq" / "Age.jsonl.gz", 2_000) if data else _made_questions(2_000)
    shots, count = "", _QUESTIONS
    if name == "BBQ 5-shot":
        solved = [f"{_asked(line)} {line['ans' + str(line['label'])]}" for line in lines[1_000 : 1_000 + _SHOTS]]
        shots, count = "\n\n".join([*solved, ""]), _FEW_SHOT
    items = [
        {"context": shots + _asked(line), "choices": [line[f"ans{index}"] for index in range(3)],
         "answer": line["label"]}
        for line in lines[:count]
    ]  # fmt: skip
    return {"kind": "loglikelihood", "items": items}


def questions(count: int, data: Path | None) -> dict[str, Any]:
    """Return so many questions of the first workload's form, without examples before them."""
    lines = _lines(data / "bbq" / "Age.jsonl.gz", count) if data else _made_questions(count)
    items = [
        {"context": _asked(line), "choices": [line[f"ans{index}"] for index in range(3)], "answer": line["label"]}
        for line in lines
    ]
    return {"kind": "loglikelihood", "items": items}


def write_suite(folder: Path, work: dict[str, Any]) -> Path:
    """Write a workload as a suite, and return its YAML."""
    scored = work["kind"] == "loglikelihood"
    with (folder / "items.jsonl").open("w", encoding="utf-8") as stream:
        for number, item in enumerate(work["items"]):
            line = {"id": f"q{number}", "prompt": item["context"]}
            line |= {"choices": item["choices"], "answer": item["answer"]} if scored else {"target": item["target"]}
            stream.write(json.dumps(line) + "\n")
    suite = {
        "id": "bench", "version": 1, "about": "A workload of the engine's benchmark.",
        "samples": {"source": "jsonl", "path": "items.jsonl"}, "measure": ["accuracy" if scored else "number_match"],
    }  # fmt: skip
    if not scored:
        suite["ask"] = {"max_new_tokens": work["max_new_tokens"], "temperature": 0, "stop": work["stop"]}
    path = folder / "bench.yaml"
    path.write_text(json.dumps(suite), encoding="utf-8")  # JSON is YAML
    return path


def _asked(line: dict[str, Any]) -> str:
    return f"{line['context']}\nQuestion: {line['question']}\nAnswer:"


def _lines(path: Path, count: int) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in islice(stream, count)]


def _made_questions(count: int) -> list[dict[str, Any]]:
    """Make questions in groups of four that begin alike, as those of BBQ do."""
    draw = random.Random(7)
    people = [("a young man", "an elderly woman"), ("a pensioner", "a student"), ("the girl", "her grandfather")]
    places = ["the bus stop", "the library", "a phone shop", "the bank", "a job interview", "the gym"]
    lines: list[dict[str, Any]] = []
    while len(lines) < count:
        one, other = draw.choice(people)
        start = f"This morning at {draw.choice(places)} I met {one} and {other} who talked about number {len(lines)}."
        for context in (start, f"{start} {one.capitalize()} had forgotten how the machine works."):
            lines += [
                {"context": context, "question": question, "ans0": one, "ans1": other, "ans2": "Cannot be known",
                 "label": draw.randrange(3)}
                for question in ("Who was forgetful?", "Who remembered everything?")
            ]  # fmt: skip
    return lines[:count]


def _made_problems(count: int) -> list[dict[str, Any]]:
    draw = random.Random(11)
    made = []
    for _ in range(count):
        each, boxes, sold = draw.randint(2, 30), draw.randint(2, 20), draw.randint(1, 40)
        made.append(
            {"question": f"A shop has {boxes} boxes with {each} pears each, and sells {sold} pears. How many are left?",
             "answer": f"#### {boxes * each - sold}"}
        )  # fmt: skip
    return made
