"""Reads what a chat endpoint sends, which may be anything, into replies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.api import Completion, LogProb, NoReply, Reply, Timing
from harness_models.remote.answers import RequestFailedError


def choice_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the answer's first choice.

    Raises:
        RequestFailedError: when it has none.
    """
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise RequestFailedError("the server's reply has no choices")
    return choices[0]


def read_completion(answer: Mapping[str, Any], stop: Sequence[str], seconds: float) -> Completion:
    """Return the completion, cut before the first of the stop strings, which a server may know too few of.

    Raises:
        RequestFailedError: when the answer holds no text.
    """
    choice = choice_of(answer)
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    ended = choice.get("finish_reason")
    if ended == "content_filter":
        raise RequestFailedError("the server filtered its reply")
    if not isinstance(text, str):
        raise RequestFailedError("the server's reply has no text")
    cut = [place for place in (text.find(string) for string in stop) if place >= 0]
    usage = answer.get("usage")
    return Completion(
        text=text[: min(cut)] if cut else text,
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        finish="length" if ended == "length" and not cut else "stop",
        timing=Timing(total=seconds),
    )


def _count(usage: object, key: str) -> int | None:
    value = usage.get(key) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and value >= 0 else None


def read_alternatives(answer: Mapping[str, Any]) -> dict[str, float]:
    """Return the log-probabilities of the first token's alternatives, most probable first.

    Raises:
        RequestFailedError: when the answer names none.
    """
    logprobs = choice_of(answer).get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    first = content[0] if isinstance(content, list) and content else None
    tops = first.get("top_logprobs") if isinstance(first, dict) else None
    if not isinstance(tops, list) or not tops:
        raise RequestFailedError("the server gives no probabilities of tokens")
    found: dict[str, float] = {}
    for top in tops:
        token, logprob = (top.get("token"), top.get("logprob")) if isinstance(top, dict) else (None, None)
        if not isinstance(token, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
            continue
        if math.isfinite(logprob):  # NaN would become 0, which is certainty
            found.setdefault(token, min(0.0, float(logprob)))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def likelihood(text: str, found: Mapping[str, float], timing: Timing) -> Reply:
    """Return the log-probability of a continuation of one token, where it is among the alternatives."""
    if text not in found:
        return NoReply(reason=f"{text!r} is not one of the {len(found)} most probable first tokens the server names")
    return LogProb(logprob=found[text], tokens=1, is_greedy=next(iter(found)) == text, timing=timing)
