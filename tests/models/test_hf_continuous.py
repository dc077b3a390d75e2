"""Continuous batching: rows come and go, and each says what it would have said alone."""

from __future__ import annotations

import errno
import functools
import mmap
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.contracts import RunContext
from harness.types import Candidate, Decoding
from harness_models.hf import pages
from harness_models.hf import shelf as shelf_module
from harness_models.hf.batching import Budget
from harness_models.hf.generation import Ask, Generated, generate
from harness_models.hf.model import HfModel
from harness_models.hf.slots import Slots
from tests.models.conftest import Plain, shapes_in, spec_of
from tests.shapes import PLAIN, SHAPES, save_shape

TIE = 1e-3
"""Where the reference's two best logits are closer than this, another order of summation may choose the other one."""
OWN = "our own Llama"
SHARED = tuple(5 + 7 * n % 300 for n in range(24))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("shapes")
    shapes = shapes_in(folder)

    @functools.cache
    def of(name: str) -> Any:
        if name != OWN:
            return shapes(name)
        spec = spec_of(save_shape(folder / OWN, "llama"))
        model = HfModel(spec, RunContext(offline=True, weights=folder / "store"))
        return model._ready(Candidate(model=spec)), Plain(folder / OWN)

    return of


def prompt(seed: int, length: int, *, shared: int = 0) -> tuple[int, ...]:
    return (*SHARED[:shared], *(3 + (seed * 131 + 17 * n * n + n) % 400 for n in range(length)))


PROMPTS = (
    *(prompt(seed, 4 + 3 * seed, shared=20) for seed in range(6)),
    *(prompt(seed, 1 + seed % 4, shared=24) for seed in range(10, 15)),
    *(prompt(seed, 1 + 5 * (seed % 7)) for seed in range(20, 28)),
    prompt(20, 1),
)


def spell(ids: Sequence[int]) -> str:
    """A decoder that hides nothing."""
    return " ".join(map(str, ids))


def asks(prompts: Sequence[tuple[int, ...]], room: Any = 12, **decoding: Any) -> list[Ask]:
    return [
        Ask(
            prompt=p,
            decoding=Decoding(max_new_tokens=64, **decoding),
            room=room(n) if callable(room) else room,
        )
        for n, p in enumerate(prompts)
    ]


def run(loaded: Any, given: Sequence[Ask], budget: Budget | None = None, **more: Any) -> list[Generated]:
    found: dict[int, Generated | None] = {}

    def deliver(index: int, generated: Generated | None) -> None:
        assert index not in found
        found[index] = generated

    generate(loaded, given, budget or Budget(tokens=2048, rows=64), more.pop("decode", spell), deliver, **more)
    assert sorted(found) == list(range(len(given)))
    return [found[n] for n in range(len(given))]


def ids_of(generated: Generated) -> list[int]:
    return [int(word) for word in generated.text.split()]


def reference(plain: Plain, tokens: Sequence[int], room: int) -> list[int]:
    """What transformers generates for one prompt, without the token that ends the turn."""

    with torch.inference_mode():
        out = plain.model.generate(
            input_ids=torch.tensor([tokens]), attention_mask=torch.ones(1, len(tokens), dtype=torch.long),
            max_new_tokens=room, do_sample=False, pad_token_id=2,
        )  # fmt: skip
    said: list[int] = out[0, len(tokens) :].tolist()
    return said[:-1] if said[-1] == 2 else said


def near_ties(plain: Plain, asked: Sequence[Ask], got: Sequence[Generated]) -> list[str]:
    """List where replies leave the reference, after checking that each does at a near tie."""

    listed = []
    for ask, generated in zip(asked, got, strict=True):
        expected, found = reference(plain, ask.prompt, ask.room), ids_of(generated)
        if expected == found:
            continue
        place = next(
            (n for n, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b),
            min(len(expected), len(found)),
        )
        with torch.inference_mode():
            logits = plain.model(input_ids=torch.tensor([[*ask.prompt, *expected[:place]]])).logits[0, -1]
        best, second = logits.topk(2).values.tolist()
        assert best - second < TIE, (
            f"prompt {ask.prompt}: step {place}, {found} for {expected}, apart by {best - second}"
        )
        listed.append(f"prompt of {len(ask.prompt)} tokens, step {place}: {best - second:.1e} apart")
    return listed


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("rows", [3, 64])
def test_every_shape_generates_as_alone(name: str, rows: int, loaded: Any) -> None:
    model, plain = loaded(name)
    asked = asks(PROMPTS, room=lambda n: 1 + 5 * n % 23)
    ties = near_ties(plain, asked, run(model, asked, Budget(tokens=256, rows=rows)))
    assert len(ties) <= 2, ties
    assert (model.generates == "slots") is (name not in PLAIN), model.generates


@pytest.mark.parametrize("path", ["padded", "plain"])
@pytest.mark.parametrize("name", ["llama", "gpt2", "mistral-sliding", "neo"])
def test_the_other_paths_say_the_same(path: str, name: str, loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, plain = loaded(name)
    monkeypatch.setattr(model, "generates", path)
    asked = asks(PROMPTS, room=lambda n: 1 + 5 * n % 23)
    assert len(near_ties(plain, asked, run(model, asked, Budget(tokens=256, rows=5)))) <= 2


def test_rows_that_are_turned_by_the_longest_share_no_batch(loaded: Any) -> None:
    model, plain = loaded("phi3-long")
    asked = asks(PROMPTS[:10], room=8)
    assert near_ties(plain, asked, run(model, asked)) == []
    assert model.generates == "plain"


@given(
    lengths=st.lists(st.tuples(st.integers(0, 24), st.integers(1, 30), st.integers(1, 20)), min_size=1, max_size=9),
    rows=st.integers(1, 5),
    tokens=st.integers(1, 120),
    cached=st.integers(1, 400),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_budget_gives_the_same(lengths: Any, rows: int, tokens: int, cached: int, loaded: Any) -> None:
    model, plain = loaded("qwen2-sliding")
    asked = [
        Ask(prompt=prompt(n, own, shared=shared), decoding=Decoding(max_new_tokens=64), room=room)
        for n, (shared, own, room) in enumerate(lengths)
    ]
    got = run(model, asked, Budget(tokens=tokens, rows=rows, cached=cached))
    assert len(near_ties(plain, asked, got)) <= 1
    assert max(generated.batch for generated in got) <= rows


@pytest.mark.parametrize("name", [OWN, "llama", "gpt2", "qwen2-sliding", "gemma2"])
@given(
    lengths=st.lists(st.tuples(st.integers(0, 24), st.integers(1, 60), st.integers(1, 24)), min_size=1, max_size=9),
    rows=st.integers(1, 9),
    cached=st.integers(1, 400),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_on_any_shelves_say_what_they_say_alone(
    name: str, lengths: Any, rows: int, cached: int, loaded: Any
) -> None:
    """Shelves from 4 columns on, and room for 2 new tokens, so that rows move to wider shelves again and again; each
    tensor on pages of its own, and long rows in pieces of 7 tokens."""
    from harness_models.hf import generation, slots

    model, plain = loaded(name)
    asked = [
        Ask(prompt=prompt(n, own, shared=shared), decoding=Decoding(max_new_tokens=64), room=room)
        for n, (shared, own, room) in enumerate(lengths)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "_NARROWEST", 4)
        patch.setattr(slots, "_PIECE", 7)
        patch.setattr(pages, "_SMALLEST", 1)
        patch.setattr(generation, "FORESIGHT", 2)
        got = run(model, asked, Budget(tokens=200, rows=rows, cached=cached))
    assert len(near_ties(plain, asked, got)) <= 1
    assert model.shelves is (name != "gemma2"), "its soft cap needs attention that is not SDPA"


@pytest.mark.parametrize(
    ("columns", "width"), [(1, 64), (65, 96), (700, 768), (1_024, 1_024), (1_025, 1_280), (2_117, 2_304)]
)
def test_a_long_row_leaves_little_of_its_slot_unused(columns: int, width: int, loaded: Any) -> None:
    model, _ = loaded("llama")
    run(model, asks(PROMPTS[:1], room=1))
    assert model.shelves
    assert Slots(model).width(columns) == width


def test_lost_memory_of_the_system_is_lost_memory(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, plain = loaded("llama")
    asked = asks([prompt(number, 30 + number) for number in range(6)], room=8)
    made, calls = mmap.mmap, [0]

    def scarce(*given: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == 3:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return made(*given, **more)

    monkeypatch.setattr(pages, "_SMALLEST", 1)
    monkeypatch.setattr(mmap, "mmap", scarce)
    got = run(model, asked, Budget(tokens=2048, rows=6, cached=2048))
    assert calls[0] > 3
    assert near_ties(plain, asked, got) == []


def test_a_shelf_that_is_empty_takes_no_memory_when_rows_enter(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = loaded("llama")
    run(model, asks(PROMPTS[:1], room=1))  # the probe is not what is watched
    made: list[weakref.ref[Any]] = []
    alive: list[int] = []
    paged, resize = shelf_module.paged, shelf_module.Shelf.resize

    def watched(*given: Any) -> Any:
        room = paged(*given)
        made.append(weakref.ref(room))
        return room

    def resizing(self: Any, *given: Any) -> None:
        alive.append(sum(one() is not None for one in made))
        resize(self, *given)

    monkeypatch.setattr(shelf_module, "paged", watched)
    monkeypatch.setattr(shelf_module.Shelf, "resize", resizing)
    run(model, asks([prompt(0, 200), prompt(1, 100), prompt(2, 40)], room=3), Budget(tokens=2048, rows=1, cached=256))
    assert len(alive) == 3
    assert alive == [0, 0, 0]


def test_a_long_row_widens_no_other(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, plain = loaded("llama")
    held: list[tuple[int, int]] = []
    step = Slots.step

    def stepping(self: Any, *given: Any) -> Any:
        held.append((len(self.homes), self.tokens))
        return step(self, *given)

    asked = asks([prompt(0, 230), *(prompt(n, 5) for n in range(1, 13))], room=10)
    run(model, asks(PROMPTS[:1], room=1))
    monkeypatch.setattr(Slots, "step", stepping)
    got = run(model, asked, Budget(tokens=2048, rows=13, cached=13 * 64 + 256))
    assert max(held) == (13, 12 * 64 + 256)
    assert near_ties(plain, asked, got) == []


# ---------------------------------------------------------------- how rows come and go


@pytest.fixture
def watched(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model, and what its passes were: ("fill" or "step", rows, tokens forwarded)."""
    model, plain = loaded("llama")
    passes: list[tuple[str, int, int]] = []
    fill, step, hidden = Slots.fill, Slots.step, type(model).hidden
    kind = ["?"]

    def filling(self: Any, *given: Any) -> Any:
        kind[0] = "fill"
        return fill(self, *given)

    def stepping(self: Any, *given: Any) -> Any:
        kind[0] = "step"
        return step(self, *given)

    def forwarding(self: Any, ids: Any, **given: Any) -> Any:
        passes.append((kind[0], ids.shape[0], ids.numel()))
        return hidden(self, ids, **given)

    run(model, asks(PROMPTS[:1], room=1))  # the probe is not what is watched
    monkeypatch.setattr(Slots, "fill", filling)
    monkeypatch.setattr(Slots, "step", stepping)
    monkeypatch.setattr(type(model), "hidden", forwarding)
    return model, plain, passes


def test_rows_enter_while_others_go_on(watched: Any) -> None:
    model, _, passes = watched
    model_end, model.end_ids = model.end_ids, frozenset()
    try:
        asked = asks([prompt(n, 6) for n in range(9)], room=lambda n: 40 if n == 0 else 5)
        got = run(model, asked, Budget(tokens=2048, rows=3))
    finally:
        model.end_ids = model_end
    steps = [rows for kind, rows, _ in passes if kind == "step"]
    # The long row takes 39 steps; the eight short ones pass through the other two slots beside it.
    assert len(steps) == 39
    assert max(steps) == 3
    kinds = [kind for kind, *_ in passes]
    assert "fill" in kinds[kinds.index("step") :]
    assert [generated.tokens for generated in got] == [40] + [5] * 8


def test_finished_rows_cost_nothing(watched: Any) -> None:
    model, _, passes = watched
    asked = asks([prompt(n, 6) for n in range(8)], room=lambda n: 3 + 3 * n)
    got = run(model, asked)
    assert sum(tokens for kind, _, tokens in passes if kind == "step") == sum(g.tokens - 1 for g in got)


def test_what_prompts_share_is_forwarded_once(watched: Any) -> None:
    model, _, passes = watched
    run(model, asks([prompt(n, 2, shared=24) for n in range(12)], room=1))
    assert sum(tokens for *_, tokens in passes) == 24 + 12 * 2


def test_prompts_of_unlike_length_are_not_padded_to_the_longest(watched: Any) -> None:
    model, _, passes = watched
    run(model, asks([prompt(n, 200 if n == 0 else 4) for n in range(12)], room=1))
    assert sum(tokens for *_, tokens in passes) == 200 + 11 * 4


def test_a_step_copies_nothing_of_what_is_held(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = loaded("llama")
    homes = set()
    step = Slots.step

    def stepping(self: Any, *given: Any) -> Any:
        found = step(self, *given)
        homes.update(
            part.data_ptr() for shelf in self._shelves.values() for parts in shelf.room.values() for part in parts
        )
        return found

    monkeypatch.setattr(Slots, "step", stepping)
    run(model, asks(PROMPTS[:6], room=30))
    assert len(homes) == 2 * model.model.config.num_hidden_layers


# ---------------------------------------------------------------- memory


def test_rows_that_grow_beyond_the_budget_wait_and_go_on(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness_models.hf import generation

    model, plain = loaded("gpt2")
    monkeypatch.setattr(generation, "FORESIGHT", 8)
    held = []
    step = Slots.step

    def stepping(self: Any, *given: Any) -> Any:
        held.append((len(self.homes), self.tokens))
        return step(self, *given)

    monkeypatch.setattr(Slots, "step", stepping)
    asked = asks([prompt(n, 10) for n in range(8)], room=100)
    monkeypatch.setattr(model, "end_ids", frozenset())
    plain.model.generation_config.eos_token_id = None
    got = run(model, asked, Budget(tokens=2048, rows=8, cached=8 * 32))
    assert {generated.tokens for generated in got} == {100}
    for ask, generated in zip(asked, got, strict=True):
        assert ids_of(generated)[:40] == reference(plain, ask.prompt, 40)
    assert max(rows for rows, _ in held) > 2
    assert all(rows == 1 or tokens <= 8 * 32 + 8 * 16 for rows, tokens in held)


@pytest.mark.parametrize("nth", [0, 1, 2, 5])
@pytest.mark.parametrize("name", ["llama", "bloom"])
def test_lost_memory_at_any_pass_loses_no_row_and_repeats_no_text(
    name: str, nth: int, loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = loaded(name)
    asked = asks(PROMPTS, room=9) + asks(PROMPTS[:4], room=9, temperature=1.0, seed=3)
    expected = [generated.text for generated in run(model, asked)]
    real = type(model).hidden
    calls = [0]

    def scarce(self: Any, ids: Any, **given: Any) -> Any:
        calls[0] += 1
        if calls[0] in (nth + 1, nth + 3):
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(self, ids, **given)

    monkeypatch.setattr(type(model), "hidden", scarce)
    pieces: dict[int, str] = dict.fromkeys(range(len(asked)), "")

    def on_text(index: int, piece: str) -> None:
        pieces[index] += piece

    budget = Budget(tokens=2048, rows=64)
    assert [generated.text for generated in run(model, asked, budget, on_text=on_text)] == expected
    assert list(pieces.values()) == expected
    assert budget.rows < 64


def test_a_fault_of_the_receiver_is_not_taken_for_lost_memory(loaded: Any) -> None:
    model, _ = loaded("llama")

    def receiver(index: int, generated: Generated | None) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        generate(model, asks(PROMPTS[:3]), Budget(tokens=2048, rows=4), spell, receiver)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_keys_and_values_are_given_back_with_the_last_row(
    name: str, loaded: Any, rooms: list[weakref.ref[Any]]
) -> None:
    """At once, not when Python next looks for garbage: on a GPU they are half of what was free."""
    model, _ = loaded(name)
    run(model, asks(PROMPTS[:1], room=1))
    rooms.clear()
    run(model, asks(PROMPTS, room=5), Budget(tokens=2048, rows=6))
    assert rooms
    assert [one for one in rooms if one() is not None] == []
