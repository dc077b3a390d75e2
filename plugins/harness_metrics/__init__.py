"""Bundled plugin: metrics. One file per family; docs/metrics.md lists them all. Nothing heavy is imported here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness import hookimpl, late

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.api import Critic, Metric, MetricFactory, Principle

_METRICS: tuple[tuple[str, str, str, str], ...] = (
    ("perplexity", "perplexity:make", "PerplexityOptions",
     "Perplexity per token, word and byte, and bits per byte, of plain texts"),
    ("accuracy", "choice:plain", "", "Multiple choice by log-likelihood"),
    ("acc_norm", "choice:by_characters", "", "Multiple choice by log-likelihood per character of the choice"),
    ("acc_bytes", "choice:by_bytes", "", "Multiple choice by log-likelihood per byte of the choice"),
    ("letter_accuracy", "letters:LetterAccuracy", "LetterOptions",
     "Multiple choice by the letter that the model writes, the answers' order drawn"),
    ("choice_probability", "choice:probability", "", "Probability of the right choice, the graded form of accuracy"),
    ("accuracy_normalised", "choice:normalised", "", "acc_bytes under its earlier name"),
    ("exact_match", "matching:ExactMatch", "NormaliseOptions", "The reply equals an accepted answer"),
    ("number_match", "matching:NumberMatch", "NumberOptions", "The reply's last number equals the target's"),
    ("answer_match", "matching:AnswerMatch", "NormaliseOptions",
     "An accepted answer stands in the reply as whole words"),
    ("tool_calls", "tool_calls:ToolCallMatch", "ToolCallOptions",
     "The calls of tools that a conversation made are those that the sample expects"),
    ("bleu", "translation:bleu", "BleuOptions", "Corpus BLEU through sacrebleu"),
    ("chrf", "translation:chrf", "ChrfOptions", "Corpus chrF or chrF++ through sacrebleu"),
    ("ter", "translation:ter", "TerOptions", "Corpus translation edit rate through sacrebleu"),
    ("evaluate", "hf_evaluate:make", "EvaluateOptions",
     "A metric of the Hugging Face evaluate library, from a folder or pinned on the hub"),
    ("compliance", "compliance:make", "ComplianceOptions",
     "harmful_compliance, over_refusal and incoherent, from one labeller"),
    ("compliance_probability", "compliance:graded", "ComplianceOptions",
     "harmful_probability and refusal_probability, the graded forms of compliance"),
    ("instructions", "instructions:make", "InstructionOptions",
     "The constraints that a sample states, checked by code; IFEval's 25 among them"),
    ("toxicity", "toxicity:make", "ToxicityOptions", "toxicity_rate and toxicity_mean, from a classifier"),
    ("pii_leak", "privacy:PiiLeak", "PiiOptions", "The reply tells personal data that the conversation did not"),
    ("protected_leak", "privacy:ProtectedLeak", "", "The reply tells what the sample's `protect` list names"),
    ("required_kept", "privacy:RequiredKept", "", "The reply keeps what the sample's `require` list names"),
    ("stereotype_preference", "stereotype:make", "StereotypeOptions",
     "BBQ-style accuracy and bias scores by condition"),
    ("diversity", "diversity:distinct", "", "distinct_1, distinct_2 and trigram_diversity over all replies"),
    ("repetition", "diversity:Repetition", "", "Share of a reply's 4-grams that repeat earlier ones"),
    ("length", "diversity:lengths", "", "Words, tokens and characters per reply"),
    ("latency", "speed:latencies", "SpeedOptions", "Time to the first token and per 100 tokens, p50 and p95"),
    ("throughput", "speed:Throughput", "SpeedOptions", "Tokens generated per second"),
    ("peak_memory", "speed:PeakMemory", "", "Peak memory of the run"),
    ("adherence", "adherence:make", "AdherenceOptions", "Adherence to each principle of a constitution, and overall"),
)  # fmt: skip
"""(name, module:class or function, class of its options or nothing, about)."""


def _lazy(name: str, where: str, model: str) -> MetricFactory:
    module, attribute = where.split(":")

    def make(options: Mapping[str, Any], constitutions: Mapping[str, tuple[Principle, ...]]) -> Sequence[Metric]:
        from harness.api import StrictModel, read_options  # `harness --help` imports this file

        found = import_module(f"{__name__}.{module}")
        chosen = read_options(getattr(found, model) if model else StrictModel, options, name)
        given = [chosen] if model else []
        made = getattr(found, attribute)(*given, *([constitutions] if name == "adherence" else ()))
        return made if isinstance(made, list) else [made]

    return make


@hookimpl
def register_metrics(register: Callable[..., None]) -> None:
    """Register every bundled metric; each imports its module when a suite uses it."""
    for name, where, model, about in _METRICS:
        register(name, _lazy(name, where, model), about=about)


@hookimpl
def register_critics(register: Callable[..., None]) -> None:
    """Register the critics that ask what `harmful_compliance` asks."""

    def harmful(options: Mapping[str, Any]) -> Critic:
        from harness_metrics.harmful_response import HarmfulResponseCritic

        return HarmfulResponseCritic(options)

    def declining(options: Mapping[str, Any]) -> Critic:
        from harness_metrics.harmful_response import DecliningResponseCritic

        return DecliningResponseCritic(options)

    def helping(options: Mapping[str, Any]) -> Critic:
        from harness_metrics.harmful_response import HelpingResponseCritic

        return HelpingResponseCritic(options)

    register("harmful-response", harmful, about="Whether the reply helps with harm, by a small model")
    register("declining-response", declining, about="Whether the reply declines, by a small model")
    register("helping-response", helping, about="Whether the reply helps otherwise than with harm, by a small model")


@hookimpl
def register_services(register: Callable[..., None]) -> None:
    """Offer the one definition of what a refusal is."""
    about = "complied, refused or incoherent, of a request and a reply, by rules on the text"
    register("reply label", late("harness_metrics.labelling.label:label_of"), about=about)
