"""The workloads of benchmarks/engine.py: prompts with choices to score, texts to score whole, prompts to continue."""

from __future__ import annotations

import gzip
import json
import random
from itertools import islice
from pathlib import Path
from typing import Any

import public_tasks

MADE = ("BBQ 0-shot", "BBQ 5-shot", "GSM8K generate", "mixed prompts generate", "20 samples, whole command")
"""Those for which questions of the same form are made where there is no data."""
NAMES = (*MADE, *public_tasks.TASKS, "rolling perplexity")
_QUESTIONS, _FEW_SHOT, _PROBLEMS, _SHOTS = 300, 100, 64, 5
_DOCUMENTS, _DOCUMENT_WORDS = 20, 2_300
"""Documents of about 3,000 tokens."""
_MIXED, _LONGEST = 64, 75
"""Prompts of 20 to 20 times 75 tokens, as many on each scale."""


def make(name: str, data: Path | None) -> dict[str, Any]:
    """Return a workload: `kind`, `items` with their `context`, and what the kind needs.

    Args:
        name: one of `NAMES`; those that are not in `MADE` need data.
        data: folder with the files of `public_tasks` and `gsm8k/test.jsonl.gz`; None makes questions of the same form.

    Raises:
        SystemExit: where the workload needs data and there is none.
    """
    if name not in MADE and data is None:
        raise SystemExit(f"{name} needs --data, a folder with its file")
    if name == "rolling perplexity":
        assert data is not None
        return {"kind": "rolling", "items": [{"text": text} for text in _documents(data)]}
    if name == "mixed prompts generate":
        return {"kind": "generate", "items": _mixed(data), "stop": ["\n\n"], "max_new_tokens": 200}
    if name == "20 samples, whole command":
        return {"kind": "loglikelihood", "items": make("BBQ 0-shot", data)["items"][:20]}
    if name in public_tasks.TASKS:
        assert data is not None
        return {"kind": "loglikelihood", "items": public_tasks.items(name, data)}
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
    metric = {"loglikelihood": "accuracy", "generate": "number_match", "rolling": "perplexity"}[work["kind"]]
    with (folder / "items.jsonl").open("w", encoding="utf-8") as stream:
        for number, item in enumerate(work["items"]):
            line: dict[str, Any] = {"id": f"q{number}"}
            if metric == "perplexity":
                line["target"] = item["text"]
            elif metric == "number_match":
                line |= {"prompt": item["context"], "target": item["target"]}
            else:
                line |= {"prompt": item["context"], "choices": item["choices"], "answer": item.get("answer", 0)}
            stream.write(json.dumps(line) + "\n")
    suite = {
        "id": "bench", "version": 1, "about": "A workload of the engine's benchmark.",
        "samples": {"source": "jsonl", "path": "items.jsonl"}, "measure": [metric],
    }  # fmt: skip
    if metric == "number_match":
        suite["ask"] = {"max_new_tokens": work["max_new_tokens"], "temperature": 0, "stop": work["stop"]}
    path = folder / "bench.yaml"
    path.write_text(json.dumps(suite), encoding="utf-8")  # JSON is YAML
    return path


def _documents(data: Path) -> list[str]:
    with gzip.open(data / "wikitext2_test" / "wiki.test.raw.gz", "rt", encoding="utf-8") as stream:
        words = stream.read().split(" ")
    step = _DOCUMENT_WORDS
    return [" ".join(words[at : at + step]).strip() for at in range(0, _DOCUMENTS * step, step)]


def _mixed(data: Path | None) -> list[dict[str, Any]]:
    """Return prompts of mixed lengths: beginnings of a text of other problems before each problem."""
    problems = _lines(data / "gsm8k" / "test.jsonl.gz", 256) if data else _made_problems(256)
    draw = random.Random(5)
    solved = " ".join(
        f"Question: {line['question']} Answer: {line['answer']}".replace("\n", " ") for line in problems[64:]
    )
    words = solved.split(" ")
    items = []
    for line in problems[:_MIXED]:
        count = round(14 * _LONGEST ** draw.random())
        begin = draw.randrange(len(words) - count)
        items.append({"context": " ".join([*words[begin : begin + count], "Question:"]), "target": line["answer"]})
    return items


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
