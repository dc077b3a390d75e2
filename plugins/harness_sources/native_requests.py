"""The files of IFEval, HarmBench, StrongREJECT, Do-Not-Answer and ToxiGen's prompts as published: texts to reply to."""

from __future__ import annotations

from collections.abc import Iterator

from harness.api import InputError, Message, Sample, SourceInput, read_lines
from harness_sources.files import csv_rows, jsonl_rows, native_files, need, table_rows


def read_ifeval(source: SourceInput) -> Iterator[Sample]:
    """Yield IFEval's prompts (Zhou et al. 2023, arXiv:2311.07911), whose instructions the metric `instructions` checks.

    The tags are the instructions, as `length_constraints:number_words`.
    """
    what = "IFEval's jsonl"
    (path, *_) = native_files(source, what, "input_data.jsonl*", "*ifeval*.jsonl*")
    for line, row in jsonl_rows(path):
        prompt = need(row, "prompt", path, line, what=what)
        names, arguments = row.get("instruction_id_list"), row.get("kwargs")
        if not isinstance(names, list) or not isinstance(arguments, list):
            raise InputError(
                f"this is not {what}: instruction_id_list or kwargs is missing", file=path, line=line,
                hint="check that --data names the original file",
            )  # fmt: skip
        given = [
            {key: value for key, value in one.items() if value is not None} if isinstance(one, dict) else one
            for one in arguments
        ]
        yield Sample(
            id=f"ifeval-{row.get('key', line)}", messages=(Message(role="user", content=prompt),),
            tags=tuple(dict.fromkeys(map(str, names))), metadata={"instruction_id_list": names, "kwargs": given},
        )  # fmt: skip


def read_harmbench(source: SourceInput) -> Iterator[Sample]:
    """Yield HarmBench's text behaviours (Mazeika et al. 2024, arXiv:2402.04249), a context before its behaviour.

    Behaviours of the category copyright are tagged `copyright` and not `harmful`: whether a reply reproduces a work is
    what the authors' hashes tell, and no labeller of compliance.
    """
    what = "HarmBench's csv"
    (path, *_) = native_files(source, what, "harmbench_behaviors_text_all.csv*", "harmbench_behaviors_text*.csv*")
    for line, row in csv_rows(path):
        behaviour = need(row, "Behavior", path, line, what=what).strip()
        category = need(row, "FunctionalCategory", path, line, what=what).strip().lower()
        context = str(row.get("ContextString") or "").strip()
        kind = "copyright" if category == "copyright" else "harmful"
        tags = (kind, category, str(row.get("SemanticCategory") or ""))
        name = str(row.get("BehaviorID") or line)
        prompt = f"{context}\n\n---\n\n{behaviour}" if context else behaviour
        yield _request(f"harmbench-{name}", prompt, tags)


def read_strongreject(source: SourceInput) -> Iterator[Sample]:
    """Yield StrongREJECT's forbidden prompts (Souly et al. 2024, arXiv:2402.10260), tagged with their category."""
    what = "StrongREJECT's csv"
    (path, *_) = native_files(
        source, what, "strongreject_dataset.csv*", "strongreject_small_dataset.csv*", "strongreject*.csv*"
    )
    for line, row in csv_rows(path):
        prompt = need(row, "forbidden_prompt", path, line, what=what)
        yield _request(f"strongreject-{line}", prompt, ("harmful", str(row.get("category") or "")))


def read_do_not_answer(source: SourceInput) -> Iterator[Sample]:
    """Yield Do-Not-Answer's questions (Wang et al. 2023, arXiv:2308.13387), tagged with risk area and kind of harm."""
    what = "Do-Not-Answer's table"
    (path, *_) = native_files(
        source, what, "data_en.csv*", "do_not_answer*.csv*", "*do_not_answer*.json*", "data_en.json*"
    )
    for line, row in table_rows(path):
        question = need(row, "question", path, line, what=what)
        name = str(row.get("id") or line)
        tags = ("harmful", need(row, "risk_area", path, line, what=what), str(row.get("types_of_harm") or ""))
        yield _request(f"do-not-answer-{name}", question, tags)


def read_toxigen_prompts(source: SourceInput) -> Iterator[Sample]:
    r"""Yield ToxiGen's prompts (Hartvigsen et al. 2022, arXiv:2203.09509) from `hate_<group>_1k.txt` and `neutral_…`.

    A line is a list of sentences to go on with; its line breaks are written as `\n`. Tags are hate or
    neutral, and the group, where the file's name says them.
    """
    what = "ToxiGen's prompts"
    for file in native_files(source, what, "*_1k.txt*"):
        kind, _, group = file.name.split(".")[0].removesuffix("_1k").partition("_")
        known = kind in {"hate", "neutral"}
        name, tags = (f"toxigen-{kind}-{group}", (kind, group)) if known else ("toxigen-prompt", ())
        for line, text in read_lines(file):
            if text.strip():
                yield _request(f"{name}-{line}", text.replace("\\n", "\n"), tags)


def _request(name: str, prompt: str, tags: tuple[str, ...]) -> Sample:
    return Sample(
        id=name, messages=(Message(role="user", content=prompt.strip()),),
        tags=tuple(dict.fromkeys(tag.strip() for tag in tags if tag.strip())),
    )  # fmt: skip
