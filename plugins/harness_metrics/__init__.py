"""Bundled plugin: metrics. One file per family; docs/metrics.md lists them all. Nothing heavy is imported here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.api import Metric, MetricFactory, Principle

_FACTORIES: tuple[tuple[str, str, str], ...] = (
    ("perplexity", "perplexity:make", "Perplexity per token, word and byte, and bits per byte, of plain texts"),
    ("accuracy", "choice:make_accuracy", "Multiple choice by log-likelihood"),
    ("accuracy_normalised", "choice:make_normalised", "Multiple choice by log-likelihood per byte of the choice"),
    ("exact_match", "matching:make_exact_match", "The reply equals an accepted answer"),
    ("number_match", "matching:make_number_match", "The reply's last number equals the target's"),
    ("answer_match", "matching:make_answer_match", "An accepted answer stands in the reply as whole words"),
    ("bleu", "translation:make_bleu", "Corpus BLEU through sacrebleu"),
    ("chrf", "translation:make_chrf", "Corpus chrF or chrF++ through sacrebleu"),
    ("ter", "translation:make_ter", "Corpus translation edit rate through sacrebleu"),
    (
        "evaluate",
        "hf_evaluate:make",
        "A metric of the Hugging Face evaluate library, from a folder or pinned on the hub",
    ),
    ("compliance", "compliance:make", "harmful_compliance, over_refusal and incoherent, from one labeller"),
    ("instructions", "instructions:make", "The constraints that a sample states, checked by code"),
    ("toxicity", "toxicity:make", "toxicity_rate and toxicity_mean, from a classifier"),
    ("pii_leak", "privacy:make_pii_leak", "The reply tells personal data that the conversation did not"),
    ("protected_leak", "privacy:make_protected_leak", "The reply tells what the sample's `protect` list names"),
    ("required_kept", "privacy:make_required_kept", "The reply keeps what the sample's `require` list names"),
    ("stereotype_preference", "stereotype:make", "BBQ-style accuracy and bias scores by condition"),
    ("diversity", "diversity:make_diversity", "distinct_1, distinct_2 and trigram_diversity over all replies"),
    ("repetition", "diversity:make_repetition", "Share of a reply's 4-grams that repeat earlier ones"),
    ("length", "diversity:make_length", "Words, tokens and characters per reply"),
    ("latency", "speed:make_latency", "Time to the first token and per 100 tokens, p50 and p95"),
    ("throughput", "speed:make_throughput", "Tokens generated per second"),
    ("peak_memory", "speed:make_peak_memory", "Peak memory of the run"),
    ("adherence", "adherence:make", "Adherence to each principle of a constitution, and overall"),
)
"""(name, module:function, about)."""


def _lazy(where: str) -> MetricFactory:
    module, function = where.split(":")

    def make(options: Mapping[str, Any], constitutions: Mapping[str, tuple[Principle, ...]]) -> Sequence[Metric]:
        factory: Callable[..., Sequence[Metric]] = getattr(import_module(f"{__name__}.{module}"), function)
        return factory(options, constitutions)

    return make


@hookimpl
def register_metrics(register: Callable[..., None]) -> None:
    """Register every bundled metric; each imports its module when a suite uses it."""
    for name, where, about in _FACTORIES:
        register(name, _lazy(where), about=about)
