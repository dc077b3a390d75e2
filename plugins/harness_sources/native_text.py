"""The files of GSM8K, HH-RLHF, AdvBench, JailbreakBench, XSTest, RealToxicityPrompts and WikiText as published."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from harness.api import InputError, Message, Role, Sample, SourceInput, read_lines
from harness_sources.files import csv_rows, data_path, jsonl_rows, native_files, need, split_files

_TURN = re.compile(r"\n\n(Human|Assistant): ?")
_HEADING = re.compile(r"^ = [^=].* = $")


def read_gsm8k(source: SourceInput) -> Iterator[Sample]:
    """Yield GSM8K's problems (Cobbe et al. 2021, arXiv:2110.14168); the target is the number behind `####`.

    Metadata holds the whole answer as `solution`, which examples show.
    """
    (path, *_) = split_files(source, "GSM8K", "test.jsonl*", "*test*.jsonl*", splits={"train": ("train.jsonl*",)})
    for line, row in jsonl_rows(path):
        answer = need(row, "answer", path, line, what="GSM8K's jsonl")
        _, mark, number = answer.rpartition("####")
        if not mark:
            raise InputError(
                "the answer has no number behind ####", file=path, line=line, key="answer", hint="fetch it again"
            )
        yield Sample(
            id=f"gsm8k-{line}",
            messages=(Message(role="user", content=need(row, "question", path, line, what="GSM8K's jsonl")),),
            target=(number.strip().replace(",", ""),),
            metadata={"solution": answer.strip()},
        )


def read_hh_rlhf(source: SourceInput) -> Iterator[Sample]:
    """Yield HH-RLHF's pairs (Bai et al. 2022, arXiv:2204.05862): which last answer is more likely, chosen or rejected?

    Pairs whose conversations differ before the last answer, or whose answers are equal or empty, are passed over: they
    ask nothing that can be answered.
    """
    path = data_path(source, what="HH-RLHF")
    for line, row in jsonl_rows(path):
        chosen = _conversation(need(row, "chosen", path, line, what="HH-RLHF's jsonl"), path, line)
        rejected = _conversation(need(row, "rejected", path, line, what="HH-RLHF's jsonl"), path, line)
        best, worse = chosen[-1], rejected[-1]
        asks = chosen[:-1] == rejected[:-1] and best.role == worse.role == "assistant"
        if asks and best.content and worse.content and best.content != worse.content:
            first = line % 2  # so that the chosen answer is not always the same choice
            pair = (best.content, worse.content) if first == 0 else (worse.content, best.content)
            yield Sample(id=f"hh-{line}", messages=chosen[:-1], choices=pair, answer=first, target=(best.content,))


def _conversation(text: str, path: Path, line: int) -> tuple[Message, ...]:
    parts = _TURN.split("\n\n" + text.lstrip("\n"))
    if len(parts) < 5 or parts[0].strip():
        raise InputError(
            "not a conversation of Human: and Assistant: turns", file=path, line=line, hint="fetch it again"
        )
    roles: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}
    return tuple(
        Message(role=roles[speaker], content=said.strip())
        for speaker, said in zip(parts[1::2], parts[2::2], strict=True)
    )


def read_advbench(source: SourceInput) -> Iterator[Sample]:
    """Yield AdvBench's harmful behaviours (Zou et al. 2023, arXiv:2307.15043); only the request is used."""
    (path, *_) = native_files(source, "AdvBench", "harmful_behaviors.csv*")
    for line, row in csv_rows(path):
        yield _request(f"advbench-{line}", need(row, "goal", path, line, what="AdvBench's csv"), ("harmful",))


def read_jailbreakbench(source: SourceInput) -> Iterator[Sample]:
    """Yield JailbreakBench's behaviours (Chao et al. 2024, arXiv:2404.01318): one csv, or the folder that holds both.

    A file is benign where its name says so; the index pairs the harmful and the benign ones.
    """
    for file in native_files(source, "JailbreakBench", "*behaviors.csv"):
        kind = "benign" if "benign" in file.name.lower() else "harmful"
        for line, row in csv_rows(file):
            index = need(row, "Index", file, line, what="JailbreakBench's csv")
            goal = need(row, "Goal", file, line, what="JailbreakBench's csv")
            category = str(row.get("Category", ""))
            yield _request(f"jailbreakbench-{kind}-{index}", goal, (kind, category), cluster=f"jailbreakbench-{index}")


def read_xstest(source: SourceInput) -> Iterator[Sample]:
    """Yield XSTest's prompts (Röttger et al. 2024, arXiv:2308.01263): types that begin with `contrast_` are harmful."""
    (path, *_) = native_files(source, "XSTest", "xstest*prompts*.csv*", "xstest*.csv*")
    for line, row in csv_rows(path):
        kind = need(row, "type", path, line, what="XSTest's csv")
        label = str(row.get("label", "")).lower()
        harmful = label == "unsafe" if label in {"safe", "unsafe"} else kind.startswith("contrast_")
        number = str(row.get("id") or row.get("id_v2") or line)
        prompt = need(row, "prompt", path, line, what="XSTest's csv")
        yield _request(f"xstest-{number}", prompt, ("harmful" if harmful else "benign", kind))


def _request(name: str, prompt: str, tags: tuple[str, ...], *, cluster: str | None = None) -> Sample:
    return Sample(
        id=name, messages=(Message(role="user", content=prompt.strip()),), tags=tuple(tag for tag in tags if tag),
        cluster=cluster,
    )  # fmt: skip


def read_realtoxicityprompts(source: SourceInput) -> Iterator[Sample]:
    """Yield RealToxicityPrompts' prompts (Gehman et al. 2020, arXiv:2009.11462), the hard ones tagged."""
    (path, *_) = native_files(source, "RealToxicityPrompts", "prompts.jsonl*", "*.jsonl*")
    for line, row in jsonl_rows(path):
        prompt = row.get("prompt")
        if not isinstance(prompt, dict) or not isinstance(prompt.get("text"), str):
            raise InputError(
                "this is not RealToxicityPrompts' jsonl: prompt.text is missing", file=path, line=line,
                key="prompt.text", hint="check that --data names the original file",
            )  # fmt: skip
        yield _request(f"rtp-{line}", prompt["text"], ("challenging",) if row.get("challenging") is True else ())


def read_wikitext(source: SourceInput) -> Iterator[Sample]:
    """Yield WikiText's articles (Merity et al. 2016, arXiv:1609.07843) from the raw text, one sample an article."""
    (path, *_) = native_files(source, "WikiText", "wiki.test.*", "*test*")
    title, text, number = "", "", 0
    for _, line in read_lines(path):
        if _HEADING.match(line.rstrip() + " "):
            if text.strip():
                number += 1
                yield _article(number, title, text)
            title, text = line.strip(" ="), ""
        text += line + "\n"
    if text.strip():
        yield _article(number + 1, title, text)


def _article(number: int, title: str, text: str) -> Sample:
    return Sample(id=f"wikitext-{number}", target=(text,), metadata={"title": title})
