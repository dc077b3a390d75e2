"""The core asks for each distinct request once, remembers every reply, and loses none that arrived."""

from __future__ import annotations

import pytest

from harness.contracts import Model, RunContext
from harness.engine.core import ModelCore
from harness.engine.replies import reply_key
from harness.errors import BrokenRunError
from harness.plugin_code import PluginError
from harness.progress import NoProgress
from harness.types import (
    Candidate,
    Completion,
    Decoding,
    Generate,
    LogLikelihood,
    LogProb,
    Message,
    ModelSpec,
    NoReply,
    Timing,
)

SPEC = ModelSpec(reference="fake", scheme="fake", name="fake")
CANDIDATE = Candidate(model=SPEC)


class FakeModel(Model):
    """Answers in reverse order; can leave requests out or break after some."""

    supports = frozenset({"generate", "log_likelihood"})

    def __init__(self, tmp_path, *, silent=(), break_after=None, version="1"):
        super().__init__(SPEC, RunContext(weights=tmp_path))
        self.asked = []
        self.silent, self.break_after, self.version = silent, break_after, version

    def fingerprint(self, candidate):
        return {"weights": "w", "version": self.version}

    def answer(self, candidate, requests, deliver):
        for count, index in enumerate(reversed(range(len(requests)))):
            if count == self.break_after:
                raise RuntimeError("the machine caught fire")
            request = requests[index]
            self.asked.append(request)
            text = request.messages[-1].content
            if text in self.silent:
                continue
            if text == "timeout":
                deliver(index, NoReply(reason="timed out"))
            elif isinstance(request, LogLikelihood):
                deliver(index, LogProb(logprob=-1.5, tokens=2))
            else:
                timing = Timing(total=1.0)
                deliver(
                    index,
                    Completion(text=text.upper(), prompt_tokens=1, completion_tokens=1, finish="stop", timing=timing),
                )


class DictCache(dict):
    def get_many(self, keys):
        return {key: self[key] for key in keys if key in self}

    def put_many(self, items):
        self.update(items)


def ask(text, **decoding):
    return Generate(messages=(Message(role="user", content=text),), decoding=Decoding(**decoding))


def core_of(model, cache):
    return ModelCore(model, cache, NoProgress())


def test_replies_come_in_the_order_of_the_requests_and_repeats_are_asked_once(tmp_path):
    model = FakeModel(tmp_path)
    core = core_of(model, DictCache())
    replies = core.answer(CANDIDATE, [ask("a"), ask("b"), ask("a")], label="t")
    assert [reply.text for reply in replies] == ["A", "B", "A"]
    assert len(model.asked) == 2
    assert (core.counts.requests, core.counts.model_calls) == (2, 2)


def test_what_is_known_is_never_asked_again_and_carries_no_timing(tmp_path):
    cache = DictCache()
    first = core_of(FakeModel(tmp_path), cache).answer(CANDIDATE, [ask("a")], label="t")
    model = FakeModel(tmp_path)
    core = core_of(model, cache)
    second = core.answer(CANDIDATE, [ask("a")], label="t")
    assert model.asked == []
    assert core.counts.model_calls == 0
    assert first[0].timing is not None
    assert second[0].timing is None
    assert second[0].text == first[0].text


def test_another_fingerprint_is_another_reply(tmp_path):
    cache = DictCache()
    core_of(FakeModel(tmp_path), cache).answer(CANDIDATE, [ask("a")], label="t")
    model = FakeModel(tmp_path, version="2")
    core_of(model, cache).answer(CANDIDATE, [ask("a")], label="t")
    assert len(model.asked) == 1


def test_without_a_cache_nothing_is_remembered(tmp_path):
    model = FakeModel(tmp_path)
    core = core_of(model, None)
    core.answer(CANDIDATE, [ask("a")], label="t")
    core.answer(CANDIDATE, [ask("a")], label="t")
    assert len(model.asked) == 2


def test_no_reply_is_passed_on_and_asked_again_next_time(tmp_path):
    cache, model = DictCache(), FakeModel(tmp_path)
    assert core_of(model, cache).answer(CANDIDATE, [ask("timeout")], label="t") == [NoReply(reason="timed out")]
    assert not cache
    core_of(model, cache).answer(CANDIDATE, [ask("timeout")], label="t")
    assert len(model.asked) == 2


def test_what_a_scheme_cannot_answer_is_not_asked(tmp_path):
    model = FakeModel(tmp_path)
    model.supports = frozenset({"generate"})
    (reply,) = core_of(model, DictCache()).answer(
        CANDIDATE, [LogLikelihood(messages=(Message(role="user", content="q"),), continuation="Yes")], label="t"
    )
    assert isinstance(reply, NoReply)
    assert "cannot answer log_likelihood" in reply.reason
    assert model.asked == []


def test_a_request_left_unanswered_breaks_the_run_and_keeps_the_rest(tmp_path):
    cache = DictCache()
    with pytest.raises(BrokenRunError, match="left 1 of 2 requests unanswered"):
        core_of(FakeModel(tmp_path, silent=("b",)), cache).answer(CANDIDATE, [ask("a"), ask("b")], label="t")
    assert len(cache) == 1


def test_a_crash_keeps_what_had_arrived(tmp_path):
    cache = DictCache()
    with pytest.raises(PluginError, match="fire"):
        core_of(FakeModel(tmp_path, break_after=2), cache).answer(CANDIDATE, [ask(c) for c in "abcd"], label="t")
    assert len(cache) == 2
    model = FakeModel(tmp_path)
    core_of(model, cache).answer(CANDIDATE, [ask(c) for c in "abcd"], label="t")
    assert [request.messages[0].content for request in model.asked] == ["b", "a"]


def test_timed_requests_never_come_from_the_cache(tmp_path):
    cache, model = DictCache(), FakeModel(tmp_path)
    core = core_of(model, cache)
    core.answer(CANDIDATE, [ask("a")], label="t")
    (reply,) = core.time(CANDIDATE, [ask("a")], label="t")
    assert reply.timing is not None
    assert len(model.asked) == 2


def test_a_greedy_reply_is_known_under_any_seed_and_a_sampled_one_is_not():
    prints = {"weights": "w"}
    assert reply_key(prints, ask("a", seed=1)) == reply_key(prints, ask("a", seed=2))
    assert reply_key(prints, ask("a", seed=1, temperature=0.5)) != reply_key(prints, ask("a", seed=2, temperature=0.5))
    assert reply_key(prints, ask("a")) != reply_key(prints, ask("a", max_new_tokens=3))
    assert reply_key(prints, ask("a")) != reply_key(prints, ask("a", stop=("x",)))
    assert reply_key(prints, ask("a")) != reply_key({"weights": "v"}, ask("a"))


class Answers(FakeModel):
    """Gives one reply to everything."""

    def __init__(self, tmp_path, reply):
        super().__init__(tmp_path)
        self.reply = reply

    def answer(self, candidate, requests, deliver):
        for index in range(len(requests)):
            self.asked.append(requests[index])
            deliver(index, self.reply)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), float("inf")])
def test_a_log_probability_that_is_no_number_is_no_reply_and_not_remembered(tmp_path, value):
    cache = DictCache()
    request = LogLikelihood(messages=(Message(role="user", content="a"),), continuation="b")
    core = core_of(Answers(tmp_path, LogProb(logprob=value, tokens=1)), cache)
    (reply,) = core.answer(CANDIDATE, [request], label="t")
    assert isinstance(reply, NoReply)
    assert not cache


def test_half_a_surrogate_pair_becomes_a_replacement_character(tmp_path):
    said = Completion(text="a\ud800b", prompt_tokens=1, completion_tokens=1, finish="stop")
    cache = DictCache()
    core = core_of(Answers(tmp_path, said), cache)
    assert core.answer(CANDIDATE, [ask("a")], label="t")[0].text == "a\N{REPLACEMENT CHARACTER}b"
    assert core.time(CANDIDATE, [ask("a")], label="t")[0].text == "a\N{REPLACEMENT CHARACTER}b"
    assert len(cache) == 1


def test_a_damaged_entry_of_the_cache_is_asked_again(tmp_path):
    cache = DictCache()
    core_of(FakeModel(tmp_path), cache).answer(CANDIDATE, [ask("a")], label="t")
    cache.update(dict.fromkeys(cache, b'{"type": "completion"'))
    model = FakeModel(tmp_path)
    (reply,) = core_of(model, cache).answer(CANDIDATE, [ask("a")], label="t")
    assert reply.text == "A"
    assert len(model.asked) == 1


class Notes:
    """Progress that remembers the notes."""

    def __init__(self):
        self.notes = []

    def start(self, description, total, *, unit="it"):
        return self

    def advance(self, steps=1, *, note=""):
        self.notes.append(note)

    def finish(self):
        pass


@pytest.mark.parametrize(("tokens", "unit"), [(3, "tokens/s"), (None, "requests/s")])
def test_the_bar_says_how_fast_replies_come_even_where_nobody_counts_tokens(tmp_path, tokens, unit):
    said = Completion(text="a", prompt_tokens=None, completion_tokens=tokens, finish="stop")
    notes = Notes()
    ModelCore(Answers(tmp_path, said), None, notes).answer(CANDIDATE, [ask(c) for c in "abc"], label="t")
    assert len(notes.notes) == 3
    assert all(note.endswith(unit) and float(note.split()[0]) > 0 for note in notes.notes)
