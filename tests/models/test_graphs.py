"""Steps of fixed shapes, as a GPU records them, say what rows say alone; here what is recorded runs again as it is."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.contracts import RunContext
from harness.types import Candidate, Decoding, Generate
from harness_models.hf import generation, graphs, slots
from harness_models.hf.batching import Budget
from harness_models.hf.generation import Ask
from harness_models.hf.loading import Loaded
from harness_models.hf.slots import Slots
from tests import tiny
from tests.models.conftest import Plain, adapter_of, ask, make, shapes_in, user
from tests.models.test_hf_continuous import PROMPTS, asks, near_ties, prompt, run
from tests.models.test_open_queue import REQUESTS, ByHand, text
from tests.shapes import PLAIN, SHAPES, save_shape

TAKING = sorted(set(SHAPES) - PLAIN)


class Again:
    """Records nothing, and counts."""

    recorded = 0
    runs = 0

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        Again.recorded += 1

        def replay() -> None:
            Again.runs += 1
            function()

        return replay


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "recorder_of", lambda device: Again())
    Again.recorded = Again.runs = 0


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    shapes = shapes_in(tmp_path_factory.mktemp("shapes"))

    @functools.cache
    def of(name: str) -> tuple[Loaded, Plain]:
        model, plain = shapes(name)
        run(model, asks(PROMPTS[:1], room=1))
        assert model.graphs, model.ungraphed
        Again.recorded = Again.runs = 0  # what the probe ran is not what is counted
        return model, plain

    return of


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> dict[int, set[tuple[Any, ...]]]:
    """What each recorded step was given whenever it ran: addresses and shapes, by the buffer of its tokens."""
    seen: dict[int, set[tuple[Any, ...]]] = {}
    kept: list[Any] = []  # an address is another buffer's once this one is gone
    forward = Slots.forward

    def watched(self: Slots, ids: Any, positions: Any, written: Any, start: int) -> Any:
        found = forward(self, ids, positions, written, start)
        if self._fixed is not None:
            kept.append(ids)
            rooms = tuple(part.data_ptr() for shelf, *_ in written for two in shelf.room.values() for part in two)
            columns = tuple((place[1], place[3].data_ptr(), place[4]) for place in written)
            seen.setdefault(ids.data_ptr(), set()).add((ids.shape, positions.data_ptr(), str(columns), rooms, start))
        return found

    monkeypatch.setattr(Slots, "forward", watched)
    return seen


@pytest.mark.parametrize("name", TAKING)
@pytest.mark.parametrize("rows", [3, 64])
def test_every_shape_generates_as_alone(
    name: str, rows: int, loaded: Any, places: dict[int, set[tuple[Any, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, plain = loaded(name)
    monkeypatch.setattr(graphs, "WARM", 1)
    asked = asks(PROMPTS, room=lambda n: 1 + 5 * n % 23)
    ties = near_ties(plain, asked, run(model, asked, Budget(tokens=256, rows=rows)))
    assert len(ties) <= 2, ties
    assert Again.runs > Again.recorded > 0
    assert all(len(given) == 1 for given in places.values()), "what a step reads and writes must not move"


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen2-sliding", "gemma2"])
@given(
    lengths=st.lists(st.tuples(st.integers(0, 24), st.integers(1, 60), st.integers(1, 24)), min_size=1, max_size=9),
    rows=st.integers(1, 9),
    cached=st.integers(1, 400),
    most=st.integers(1, 3),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_come_go_widen_and_move_as_alone(
    name: str, lengths: Any, rows: int, cached: int, most: int, loaded: Any
) -> None:
    """Shelves from 4 columns on, room for 2 new tokens, ends of 8 columns, and few steps kept."""
    model, plain = loaded(name)
    asked = [
        Ask(prompt=prompt(n, own, shared=shared), decoding=Decoding(max_new_tokens=64), room=room)
        for n, (shared, own, room) in enumerate(lengths)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "_NARROWEST", 4)
        patch.setattr(generation, "FORESIGHT", 2)
        patch.setattr(graphs, "_COLUMNS", 8)
        patch.setattr(graphs, "WARM", 1)
        patch.setattr(graphs, "_MOST", most)
        got = run(model, asked, Budget(tokens=200, rows=rows, cached=cached))
    assert len(near_ties(plain, asked, got)) <= 1


def test_few_shapes_serve_many_steps(loaded: Any, places: dict[int, set[tuple[Any, ...]]]) -> None:
    """Thirteen rows that end one after the other: buckets of 16, 8, 4, 2 and 1 rows."""
    model, plain = loaded("llama")
    places.clear()  # the same
    asked = asks([prompt(n, 6) for n in range(13)], room=lambda n: 10 + 3 * n)
    got = run(model, asked)
    assert near_ties(plain, asked, got) == []
    steps = max(generated.tokens for generated in got)
    assert steps > 15
    assert len(places) <= 5
    assert Again.recorded <= 5
    assert Again.runs >= steps - 1 - 5 * graphs.WARM


def test_a_step_of_a_shelf_that_moved_is_dropped(loaded: Any) -> None:
    model, _ = loaded("llama")
    rows = Slots(model)
    rows.enter(2, 20, 1)
    rows.fill([prompt(1, 5), prompt(2, 7)])
    rows.step([3, 4], [5, 7])
    fixed = rows._fixed
    assert fixed is not None
    assert len(fixed._fixed) == 1
    rows.enter(1, 20)  # into room that is there
    assert len(fixed._fixed) == 1
    rows.fill([prompt(3, 4)])
    rows.enter(5, 20)  # the shelf is made anew
    assert len(fixed._fixed) == 1
    rows.fill([prompt(3, 4)] * 5)
    rows.step([3] * 8, [6, 8, *[4] * 6])
    ((_, (place,)),) = fixed._fixed
    assert (place.rows, place.made) == (8, place.shelf.made)


def test_an_empty_shelf_is_let_go(loaded: Any) -> None:
    model, _ = loaded("llama")
    rows = Slots(model)
    rows.enter(1, 100)
    rows.fill([prompt(1, 90)])
    rows.step([3], [90])
    rows.leave(0)
    rows.enter(1, 20)
    assert rows._fixed is not None
    assert not rows._fixed._fixed


def test_other_adapters_drop_what_was_recorded(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = loaded("llama")
    monkeypatch.setattr(graphs, "WARM", 1)
    rows = Slots(model)
    rows.enter(1, 20)
    rows.fill([prompt(1, 5)])
    for step in range(3):
        rows.step([3], [5 + step])
    assert (Again.recorded, Again.runs) == (1, 2)
    model.adapted += 1
    rows.step([3], [8])
    assert (Again.recorded, Again.runs) == (1, 2)
    rows.step([3], [9])
    assert (Again.recorded, Again.runs) == (2, 3)


@pytest.mark.parametrize("mixing", [True, False], ids=["mixed", "in turns"])
def test_rows_of_several_adapters_say_what_they_say_alone(
    mixing: bool, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps of one adapter are recorded; those whose rows have each their own are not, since rows stand otherwise."""
    monkeypatch.setattr(graphs, "WARM", 1)
    monkeypatch.setattr(slots, "_NARROWEST", 4)
    monkeypatch.setattr(generation, "FORESIGHT", 2)
    base = save_shape(tmp_path / "base", "qwen2")
    adapters = [tiny.save_adapter(base, tmp_path / f"adapter-{seed}", seed=seed) for seed in (1, 2)]
    model, bare = make(base, RunContext(offline=True, weights=tmp_path / "store"))
    paths = [(), (adapters[0],), (adapters[1],)]
    candidates = [Candidate(model=bare.model, adapters=tuple(map(adapter_of, each))) for each in paths]
    alone = [
        [Plain(base, *each).greedy(request.messages, 6 + 3 * n) for n, request in enumerate(REQUESTS)] for each in paths
    ]
    assert len(set(map(tuple, alone))) == 3
    queue = ByHand(model, mixing=mixing)
    handles = []
    for arm, number, turns in ((0, 5, 4), (1, 4, 2), (2, 3, 0), (0, 1, 5), (1, 0, 1), (1, 5, 3), (2, 2, 0)):
        handles.append((arm, number, queue.submit(candidates[arm], REQUESTS[number])))
        for _ in range(turns):
            queue.turn()
    queue.drain()
    for arm, number, handle in handles:
        assert text(handle) == alone[arm][number]
    assert model._loaded.graphs  # type: ignore[attr-defined]
    assert Again.runs > (0 if mixing else 40), "a turn of other adapters between two steps drops nothing"


@pytest.mark.parametrize("fault", ["stale", "raises", "memory"])
def test_steps_are_not_recorded_where_that_fails_and_the_record_says_why(
    fault: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = [0]

    class Broken:
        def record(self, function: Callable[[], None]) -> Callable[[], None]:
            tries[0] += 1
            if fault == "stale":
                return lambda: None
            raise RuntimeError(
                "operation not permitted when stream is capturing\n" if fault == "raises" else "CUDA out of memory"
            )

    monkeypatch.setattr(graphs, "recorder_of", lambda device: Broken())
    path = save_shape(tmp_path / "base", "qwen2")
    model, candidate = make(path, RunContext(offline=True, weights=tmp_path))
    asked = Generate(messages=user("What is the capital of France?"), decoding=Decoding(max_new_tokens=12))
    (reply,) = ask(model, candidate, [asked])
    assert reply.text == Plain(path).greedy(asked.messages, 12)  # type: ignore[union-attr]
    assert model.facts()["generation"].startswith("in slots")
    expected = {
        "stale": "other logits than those of plain passes",
        "raises": "RuntimeError: operation not permitted when stream is capturing",
        "memory": "RuntimeError: CUDA out of memory",
    }
    assert model.facts()["decoding steps"] == f"not recorded: {expected[fault]}"
    assert tries == [1], "what cannot be recorded is tried once"


def test_steps_go_on_where_a_later_recording_fails(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, plain = loaded("llama")

    class Broken(Again):
        def record(self, function: Callable[[], None]) -> Callable[[], None]:
            raise RuntimeError("operation would make the legacy stream depend on a capturing blocking stream")

    monkeypatch.setattr(graphs, "recorder_of", lambda device: Broken())
    asked = asks(PROMPTS[:6], room=12)
    try:
        assert near_ties(plain, asked, run(model, asked)) == []
        assert not model.graphs
        assert model.ungraphed.startswith("RuntimeError: operation would make")
    finally:
        model.graphs, model.ungraphed = True, ""


def test_the_record_says_that_steps_are_recorded(tmp_path: Any) -> None:
    model, candidate = make(save_shape(tmp_path / "base", "qwen2"), RunContext(offline=True, weights=tmp_path))
    ask(model, candidate, [Generate(messages=user("Yes"), decoding=Decoding(max_new_tokens=2))])
    assert model.facts()["decoding steps"] == "CUDA graphs"


def test_keys_and_values_are_given_back_with_the_last_row(loaded: Any, rooms: list[weakref.ref[Any]]) -> None:
    model, _ = loaded("llama")
    rooms.clear()
    run(model, asks(PROMPTS, room=12), Budget(tokens=2048, rows=6))
    assert Again.runs > 0
    assert rooms
    assert [one for one in rooms if one() is not None] == []
