"""The open queue: requests join and leave at any step, and each gets what it would get alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import RLock
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.contracts import RunContext
from harness.errors import InputError
from harness.types import Candidate, Completion, Generate, LogLikelihood, LogProb, ModelSpec, NoReply
from harness_models.hf import remembered
from harness_models.hf.handles import Handle, QueueFullError
from harness_models.hf.open_queue import OpenQueue
from harness_models.hf.slots import Slots
from tests.models.conftest import Plain, adapter_of, ask, greedy, make, user

TEXTS = (
    "Yes or No?",
    "tell me about the sun",
    "a",
    "the quick brown fox jumps over the lazy dog",
    "one two three",
    "sun",
)
REQUESTS = tuple(Generate(messages=user(text), decoding=greedy(6 + 3 * n)) for n, text in enumerate(TEXTS))


class ByHand(OpenQueue):
    """A queue whose turns the test takes, so that it decides when a request arrives."""

    def __init__(self, model: Any, **given: Any) -> None:
        super().__init__(model, **given)
        self._thread = self  # type: ignore[assignment] # none is begun
        self.lent = ExitStack()

    def turn(self) -> None:
        with torch.inference_mode():
            self._turn(self.lent)

    def drain(self) -> None:
        while self._running or self._whole or self._waiting:
            self.turn()

    @property
    def rows(self) -> int:
        return len(self._running)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunContext:
    return RunContext(offline=True, weights=tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def arms(
    tiny_base: Path, tiny_adapter: Path, other_tiny_adapter: Path, store: RunContext
) -> tuple[Any, list[Candidate], list[list[str]]]:
    """A model, three candidates on it, and what transformers generates one by one for each request."""
    model, bare = make(tiny_base, store)
    paths = [(), (tiny_adapter,), (other_tiny_adapter,)]
    candidates = [Candidate(model=bare.model, adapters=tuple(map(adapter_of, each))) for each in paths]
    alone = [
        [Plain(tiny_base, *each).greedy(request.messages, request.decoding.max_new_tokens) for request in REQUESTS]
        for each in paths
    ]
    assert len(set(map(tuple, alone))) == 3
    return model, candidates, alone


def text(handle: Handle) -> str:
    reply = handle.result(timeout=0)
    assert isinstance(reply, Completion)
    assert "".join(event.text for event in handle.events()) == reply.text
    return reply.text


JOBS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, len(REQUESTS) - 1), st.integers(0, 5), st.sampled_from("ab")),
    min_size=1, max_size=7,
)  # fmt: skip


@given(JOBS, st.booleans(), st.sampled_from([1, 2, 64]))
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_arrival_gives_each_request_what_it_gets_alone(
    arms: tuple[Any, list[Candidate], list[list[str]]],
    jobs: Sequence[tuple[int, int, int, str]],
    mixing: bool,
    rows: int,
) -> None:
    model, candidates, alone = arms
    model.limits.rows = rows
    queue = ByHand(model, mixing=mixing)
    handles = []
    for arm, number, turns, caller in jobs:
        handles.append((arm, number, queue.submit(candidates[arm], REQUESTS[number], caller=caller)))
        for _ in range(turns):
            queue.turn()
    queue.drain()
    model.limits.rows = 64
    for arm, number, handle in handles:
        assert text(handle) == alone[arm][number]


@pytest.mark.parametrize("mixing", [True, False])
def test_rows_of_several_adapters_share_steps_where_they_may(
    arms: tuple[Any, list[Candidate], list[list[str]]], mixing: bool
) -> None:
    model, candidates, _ = arms
    queue = ByHand(model, mixing=mixing)
    for candidate in candidates:
        queue.submit(candidate, REQUESTS[1])
    queue.turn()
    assert sorted(lane.rows for lane in queue._lanes.values()) == ([3] if mixing else [1, 1, 1])
    queue.drain()


def test_a_cancelled_request_frees_its_row_and_disturbs_nobody(
    arms: tuple[Any, list[Candidate], list[list[str]]],
) -> None:
    model, (bare, *_), (alone, *_) = arms
    queue = ByHand(model)
    kept, dropped = queue.submit(bare, REQUESTS[3]), queue.submit(bare, REQUESTS[1])
    queue.turn()
    assert queue.rows == 2
    dropped.cancel()
    queue.turn()
    assert queue.rows == 1
    assert dropped.result(timeout=0) == NoReply(reason="cancelled before it was answered")
    queue.drain()
    assert text(kept) == alone[3]


def test_what_waits_can_be_cancelled_too(arms: tuple[Any, list[Candidate], list[list[str]]]) -> None:
    model, (bare, *_), _ = arms
    queue = ByHand(model)
    waiting = queue.submit(bare, REQUESTS[0])
    waiting.cancel()
    queue.drain()
    assert isinstance(waiting.result(timeout=0), NoReply)


def test_a_caller_who_asks_much_does_not_hold_up_another(arms: tuple[Any, list[Candidate], list[list[str]]]) -> None:
    model, (bare, *_), _ = arms
    model.limits.rows = 2
    queue = ByHand(model)
    many = [queue.submit(bare, REQUESTS[2], caller="many") for _ in range(6)]
    one = queue.submit(bare, REQUESTS[2], caller="one")
    while not one.done:
        queue.turn()
    assert sum(handle.done for handle in many) <= 2
    queue.drain()
    model.limits.rows = 64


def test_a_full_queue_refuses(arms: tuple[Any, list[Candidate], list[list[str]]]) -> None:
    model, (bare, *_), _ = arms
    queue = ByHand(model, most=2)
    handles = [queue.submit(bare, REQUESTS[0]), queue.submit(bare, REQUESTS[1])]
    with pytest.raises(QueueFullError, match="2 requests wait already"):
        queue.submit(bare, REQUESTS[2])
    queue.drain()
    queue.submit(bare, REQUESTS[2])
    queue.drain()
    assert all(handle.done for handle in handles)


def test_a_next_turn_runs_only_what_is_new(
    arms: tuple[Any, list[Candidate], list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, (bare, other, _), (alone, *_) = arms
    queue = ByHand(model)
    queue.submit(bare, REQUESTS[3])
    queue.drain()
    counted: list[int] = []
    real = type(model.prepare(bare, generating=True)).hidden
    monkeypatch.setattr(
        "harness_models.hf.loading.Loaded.hidden",
        lambda self, ids, **more: counted.append(ids.shape[1]) or real(self, ids, **more),
    )
    again = queue.submit(bare, REQUESTS[3])
    queue.turn()
    assert counted[0] <= 2, "all but the last token of the prompt is remembered"
    queue.drain()
    assert text(again) == alone[3]
    counted.clear()
    queue.submit(other, REQUESTS[3])
    queue.turn()
    assert counted[0] > 2, "under another adapter the same tokens have other keys and values"
    queue.drain()


def test_memory_that_is_lost_while_a_text_is_kept_loses_no_text(
    arms: tuple[Any, list[Candidate], list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, candidates, alone = arms
    queue = ByHand(model)
    calls = []
    copied = Slots.copied

    def scarce(self: Slots, slot: int, length: int) -> Slots:
        calls.append(length)
        if len(calls) == 2:
            raise MemoryError
        return copied(self, slot, length)

    monkeypatch.setattr(Slots, "copied", scarce)
    monkeypatch.setattr(remembered, "_SHORTEST", 1)
    handles = [queue.submit(candidates[0], request) for request in REQUESTS]
    queue.drain()
    assert len(calls) > 2
    assert [text(handle) for handle in handles] == alone[0]


def test_a_closed_model_is_not_held_by_its_queue(tiny_base: Path, store: RunContext) -> None:
    model, bare = make(tiny_base, store)
    queue = model.queue
    list(model.stream(bare, REQUESTS[0]))
    assert queue._loaded is not None, "kept for the next turn of a conversation"
    while queue._thread is not None:
        time.sleep(0.01)
    model.close()
    assert queue._loaded is None
    assert not queue._lanes
    assert list(model.stream(bare, REQUESTS[0]))[-1].reply is not None


def test_scores_and_texts_of_several_candidates_come_through_one_queue(
    arms: tuple[Any, list[Candidate], list[list[str]]],
) -> None:
    model, candidates, alone = arms
    score = LogLikelihood(messages=user("the quick"), continuation="fox")
    expected = [ask(model, candidate, [score])[0] for candidate in candidates]
    handles = [(model.submit(each, score), model.submit(each, REQUESTS[1])) for each in candidates]
    for arm, (scored, said) in enumerate(handles):
        reply, wanted = scored.result(), expected[arm]
        assert isinstance(reply, LogProb)
        assert isinstance(wanted, LogProb)
        assert reply.logprob == pytest.approx(wanted.logprob, abs=1e-3)
        said.wait()
        assert text(said) == alone[arm][1]


def test_what_goes_wrong_reaches_the_one_who_asked_and_no_other(
    arms: tuple[Any, list[Candidate], list[list[str]]], tmp_path: Path, tiny_adapter: Path
) -> None:
    model, (bare, *_), (alone, *_) = arms
    (tmp_path / "adapter_config.json").write_text("{")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    queue = ByHand(model)
    wrong = queue.submit(Candidate(model=bare.model, adapters=(adapter_of(tmp_path),)), REQUESTS[0])
    right = queue.submit(bare, REQUESTS[0])
    queue.drain()
    with pytest.raises(InputError):
        wrong.result(timeout=0)
    assert text(right) == alone[0]


class NoMemory:
    """A base that runs out of memory, when it is loaded or when it answers."""

    busy = RLock()
    limits = SimpleNamespace(rows=4, cached=64)
    rack = None

    def __init__(self, loads: bool) -> None:
        self.loads = loads

    def prepare(self, *_: object, **__: object) -> object:
        if self.loads:
            return SimpleNamespace(generates="whole texts")
        raise MemoryError("no room")

    def answer(self, *_: object, **__: object) -> None:
        raise MemoryError("no room")


@pytest.mark.parametrize("loads", [False, True])
def test_who_waits_hears_of_an_error_that_ends_the_queues_thread(loads: bool) -> None:
    queue = ByHand(NoMemory(loads))
    candidate = Candidate(model=ModelSpec(reference="hf:none", scheme="hf", name="none"))
    handle = queue.submit(candidate, REQUESTS[0])
    with pytest.raises(MemoryError):
        queue.turn()
    with pytest.raises(MemoryError, match="no room"):
        handle.result(timeout=0)
