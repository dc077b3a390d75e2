"""Bundled plugin: sources of samples, and the suites and policies that ship with harness."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness.api import Sample, SourceInput

_READERS = (
    ("jsonl", "rows:read_jsonl", "One JSON object a line; gzip, a column mapping"),
    ("json", "rows:read_json", "One list of JSON objects; gzip, a column mapping"),
    ("csv", "rows:read_csv", "CSV with a header; gzip, a column mapping"),
    ("parquet", "rows:read_parquet", "Parquet; a column mapping"),
    ("datasets", "hub:read_hub", "A data set of the Hugging Face hub by id; a column mapping"),
    ("truthfulqa", "native_choice:read_truthfulqa", "TruthfulQA.csv as published"),
    ("bbq", "native_choice:read_bbq", "BBQ's jsonl as published, a file or the folder"),
    ("mmlu", "native_choice:read_mmlu", "MMLU's csv files as published, or one csv of all"),
    ("gsm8k", "native_text:read_gsm8k", "GSM8K's jsonl as published"),
    ("hh-rlhf", "native_text:read_hh_rlhf", "HH-RLHF's chosen and rejected jsonl as published"),
    ("advbench", "native_text:read_advbench", "AdvBench's harmful_behaviors.csv as published"),
    ("jailbreakbench", "native_text:read_jailbreakbench", "JailbreakBench's behaviour csvs as published"),
    ("xstest", "native_text:read_xstest", "XSTest's csv as published"),
    ("realtoxicityprompts", "native_text:read_realtoxicityprompts", "RealToxicityPrompts' jsonl as published"),
    ("hellaswag", "native_completion:read_hellaswag", "HellaSwag's jsonl as published"),
    ("arc", "native_completion:read_arc", "ARC's jsonl as published, or as the hub has it"),
    ("piqa", "native_completion:read_piqa", "PIQA's jsonl as published, with its labels beside it"),
    ("winogrande", "native_completion:read_winogrande", "WinoGrande's jsonl as published"),
    ("lambada", "native_completion:read_lambada", "LAMBADA's test passages, plain text or jsonl"),
    ("ifeval", "native_requests:read_ifeval", "IFEval's input_data.jsonl as published"),
    ("harmbench", "native_requests:read_harmbench", "HarmBench's csv of text behaviours as published"),
    ("strongreject", "native_requests:read_strongreject", "StrongREJECT's csv as published"),
    ("do-not-answer", "native_requests:read_do_not_answer", "Do-Not-Answer's csv as published, or as json"),
    ("toxigen", "native_pairs:read_toxigen", "ToxiGen's annotated texts, csv or json"),
    ("toxigen-prompts", "native_requests:read_toxigen_prompts", "ToxiGen's prompts, a txt file or the folder"),
    ("crows-pairs", "native_pairs:read_crows_pairs", "CrowS-Pairs' anonymised csv as published"),
    ("halueval", "native_pairs:read_halueval", "HaluEval's qa_data.json as published"),
    ("gptfuzz", "native_labelled:read_gptfuzz", "GPTFuzz's labelled replies as published, for critics"),
    (
        "jailbreakbench-judges",
        "native_labelled:read_jailbreakbench_judges",
        "JailbreakBench's comparison of judges",
    ),
    ("hatecheck", "native_labelled:read_hatecheck", "HateCheck's test cases as published, for critics"),
    ("llmbar", "native_labelled:read_llmbar", "LLMBar's pairs of answers as published, for critics"),
    ("wikitext", "native_text:read_wikitext", "WikiText's raw text as published"),
)


def _reader(where: str) -> Callable[[SourceInput], Iterator[Sample]]:
    module, name = where.split(":")

    def read(source: SourceInput) -> Iterator[Sample]:
        found: Iterator[Sample] = getattr(import_module(f"harness_sources.{module}"), name)(source)
        return found

    return read


@hookimpl
def register_sources(register: Callable[..., None]) -> None:
    """Register the readers; each is imported when it is first used."""
    for name, where, about in _READERS:
        register(name, _reader(where), about=about)


@hookimpl
def register_suites(register: Callable[..., None]) -> None:
    """Register every YAML file of the suites folder under its file's name."""
    from harness.api import data_dir
    from harness_sources.shipped import about_of

    for path in sorted(data_dir("suites").glob("*.yaml")):
        register(path.stem, path, about=about_of(path))


@hookimpl
def register_policies(register: Callable[..., None]) -> None:
    """Register every YAML file of the policies folder under its file's name."""
    from harness.api import data_dir
    from harness_sources.shipped import about_of

    for path in sorted((data_dir("suites") / "policies").glob("*.yaml")):
        register(path.stem, path, about=about_of(path))
