"""What calls begin with in common is forwarded once, and changes no score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.contracts import RunContext
from harness.types import Candidate, LogLikelihood, LogProb, Message
from tests.models.conftest import Plain, adapter_of, ask, make

RULES = Message(role="system", content="tell me about the quick brown fox and the lazy dog in the warm sun.")
OTHER = Message(role="system", content="one two three four five six seven eight nine ten eleven twelve thirteen")
LONG = "the lazy dog and the quick brown fox in the warm sun, " * 2


def question(rules: Message, text: str) -> LogLikelihood:
    return LogLikelihood(messages=(rules, Message(role="user", content=text)), continuation="Yes or No")


def test_a_common_beginning_is_forwarded_once_and_changes_nothing(
    base: Path, surroundings: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness_models.hf.loading import Loaded

    model, candidate = make(base, surroundings)
    plain, forwarded = Plain(base), []
    real = Loaded.hidden

    def hidden(self: Loaded, ids: Any, **given: Any) -> Any:
        forwarded.append(ids.numel())
        return real(self, ids, **given)

    monkeypatch.setattr(Loaded, "hidden", hidden)
    # Alike, longer alike, shorter alike, quite another, back, and the very same.
    asked = [
        question(RULES, "sun"), question(RULES, "fox"), question(RULES, "dog"), question(RULES, LONG + "a"),
        question(RULES, LONG + "the"), question(RULES, LONG + "one"), question(RULES, "sun"), question(OTHER, "sun"),
        question(OTHER, "fox"), question(RULES, "fox"), question(RULES, "fox"),
    ]  # fmt: skip
    counts = []
    for one in asked:
        before = sum(forwarded)
        (reply,) = ask(model, candidate, [one])
        counts.append(sum(forwarded) - before)
        assert isinstance(reply, LogProb)
        expected = plain.continuation(one.messages, one.continuation)[0]
        assert reply.logprob == pytest.approx(expected, abs=1e-3)
    assert counts[2] < counts[0] / 2  # only what is new
    assert counts[5] < counts[3] / 2
    (many,) = [ask(model, candidate, asked)]
    assert [reply.logprob for reply in many] == pytest.approx(  # type: ignore[union-attr] # seen above
        [plain.continuation(one.messages, one.continuation)[0] for one in asked], abs=1e-3
    )


def test_each_adapter_has_a_beginning_of_its_own(
    tiny_base: Path, tiny_adapter: Path, other_tiny_adapter: Path, surroundings: RunContext
) -> None:
    model, bare = make(tiny_base, surroundings)
    paths = [(), (tiny_adapter,), (other_tiny_adapter,), (tiny_adapter, other_tiny_adapter)]
    arms = [
        (Candidate(model=bare.model, adapters=tuple(map(adapter_of, each))), Plain(tiny_base, *each)) for each in paths
    ]
    for text in ("sun", "fox", "dog", "sun"):
        for candidate, plain in arms:
            one = question(RULES, text)
            (reply,) = ask(model, candidate, [one])
            assert isinstance(reply, LogProb)
            assert reply.logprob == pytest.approx(plain.continuation(one.messages, one.continuation)[0], abs=1e-3)
