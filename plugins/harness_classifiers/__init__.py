"""Bundled plugin: classifiers. Importing it is cheap; each classifier's packages and weights load on first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness import hookimpl

if TYPE_CHECKING:
    from harness.api import Classifier, RunContext


def _detoxify(options: Mapping[str, Any], context: RunContext) -> Classifier:
    from harness_classifiers.detoxify import DetoxifyClassifier

    return DetoxifyClassifier(options, context)


def _presidio(options: Mapping[str, Any], context: RunContext) -> Classifier:
    from harness_classifiers.presidio import PresidioClassifier

    return PresidioClassifier(options, context)


def _minilm_toxicity(options: Mapping[str, Any], context: RunContext) -> Classifier:
    from harness_classifiers.minilm_toxicity import MiniLMToxicity

    return MiniLMToxicity(options, context)


def _words_harm(options: Mapping[str, Any], context: RunContext) -> Classifier:
    from harness_classifiers.words_harm import WordsHarm

    return WordsHarm(options, context)


def _toxicity_smollm2(options: Mapping[str, Any], context: RunContext) -> Classifier:
    from harness_classifiers.toxicity_smollm2 import ToxicitySmolLM2

    return ToxicitySmolLM2(options, context)


@hookimpl
def register_classifiers(register: Callable[..., None]) -> None:
    """Register the bundled classifiers."""
    register("detoxify", _detoxify, about="Toxicity by the Detoxify library; needs its checkpoint")
    register("presidio", _presidio, about="Personal data as spans, by Presidio on en_core_web_md")
    register("minilm-toxicity", _minilm_toxicity, about="Toxicity by a small head on MiniLM embeddings; needs no hub")
    register("words-harm", _words_harm, about="Harmful help in a reply, by a linear model on its words")
    register("toxicity-smollm2", _toxicity_smollm2, about="Toxicity by SmolLM2-135M with an adapter, which reads")
