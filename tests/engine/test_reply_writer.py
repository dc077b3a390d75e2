"""What a model has delivered is in the cache while it still works on the rest, and stays there however it ends."""

from __future__ import annotations

import threading
import time

import pytest

from harness.contracts import Model, RunContext
from harness.engine.core import ModelCore
from harness.engine.replies import ReplyWriter
from harness.errors import BrokenRunError
from harness.progress import NoProgress
from harness.store.cache import Cache
from harness.types import Candidate, Completion, Decoding, Generate, Message, ModelSpec

SPEC = ModelSpec(reference="fake", scheme="fake", name="fake")
SAID = Completion(text="yes", prompt_tokens=1, completion_tokens=1, finish="stop")


class Bursts(Model):
    """Delivers some replies at once, and then does what it is told before the others."""

    supports = frozenset({"generate"})

    def __init__(self, tmp_path, first, then):
        super().__init__(SPEC, RunContext(weights=tmp_path))
        self.first, self.then = first, then

    def fingerprint(self, candidate):
        return {"weights": "w"}

    def answer(self, candidate, requests, deliver):
        for index in range(self.first):
            deliver(index, SAID)
        self.then()
        for index in range(self.first, len(requests)):
            deliver(index, SAID)


def requests(count):
    return [Generate(messages=(Message(role="user", content=str(n)),), decoding=Decoding()) for n in range(count)]


@pytest.mark.parametrize("first", [1, 31, 700])
def test_replies_are_on_disk_while_the_model_works_on(tmp_path, first):
    other = Cache(tmp_path / "cache.db")
    seen = []

    def look():
        deadline = time.monotonic() + 120
        while other.stats().entries < first and time.monotonic() < deadline:
            time.sleep(0.005)
        seen.append(other.stats().entries)

    with Cache(tmp_path / "cache.db") as cache:
        core = ModelCore(Bursts(tmp_path, first, look), cache, NoProgress())
        core.answer(Candidate(model=SPEC), requests(first + 5), label="t")
        assert seen == [first]
        assert cache.stats().entries == first + 5
    other.close()


@pytest.mark.parametrize("fault", [KeyboardInterrupt, SystemExit, MemoryError, RuntimeError])
def test_what_was_delivered_is_kept_however_the_model_ends(tmp_path, fault):
    def fail():
        raise fault

    with Cache(tmp_path / "cache.db") as cache:
        core = ModelCore(Bursts(tmp_path, 40, fail), cache, NoProgress())
        with pytest.raises(BaseException):  # noqa: B017, PT011 - each of the four, or what it becomes
            core.answer(Candidate(model=SPEC), requests(50), label="t")
        assert cache.stats().entries == 40
    assert not [thread for thread in threading.enumerate() if thread.name == "cache"]


class FullDisk(dict):
    def get_many(self, keys):
        return {}

    def put_many(self, items):
        raise BrokenRunError("the disk is full")


def test_a_full_disk_stops_the_model(tmp_path):
    delivered = []

    class Endless(Bursts):
        def answer(self, candidate, requests, deliver):
            for index in range(len(requests)):
                deliver(index, SAID)
                delivered.append(index)
                time.sleep(0.002)

    core = ModelCore(Endless(tmp_path, 0, None), FullDisk(), NoProgress())
    with pytest.raises(BrokenRunError, match="disk is full"):
        core.answer(Candidate(model=SPEC), requests(5000), label="t")
    assert len(delivered) < 2500


def test_a_full_disk_at_the_very_end_is_told_too():
    with pytest.raises(BrokenRunError, match="disk is full"), ReplyWriter(FullDisk()) as writer:
        writer.write("a", b"x")


def test_a_fault_of_the_model_is_not_hidden_by_a_full_disk():
    def work():
        with ReplyWriter(FullDisk()) as writer:
            writer.write("a", b"x")
            time.sleep(0.05)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
