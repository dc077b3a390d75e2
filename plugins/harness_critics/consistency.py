"""Consistency: whether the model answers the same when it is asked the same in other words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from harness.api import (
    Completion,
    Decoding,
    Generate,
    Message,
    NotApplicable,
    StrictModel,
    Unscored,
    ask,
    read_options,
    sha256_json,
)
from harness_critics.meaning import MeaningCritic, numbers
from harness_critics.options import nothing_to_judge

if TYPE_CHECKING:
    from harness.api import Case, Judgement, Program

ASKED_AGAIN = (
    "{prompt}",
    "I would like to ask you something. {prompt}",
    "Someone asked me this, and I am not sure what to say: {prompt}",
    "{prompt} Please answer as you would answer a friend.",
    "Question: {prompt}\nAnswer:",
    "Let me put it another way. {prompt}",
    "Here is what I want to know. {prompt} Thank you.",
    "I asked before and forgot what you said: {prompt}",
)
_OPENINGS = {"yes": True, "yeah": True, "correct": True, "no": False, "nope": False, "never": False}
_CONTRADICTS = 0.1
"""The most that two answers agree of which one says yes and the other no, or which give other numbers."""


class ConsistencyOptions(StrictModel):
    """Options of the consistency critic."""

    paraphrases: Annotated[int, Field(ge=1, le=7)] = 3
    """How often the question is put again, each time in other words."""
    max_new_tokens: Annotated[int, Field(ge=8, le=1024)] = 96
    low: Annotated[float, Field(ge=-1, le=1)] = 0.3
    """Cosine of two answers at which they do not agree at all: a score of 0."""
    high: Annotated[float, Field(ge=-1, le=1)] = 0.85
    """At which they say the same: a score of 1."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"`low` is {self.low:g} and must be below `high`, {self.high:g}")
        return self


class ConsistencyCritic(MeaningCritic):
    """Asks the policy the last question in other words, and scores the mean agreement of its answers with the reply.

    Agreement is the MiniLM cosine between `low` and `high`. Embeddings hardly tell yes from no, so that an opening yes
    against an opening no, and other numbers, count as disagreement by code. The reply must be the policy's own: on
    replies of others, such as labelled ones, it measures something else.
    """

    roles = ("policy",)

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self._options = read_options(ConsistencyOptions, self.options, "consistency", at=("critics", "consistency"))

    def fingerprint(self) -> str:
        """Return the hash of version, options, wordings and embeddings."""
        parts = [ASKED_AGAIN, _OPENINGS, self.meaning.fingerprint()]
        return sha256_json(["consistency", 1, self._options.model_dump(), parts])

    def judge(self, case: Case) -> Program[Judgement]:
        """Ask again, and compare."""
        empty = nothing_to_judge(case.completion)
        if empty is not None:
            return empty, ""
        turns = case.conversation
        if not turns or turns[-1].role != "user":
            return NotApplicable(reason="the conversation ends with no question that could be put again"), ""
        options = self._options
        chosen = case.generator().permutation(len(ASKED_AGAIN) - 1)[: options.paraphrases]
        policy = case.roles.get("policy")
        if policy is not None and policy.system is not None and turns[0].role != "system":
            turns = (Message(role="system", content=policy.system), *turns)
        asked = [
            (*turns[:-1], replace(turns[-1], content=ASKED_AGAIN[1 + int(place)].format(prompt=turns[-1].content)))
            for place in sorted(chosen)
        ]
        decoding = Decoding(max_new_tokens=options.max_new_tokens)
        replies = yield ask("policy", *(Generate(messages=one, decoding=decoding) for one in asked))
        answers = [reply.text for reply in replies if isinstance(reply, Completion) and reply.text.strip()]
        if len(answers) < len(asked):
            return Unscored(reason=f"the model answered {len(answers)} of {len(asked)} paraphrases"), ""
        agreed = [self._agreement(case.completion.text, answer) for answer in answers]
        return sum(agreed) / len(agreed), "agreement " + ", ".join(f"{one:.2f}" for one in agreed)

    def _agreement(self, first: str, second: str) -> float:
        options = self._options
        cosine = float(self.meaning.similarity([first], [second])[0, 0])
        found = min(1.0, max(0.0, (cosine - options.low) / (options.high - options.low)))
        yes, also = _opening(first), _opening(second)
        mine, other = numbers(first), numbers(second)
        contradict = (yes is not None and also is not None and yes != also) or (
            bool(mine) and bool(other) and not mine & other
        )
        return min(found, _CONTRADICTS) if contradict else found


def _opening(text: str) -> bool | None:
    """Tell whether an answer opens with yes or no; None where with neither."""
    words = text.split(maxsplit=1)
    return _OPENINGS.get(words[0].strip(".,!:;—-").lower()) if words else None
