"""Log-probabilities of texts that are given: of prompts that a server echoes, or tells token by token."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.api import LogProb, NoReply, Reply, Timing
from harness_models.remote.answers import RequestFailedError
from harness_models.remote.replies import choice_of

NOT_TOLD = "the server tells no probabilities of a prompt's tokens"


@dataclass(frozen=True, kw_only=True)
class Told:
    """One token of a prompt."""

    name: str
    """Its text or its id: equal tokens have equal names."""
    logprob: float | None
    """None for the first, which nothing stands before."""
    greedy: bool
    """Whether it is the most probable one there."""
    end: int = 0
    """Characters of the prompt up to its end, where the server says where it begins."""


def read_echo(answer: Mapping[str, Any], prompt: str) -> list[Told]:
    """Return the tokens of a prompt from an answer of `/completions` with `echo`, without those generated behind it.

    Raises:
        RequestFailedError: when the answer does not tell them.
    """
    told = choice_of(answer).get("logprobs")
    if not isinstance(told, dict):
        raise RequestFailedError(NOT_TOLD)
    tokens, values, begins = told.get("tokens"), told.get("token_logprobs"), told.get("text_offset")
    tops = told.get("top_logprobs")
    if not isinstance(tokens, list) or not isinstance(values, list) or not isinstance(begins, list):
        raise RequestFailedError(NOT_TOLD)
    if not len(tokens) == len(values) == len(begins):
        raise RequestFailedError("the server's lists of tokens are not of one length")
    tops = tops if isinstance(tops, list) and len(tops) == len(tokens) else [None] * len(tokens)
    found = [
        Told(name=str(token), logprob=_number(value), greedy=_is_top(value, top), end=int(begin) + len(str(token)))
        for token, value, begin, top in zip(tokens, values, begins, tops, strict=True)
        if isinstance(begin, int) and begin < len(prompt)
    ]
    if not found:
        raise RequestFailedError(NOT_TOLD)
    return found


def read_prompt(answer: Mapping[str, Any]) -> list[Told]:
    """Return the tokens of a prompt from an answer with `prompt_logprobs: 0`: each with its id, value and rank.

    Raises:
        RequestFailedError: when the answer does not tell them.
    """
    told = answer.get("prompt_logprobs") or choice_of(answer).get("prompt_logprobs")
    if not isinstance(told, list) or not told:
        raise RequestFailedError(NOT_TOLD)
    found = []
    for place, token in enumerate(told):
        if token is None and place == 0:
            found.append(Told(name="", logprob=None, greedy=False))
            continue
        if not isinstance(token, dict) or len(token) != 1:
            raise RequestFailedError("the server's probabilities of a prompt are not one for each token")
        ((name, value),) = token.items()
        if not isinstance(value, dict):
            raise RequestFailedError("the server's probabilities of a prompt are not one for each token")
        found.append(Told(name=str(name), logprob=_number(value.get("logprob")), greedy=value.get("rank") == 1))
    return found


def after(told: Sequence[Told], start: int, timing: Timing) -> Reply:
    """Return the log-probability of the tokens from one on; a NoReply where one of them has none."""
    tokens = told[start:]
    values = [token.logprob for token in tokens if token.logprob is not None]
    if not tokens or len(values) < len(tokens):
        return NoReply(reason="the server gives no probability of some of these tokens")
    greedy = all(token.greedy for token in tokens)
    return LogProb(logprob=sum(values), tokens=len(tokens), is_greedy=greedy, timing=timing)


def split(context: Sequence[Told], whole: Sequence[Told]) -> int:
    """Return how many tokens of a context and its continuation, told together, are the context's own."""
    same = 0
    for one, other in zip(context, whole, strict=False):
        if one.name != other.name:
            break
        same += 1
    return same


def beyond(told: Sequence[Told], characters: int) -> int:
    """Return the place of the first token that reaches beyond so many characters."""
    return next((place for place, token in enumerate(told) if token.end > characters), len(told))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return min(0.0, float(value))


def _is_top(value: object, top: object) -> bool:
    """Tell whether a token's value is the greatest of those named beside it."""
    given = _number(value)
    if given is None or not isinstance(top, dict):
        return False
    others = [_number(other) for other in top.values()]
    return all(other is None or given >= other for other in others)
