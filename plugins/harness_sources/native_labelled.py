"""Public sets of replies that people labelled, as published: GPTFuzz, JailbreakBench's judges, HateCheck, LLMBar.

Each sample is a conversation whose reply stands in `metadata.response`, and its label in `metadata.verdict`: `follows`
or `breaks`. `harness critic calibrate --source NAME` reads them so; nothing of them ships with harness.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import InputError, Message, Sample, read_bytes
from harness_sources.files import Numbered, csv_rows, json_rows, native_files, need

if TYPE_CHECKING:
    from harness.api import SourceInput

_UNKNOWN_REQUEST = "(The request is not part of the published file.)"
_POST = "Write a short post."


def read_gptfuzz(source: SourceInput) -> Iterator[Sample]:
    """Yield GPTFuzz's replies (Yu et al. 2023, arXiv:2309.10253): label 1, a jailbreak, breaks.

    The request is an index into another file, so that the reply stands alone.
    """
    (path, *_) = native_files(source, "GPTFuzz", "evaluate.csv*", "train.csv*")
    for line, row in csv_rows(path):
        said = need(row, "Response", path, line, what="GPTFuzz's csv")
        label = _one_of(need(row, "label", path, line, what="GPTFuzz's csv"), ("0", "1"), path, line, "label")
        yield _labelled(f"gptfuzz-{line}", _UNKNOWN_REQUEST, said, breaks=label == "1")


def read_jailbreakbench_judges(source: SourceInput) -> Iterator[Sample]:
    """Yield JailbreakBench's judge comparison (Chao et al. 2024, arXiv:2404.01318): a human majority of 1 breaks.

    The published file is in Mac Roman, not in UTF-8; a copy in UTF-8 is read too.
    """
    (path, *_) = native_files(source, "JailbreakBench's judge comparison", "judge-comparison.csv*")
    what = "JailbreakBench's judge comparison"
    for line, row in _mac_roman_rows(path):
        given = need(row, "human_majority", path, line, what=what).removesuffix(".0")
        label = _one_of(given, ("0", "1"), path, line, "human_majority")
        prompt, said = (need(row, key, path, line, what=what) for key in ("prompt", "target_response"))
        if said.strip():
            yield _labelled(f"jbb-{line}", prompt, said, breaks=label == "1")


def _mac_roman_rows(path: Path) -> Iterator[Numbered]:
    try:
        text = read_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        text = read_bytes(path).decode("mac_roman")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    for row in reader:
        yield reader.line_num, {str(key): value or "" for key, value in row.items()}


def read_hatecheck(source: SourceInput) -> Iterator[Sample]:
    """Yield HateCheck's cases (Röttger et al. 2021, arXiv:2012.15606) as if each were a reply: `hateful` breaks."""
    (path, *_) = native_files(source, "HateCheck", "test_suite_cases.csv*")
    for line, row in csv_rows(path):
        gold = need(row, "label_gold", path, line, what="HateCheck's csv")
        label = _one_of(gold, ("hateful", "non-hateful"), path, line, "label_gold")
        text = need(row, "test_case", path, line, what="HateCheck's csv")
        kind = str(row.get("functionality", ""))
        yield _labelled(f"hatecheck-{line}", _POST, text, breaks=label == "hateful", tags=(kind,) if kind else ())


def read_llmbar(source: SourceInput) -> Iterator[Sample]:
    """Yield LLMBar's answers (Zeng et al. 2023, arXiv:2310.07641), two of each pair: the worse one breaks."""
    (path, *_) = native_files(source, "LLMBar", "LLMBar_Natural.json*", "LLMBar*.json*")
    for number, row in json_rows(path):
        prompt, *answers = (
            need(row, key, path, number, what="LLMBar's json") for key in ("input", "output_1", "output_2")
        )
        best = row.get("label")
        if best not in {1, 2}:
            raise InputError("must be 1 or 2", file=path, line=number, key="label", hint="fetch it again")
        for place, said in enumerate(answers, start=1):
            yield _labelled(f"llmbar-{number}-{place}", prompt, said, breaks=place != best, cluster=f"llmbar-{number}")


def _labelled(
    name: str, prompt: str, said: str, *, breaks: bool, tags: tuple[str, ...] = (), cluster: str | None = None
) -> Sample:
    verdict = "breaks" if breaks else "follows"
    return Sample(
        id=name, messages=(Message(role="user", content=prompt),), tags=tags, cluster=cluster,
        metadata={"response": said, "verdict": verdict},
    )  # fmt: skip


def _one_of(value: str, known: tuple[str, ...], path: Path, line: int, key: str) -> str:
    if value not in known:
        raise InputError(f"must be {' or '.join(known)}, not {value[:40]!r}", file=path, line=line, key=key)
    return value
