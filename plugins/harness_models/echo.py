"""The `echo` model: answers that anyone can work out by hand, for tests and tutorials.

    echo:          repeats the last user message
    echo:refuse    answers "I can't help with that."
    echo:TEXT      answers TEXT

A continuation's log-likelihood is -1 for each of its words that the last user message has (ignoring case), and -2 for
each other word: tokens are words. A text's is -1 for each word that stood in it before, and -2 for each new one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from harness.api import (
    Candidate,
    Completion,
    Decoding,
    Generate,
    LogLikelihood,
    LogProb,
    Message,
    Model,
    NoReply,
    Reply,
    Request,
    Timing,
    sha256_text,
)

REFUSAL = "I can't help with that."
_KNOWN, _NEW = -1.0, -2.0


class EchoModel(Model):
    """Answers without any weights, deterministically and at once."""

    def fingerprint(self, candidate: Candidate) -> Mapping[str, str]:
        """Return the reference and the adapters' ids: adapters change the key, not the answers."""
        return {
            "base": sha256_text(f"echo 1 {self.spec.name}"),
            "adapters": ",".join(adapter.id for adapter in candidate.adapters),
            "dtype": "none",
            "backend": "echo 1",
            "template": candidate.template,
        }

    def answer(self, candidate: Candidate, requests: Sequence[Request], deliver: Callable[[int, Reply], None]) -> None:  # noqa: ARG002
        """Answer every request in order."""
        for index, request in enumerate(requests):
            deliver(index, self._reply(request))

    def facts(self) -> Mapping[str, str]:
        """Say that nothing was computed."""
        return {"device": "none", "dtype": "none", "backend": "echo 1"}

    def _reply(self, request: Request) -> Reply:
        timing = Timing(total=0.0, first_token=0.0)
        if isinstance(request, Generate):
            return _completion(self._text(request.messages), request, timing)
        if isinstance(request, LogLikelihood):
            known = {word.lower() for word in _last_user(request.messages).split()}
            words = request.continuation.split()
            logprobs = [_KNOWN if word.lower() in known else _NEW for word in words]
        else:
            words = request.text.split()
            logprobs = [_KNOWN if word in words[:place] else _NEW for place, word in enumerate(words)]
        if not words:
            return NoReply(reason="there are no words to score")
        greedy = all(value == _KNOWN for value in logprobs)
        return LogProb(logprob=sum(logprobs), tokens=len(words), is_greedy=greedy, timing=timing)

    def _text(self, messages: Sequence[Message]) -> str:
        if self.spec.name == "refuse":
            return REFUSAL
        return self.spec.name or _last_user(messages)


def _last_user(messages: Sequence[Message]) -> str:
    return next((message.content for message in reversed(messages) if message.role == "user"), "")


def _completion(text: str, request: Generate, timing: Timing) -> Completion:
    """Cut the answer as the decoding asks, words being tokens."""
    kept, finish = _cut(text, request.decoding)
    prompt = sum(len(message.content.split()) for message in request.messages)
    return Completion(
        text=kept,
        prompt_tokens=prompt,
        completion_tokens=len(kept.split()),
        finish="stop" if finish else "length",
        timing=timing,
    )


def _cut(text: str, decoding: Decoding) -> tuple[str, bool]:
    """Return the text up to the first stop string and `max_new_tokens` words, and whether it ended by itself."""
    places = [place for place in (text.find(stop) for stop in decoding.stop) if place >= 0]
    text = text[: min(places)] if places else text
    words = [match.end() for match in re.finditer(r"\S+", text)]
    if len(words) > decoding.max_new_tokens:
        return text[: words[decoding.max_new_tokens - 1]], False
    return text, True
