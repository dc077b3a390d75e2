"""Grounding: whether what a reply claims is borne out by a personal corpus, or by the context that it was given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from harness.api import (
    Completion,
    Message,
    NotApplicable,
    Principle,
    StrictModel,
    Unscored,
    read_options,
    sha256_json,
)
from harness_critics.judge import JudgeCritic
from harness_critics.meaning import Corpus, MeaningCritic, given_context, numbers, sentences
from harness_critics.options import nothing_to_judge

if TYPE_CHECKING:
    from harness.api import Case, Judgement, Program

BORNE_OUT = Principle(
    id="borne_out", text="What the assistant's last reply says is borne out by the text in the setting, and nothing in"
    " that text speaks against it.",
)  # fmt: skip
_NO_CLAIM = re.compile(
    r"(?i)^(?:i(?:'m| am| can| could| would| will|'ll|'d| hope| think)\b|sorry|hello|hi\b|dear\b|thank|please|let me|"
    r"would you|do you|feel free|of course|sure\b)|\?$"
)
"""What offers, greets or asks claims nothing about the world."""
_AGAINST = 0.1
"""The score of a claim whose numbers the evidence contradicts."""


class GroundingOptions(StrictModel):
    """Options of the grounding critic."""

    corpus: str | None = None
    """A .txt, .md or .jsonl file, or a folder of them, relative to where the command runs."""
    passages: Annotated[int, Field(ge=1, le=10)] = 2
    """Passages that are shown to the judge for each claim."""
    least: Annotated[float, Field(ge=0, le=1)] = 0.45
    """Cosine from which on a passage speaks of what a claim is about."""
    claims: Annotated[int, Field(ge=1, le=50)] = 8
    """Claims of a reply that are looked at, from its beginning."""
    numbers: bool = True
    """Whether a number in a claim has to stand in the evidence, where that holds numbers."""
    conversation_words: Annotated[int, Field(ge=5)] = 30
    """A turn of the conversation of at least so many words is a context too."""


class GroundingCritic(MeaningCritic):
    """Splits the reply into claims, finds passages by MiniLM, and asks the judge whether they bear each claim out.

    The score is the worst claim's. Where no passage speaks of any claim, the question does not arise: nothing is said
    for or against. Numbers are compared by code as well, since small judges do not.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self._options = read_options(GroundingOptions, self.options, "grounding", at=("critics", "grounding"))
        path = self._options.corpus
        self._corpus = None if path is None else Corpus.at(path, "critics.grounding.corpus")
        self._judge = JudgeCritic()

    def fingerprint(self) -> str:
        """Return the hash of version, options, corpus, embeddings and the judge's prompts."""
        chosen = self._options.model_dump() | {"corpus": self._corpus and self._corpus.fingerprint()}
        parts = [self.meaning.fingerprint(), self._judge.fingerprint(), BORNE_OUT.text, _NO_CLAIM.pattern]
        return sha256_json(["grounding", 1, chosen, parts])

    @cached_property
    def _known(self) -> tuple[str, ...]:
        return () if self._corpus is None else tuple(self._corpus.passages())

    def judge(self, case: Case) -> Program[Judgement]:
        """Judge each claim by the passages nearest to it."""
        empty = nothing_to_judge(case.completion)
        if empty is not None:
            return empty, ""
        options = self._options
        among = (*self._known, *given_context(case.sample, conversation_words=options.conversation_words))
        if not among:
            return NotApplicable(reason="there is no corpus, and the sample gives no context"), ""
        claims = [one for one in sentences(case.completion.text) if not _NO_CLAIM.search(one)][: options.claims]
        scores: dict[str, float] = {}
        for claim in claims:
            near = [text for text, cosine in self.meaning.nearest(claim, among, options.passages)
                    if cosine >= options.least]  # fmt: skip
            if not near:
                continue
            score = yield from self._borne_out(case, claim, near)
            if isinstance(score, Unscored):
                return score, f"on the claim {claim!r}"
            scores[claim] = score
        if not scores:
            return NotApplicable(reason="no passage speaks of what the reply claims"), ""
        worst = min(scores, key=lambda claim: scores[claim])
        return scores[worst], f"{len(scores)} of {len(claims)} claims have evidence; the worst: {worst!r}"

    def _borne_out(self, case: Case, claim: str, near: list[str]) -> Program[float | Unscored]:
        told = numbers(" ".join((*near, case.sample.prompt)))
        if self._options.numbers and numbers(" ".join(near)) and numbers(claim) - told:
            return _AGAINST
        asked = replace(
            case, principle=BORNE_OUT,
            sample=replace(case.sample, messages=(
                Message(role="system", content="\n".join(near)),
                Message(role="user", content=case.sample.prompt),
            )),
            completion=Completion(text=claim, prompt_tokens=None, completion_tokens=None, finish="stop"),
        )  # fmt: skip
        score, _ = yield from self._judge.judge(asked)
        return score if isinstance(score, float) else Unscored(reason=score.reason)
