"""Generation equals transformers' own, one row at a time, whatever shares the batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.contracts import RunContext
from harness.types import Completion, Decoding, Generate, Message, NoReply
from harness_models.hf.batching import Budget
from tests import tiny
from tests.models.conftest import Plain, adapter_of, ask, greedy, make, reasons, user
from tests.tiny import WINDOW

PROMPTS = (
    "What is the capital of France?",
    "Yes",
    "please tell me about your day! " * 4,
    "the quick brown fox",
    "one two three four five six seven eight",
    "sorry, I can not help you with that.",
    "sun",
)


def completions(replies: list) -> list[Completion]:
    assert all(isinstance(reply, Completion) for reply in replies), reasons(replies)
    return replies


def test_greedy_is_what_transformers_generates(base: Path, surroundings: RunContext) -> None:
    model, candidate = make(base, surroundings)
    plain = Plain(base)
    asked = [Generate(messages=user(p), decoding=greedy(24)) for p in PROMPTS]
    replies = completions(ask(model, candidate, asked))
    assert [reply.text for reply in replies] == [plain.greedy(request.messages, 24) for request in asked]
    assert {reply.finish for reply in replies} <= {"stop", "length"}


def test_rows_of_different_length_leave_the_batch(base: Path, surroundings: RunContext) -> None:
    model, candidate = make(base, surroundings)
    plain = Plain(base)
    asked = [Generate(messages=user(p), decoding=greedy(3 + 5 * n)) for n, p in enumerate(PROMPTS)]
    replies = completions(ask(model, candidate, asked))
    for n, (request, reply) in enumerate(zip(asked, replies, strict=True)):
        assert reply.text == plain.greedy(request.messages, 3 + 5 * n)
        assert reply.completion_tokens is not None
        assert reply.completion_tokens <= 3 + 5 * n


def test_without_shortcuts_the_text_is_the_same(
    base: Path, surroundings: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness_models.hf.loading.own", lambda *_: None)
    model, candidate = make(base, surroundings)
    asked = [Generate(messages=user(p), decoding=greedy(12)) for p in PROMPTS]
    quick = completions(ask(model, candidate, asked))
    assert model._loaded.generates == "slots"
    model._loaded.split = False
    for path in ("slots", "padded", "plain"):
        model._loaded.generates = path
        slow = completions(ask(model, candidate, asked))
        assert [reply.text for reply in quick] == [reply.text for reply in slow]


def test_a_common_system_prompt_changes_nothing(base: Path, surroundings: RunContext) -> None:
    rules = Message(role="system", content="tell me about the quick brown fox and the lazy dog in the warm sun.")
    model, candidate = make(base, surroundings)
    plain = Plain(base)
    asked = [Generate(messages=(rules, *user(p)), decoding=greedy(12)) for p in PROMPTS]
    replies = completions(ask(model, candidate, asked))
    assert [reply.text for reply in replies] == [plain.greedy(request.messages, 12) for request in asked]


def test_sampling_depends_on_seed_and_draw_and_on_nothing_else(tiny_base: Path, surroundings: RunContext) -> None:
    def sampled(seed: int, draw: int, prompt: str = PROMPTS[0]) -> Generate:
        decoding = Decoding(max_new_tokens=16, temperature=1.0, top_p=0.95, seed=seed)
        return Generate(messages=user(prompt), decoding=decoding, draw=draw)

    model, candidate = make(tiny_base, surroundings)
    together = [sampled(0, 0), sampled(0, 1), sampled(1, 0), *(sampled(0, 0, p) for p in PROMPTS[1:])]
    texts = [reply.text for reply in completions(ask(model, candidate, together))]
    assert len(set(texts[:3])) == 3
    backwards = completions(ask(model, candidate, together[::-1]))[::-1]
    assert [reply.text for reply in backwards] == texts
    alone = [completions(ask(model, candidate, [request]))[0].text for request in together]
    assert alone == texts


def test_a_small_nucleus_is_greedy(tiny_base: Path, surroundings: RunContext) -> None:
    model, candidate = make(tiny_base, surroundings)
    nearly = Decoding(max_new_tokens=12, temperature=0.7, top_p=1e-6)
    asked = [Generate(messages=user(p), decoding=d) for p in PROMPTS for d in (nearly, greedy(12))]
    texts = [reply.text for reply in completions(ask(model, candidate, asked))]
    assert texts[::2] == texts[1::2]


def test_a_stop_string_ends_the_text_before_it(tiny_base: Path, surroundings: RunContext) -> None:
    model, candidate = make(tiny_base, surroundings)
    (whole,) = completions(ask(model, candidate, [Generate(messages=user(PROMPTS[0]), decoding=greedy(24))]))
    stop = whole.text[6:9]
    asked = [Generate(messages=user(PROMPTS[0]), decoding=greedy(24, "never there", stop))]
    (cut,) = completions(ask(model, candidate, asked))
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish == "stop"
    assert cut.completion_tokens is not None
    assert whole.completion_tokens is not None
    assert cut.completion_tokens < whole.completion_tokens


def test_the_window_ends_a_text_and_refuses_a_longer_prompt(tiny_base: Path, surroundings: RunContext) -> None:
    model, candidate = make(tiny_base, surroundings)
    near = Generate(messages=user("dog " * 240), decoding=greedy(400))
    over = Generate(messages=user("dog " * (2 * WINDOW)), decoding=greedy(4))
    fits, refused = ask(model, candidate, [near, over])
    assert isinstance(refused, NoReply)
    assert "window" in refused.reason
    assert isinstance(fits, Completion)
    assert fits.prompt_tokens is not None
    assert fits.completion_tokens is not None
    assert fits.prompt_tokens + fits.completion_tokens <= WINDOW


def test_timing_tells_the_first_token_from_the_last(tiny_base: Path, surroundings: RunContext) -> None:
    model, candidate = make(tiny_base, surroundings)
    asked = [Generate(messages=user(p), decoding=greedy(8)) for p in PROMPTS]
    for reply in completions(ask(model, candidate, asked)):
        assert reply.timing is not None
        assert reply.timing.first_token is not None
        assert 0 < reply.timing.first_token <= reply.timing.total
        assert reply.timing.batch == len(PROMPTS)


def test_lost_memory_halves_the_batch_and_loses_nothing(
    tiny_base: Path, surroundings: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, candidate = make(tiny_base, surroundings)
    asked = [Generate(messages=user(p), decoding=greedy(8)) for p in PROMPTS]
    expected = [reply.text for reply in completions(ask(model, candidate, asked))]
    loaded = model._loaded
    real = type(loaded).hidden
    widths = []

    def scarce(self, ids, **given):
        widths.append(ids.shape[0])
        if ids.shape[0] > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(self, ids, **given)

    monkeypatch.setattr(type(loaded), "hidden", scarce)
    assert [reply.text for reply in completions(ask(model, candidate, asked))] == expected
    assert max(widths) > 2
    assert model._budget.rows <= 2


def test_a_row_that_never_fits_is_no_reply(
    tiny_base: Path, surroundings: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, candidate = make(tiny_base, surroundings)
    asked = [Generate(messages=user(p), decoding=greedy(2)) for p in PROMPTS[:3]]
    ask(model, candidate, asked)

    def never(self, ids, **given):
        raise MemoryError

    monkeypatch.setattr(type(model._loaded), "hidden", never)
    assert len(reasons(ask(model, candidate, asked))) == 3


def test_another_fault_is_not_taken_for_lost_memory(
    tiny_base: Path, surroundings: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, candidate = make(tiny_base, surroundings)
    asked = [Generate(messages=user("Yes"), decoding=greedy(2))]
    ask(model, candidate, asked)

    def broken(self, ids, **given):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(type(model._loaded), "hidden", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        ask(model, candidate, asked)


def test_the_budget_bounds_every_batch(tiny_base: Path, surroundings: RunContext) -> None:
    model, candidate = make(tiny_base, surroundings)
    asked = [Generate(messages=user(p), decoding=greedy(4)) for p in PROMPTS]
    ask(model, candidate, asked[:1])
    model._budget = Budget(tokens=10_000, rows=2)
    assert max(reply.timing.batch for reply in completions(ask(model, candidate, asked))) == 2


@pytest.mark.parametrize("path", ["slots", "padded", "plain"])
def test_a_stop_string_that_is_a_control_token_ends_the_text(
    path: str, tiny_base: Path, surroundings: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No decoded text shows control tokens, so that they must be known by their number."""
    model, candidate = make(tiny_base, surroundings)
    hot = Decoding(max_new_tokens=230, temperature=100.0, seed=4)  # so hot that all tokens are about as probable
    if path != "slots":  # our own Llama takes no other way
        monkeypatch.setattr("harness_models.hf.loading.own", lambda *_: None)
    loaded = model._ready(candidate)
    loaded.generates, loaded.end_ids = path, frozenset()
    asked = [Generate(messages=user("sun"), decoding=hot, draw=draw) for draw in range(5)]
    free = completions(ask(model, candidate, asked))
    stops = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    stopped = completions(
        ask(model, candidate, [replace(request, decoding=replace(hot, stop=stops)) for request in asked])
    )
    assert any(reply.finish == "stop" for reply in stopped)
    for whole, cut in zip(free, stopped, strict=True):
        assert whole.text.startswith(cut.text)
        assert (cut.completion_tokens < whole.completion_tokens) is (cut.finish == "stop")


def test_how_a_base_generates_is_found_out_without_its_adapters(
    tiny_base: Path, tmp_path: Path, surroundings: RunContext
) -> None:
    folder = tiny.save_adapter(tiny_base, tmp_path / "ruined", seed=1)
    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    save_file({name: torch.full_like(tensor, torch.nan) for name, tensor in tensors.items()}, file)
    model, candidate = make(tiny_base, surroundings)
    candidate = replace(candidate, adapters=(adapter_of(folder),))
    completions(ask(model, candidate, [Generate(messages=user("sun"), decoding=greedy(3))]))
    assert model._loaded.generates == "slots"
    with torch.inference_mode():
        assert not torch.isfinite(model._loaded.logits(model._loaded.hidden(model._loaded.tensor([[5, 6]])))).any()
