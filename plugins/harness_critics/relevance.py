"""Relevance: whether an answer uses what a corpus, or the context that it was given, knows about the question."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from harness.api import NotApplicable, StrictModel, read_options, sha256_json
from harness_critics.meaning import Corpus, MeaningCritic, given_context, sentences
from harness_critics.options import nothing_to_judge

if TYPE_CHECKING:
    from harness.api import Case, Judgement, Program


class RelevanceOptions(StrictModel):
    """Options of the relevance critic."""

    corpus: str | None = None
    """A .txt, .md or .jsonl file, or a folder of them, relative to where the command runs."""
    passages: Annotated[int, Field(ge=1, le=20)] = 3
    """Passages nearest to the question that an answer may use."""
    least: Annotated[float, Field(ge=0, le=1)] = 0.35
    """Cosine from which on a passage speaks of what is asked."""
    low: Annotated[float, Field(ge=-1, le=1)] = 0.2
    """Cosine of the nearest sentence and passage at which an answer uses nothing: a score of 0."""
    high: Annotated[float, Field(ge=-1, le=1)] = 0.8
    """At which it uses what is known: a score of 1."""
    conversation_words: Annotated[int, Field(ge=5)] = 30
    """A turn of the conversation of at least so many words is a context too."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"`low` is {self.low:g} and must be below `high`, {self.high:g}")
        return self


class RelevanceCritic(MeaningCritic):
    """Scores how near the answer's nearest sentence is to a passage about the question, between `low` and `high`.

    It asks no model, and tells use from disuse, not truth from falsehood: for that there is `grounding`.
    """

    roles = ()

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self._options = read_options(RelevanceOptions, self.options, "relevance", at=("critics", "relevance"))
        path = self._options.corpus
        self._corpus = None if path is None else Corpus.at(path, "critics.relevance.corpus")

    def fingerprint(self) -> str:
        """Return the hash of version, options, corpus and embeddings."""
        chosen = self._options.model_dump() | {"corpus": self._corpus and self._corpus.fingerprint()}
        return sha256_json(["relevance", 1, chosen, self.meaning.fingerprint()])

    @cached_property
    def _known(self) -> tuple[str, ...]:
        return () if self._corpus is None else tuple(self._corpus.passages())

    def judge(self, case: Case) -> Program[Judgement]:
        """Compare the reply with what is known about the question."""
        yield from ()
        empty = nothing_to_judge(case.completion)
        if empty is not None:
            return empty, ""
        options = self._options
        among = (*self._known, *given_context(case.sample, conversation_words=options.conversation_words))
        if not among:
            return NotApplicable(reason="there is no corpus, and the sample gives no context"), ""
        near = [text for text, cosine in self.meaning.nearest(case.sample.prompt, among, options.passages)
                if cosine >= options.least]  # fmt: skip
        if not near:
            return NotApplicable(reason="nothing known speaks of what is asked"), ""
        said = sentences(case.completion.text) or [case.completion.text]
        best = float(self.meaning.similarity(said, near).max())
        score = min(1.0, max(0.0, (best - options.low) / (options.high - options.low)))
        return score, f"nearest cosine {best:.2f} to {len(near)} passages"
