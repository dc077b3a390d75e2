"""The `vllm` scheme, against a stand-in with vLLM's documented interface, and against vLLM itself where it is installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from harness.contracts import RunContext
from harness.errors import InputError
from harness.types import (
    AdapterSpec,
    Candidate,
    Completion,
    Generate,
    LogLikelihood,
    LogProb,
    ModelSpec,
    RollingLogLikelihood,
)
from harness_models.vllm.model import VllmModel
from tests.models.conftest import ask, greedy, make, user

ASKED = [
    LogLikelihood(messages=user("the quick"), continuation="brown fox"),
    LogLikelihood(messages=user("the quick"), continuation="dog"),
    RollingLogLikelihood(text="the quick brown fox jumps over the lazy dog"),
    Generate(messages=user("tell me about the sun"), decoding=greedy(8)),
]


class StandInEngine:
    """Answers as vLLM's `LLM` is documented to, by transformers."""

    def __init__(self, model: str, **given: Any) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.given = given
        self.model = AutoModelForCausalLM.from_pretrained(model)
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.calls = 0
        self.said: list[int] = []
        self.longest = self.model.config.max_position_embeddings
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=self.longest))

    def generate(self, prompts: list[Any], sampling: Any, lora_request: Any = None, use_tqdm: bool = True) -> list[Any]:
        self.calls += 1
        each = sampling if isinstance(sampling, list) else [sampling] * len(prompts)
        return [self._one(prompt["prompt_token_ids"], one) for prompt, one in zip(prompts, each, strict=True)]

    def _one(self, ids: list[int], sampling: Any) -> Any:
        import torch

        if len(ids) + 1 > self.longest:  # as its engine does, which always generates a token
            raise ValueError(f"Prompt length of {len(ids)} is longer than the maximum model length of {self.longest}.")
        with torch.no_grad():
            logits = self.model(torch.tensor([ids])).logits[0].log_softmax(-1)
            new = self.model.generate(torch.tensor([ids]), max_new_tokens=sampling.max_tokens, do_sample=False)[0]
        told: list[Any] = [None]
        for row, token in zip(logits[:-1], ids[1:], strict=True):
            rank = int((row > row[token]).sum()) + 1
            told.append({token: SimpleNamespace(logprob=float(row[token]), rank=rank)})
        said = new[len(ids) :].tolist()
        self.said = said
        ends = [place for place, token in enumerate(said) if token in getattr(sampling, "stop_token_ids", ())]
        said = said[: ends[0]] if ends else said
        text = self.tokenizer.decode(said, skip_special_tokens=True)
        output = SimpleNamespace(text=text, token_ids=said, finish_reason="length")
        return SimpleNamespace(prompt_logprobs=told, outputs=[output])


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    module, lora, request = ModuleType("vllm"), ModuleType("vllm.lora"), ModuleType("vllm.lora.request")
    module.__dict__.update(LLM=StandInEngine, SamplingParams=SimpleNamespace)
    request.__dict__.update(LoRARequest=lambda *given: given)
    for each in (module, lora, request):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    monkeypatch.setattr("harness_models.vllm.model.find_spec", lambda name: object())


def made(base: Path, surroundings: RunContext) -> tuple[Any, Candidate]:
    spec = ModelSpec(reference="vllm:tiny", scheme="vllm", name=str(base), dtype="float32")
    return VllmModel(spec, surroundings), Candidate(model=spec)


def same(found: list[Any], expected: list[Any]) -> None:
    for reply, wanted in zip(found, expected, strict=True):
        if isinstance(wanted, LogProb):
            assert isinstance(reply, LogProb)
            assert reply.logprob == pytest.approx(wanted.logprob, abs=1e-3)
            assert (reply.tokens, reply.is_greedy) == (wanted.tokens, wanted.is_greedy)
        else:
            assert isinstance(reply, Completion)
            assert isinstance(wanted, Completion)
            assert reply.text == wanted.text


def test_replies_are_those_of_hf(stand_in: None, tiny_base: Path, surroundings: RunContext) -> None:
    local, bare = make(tiny_base, surroundings)
    model, candidate = made(tiny_base, surroundings)
    same(ask(model, candidate, ASKED), ask(local, bare, ASKED))


def test_the_precision_check_compares_it_with_hf_in_float32(tiny_base: Path, surroundings: RunContext) -> None:
    model, candidate = made(tiny_base, surroundings)
    reference = model.reference()
    assert (reference.scheme, reference.name, reference.dtype) == ("hf", str(tiny_base), "float32")
    assert "vllm" in model.fingerprint(candidate)["backend"]


def test_without_vllm_one_sentence_says_so(tiny_base: Path, surroundings: RunContext) -> None:
    if find_spec("vllm") is not None:
        pytest.skip("vLLM is installed here")
    model, candidate = made(tiny_base, surroundings)
    with pytest.raises(InputError, match="needs the package vllm"):
        ask(model, candidate, ASKED)


def test_two_adapters_are_refused(tiny_base: Path, surroundings: RunContext) -> None:
    model, candidate = made(tiny_base, surroundings)
    two = tuple(AdapterSpec(id=letter * 16, path="/a", reference=letter) for letter in "ab")
    with pytest.raises(InputError, match="one adapter"):
        model.fingerprint(Candidate(model=candidate.model, adapters=two))


def test_a_text_that_fills_the_window_is_scored(stand_in: None, tiny_base: Path, surroundings: RunContext) -> None:
    """vLLM takes no prompt that leaves no room for a token behind it."""
    from tests.tiny import WINDOW

    model, candidate = made(tiny_base, surroundings)
    text = "the quick brown fox jumps over a lazy dog " * WINDOW
    (reply,) = ask(model, candidate, [RollingLogLikelihood(text=text)])
    assert isinstance(reply, LogProb)
    local, bare = make(tiny_base, surroundings)
    (expected,) = ask(local, bare, [RollingLogLikelihood(text=text)])
    assert isinstance(expected, LogProb)
    assert reply.tokens == expected.tokens
    assert reply.logprob == pytest.approx(expected.logprob, rel=0.02)  # other windows, two tokens shorter


def test_all_choices_are_handed_over_at_once(stand_in: None, tiny_base: Path, surroundings: RunContext) -> None:
    model, candidate = made(tiny_base, surroundings)
    asked = [
        LogLikelihood(messages=user(text), continuation=end) for text in ("a", "the", "one") for end in ("fox", "dog")
    ]
    ask(model, candidate, asked)
    assert model._engine.calls == 1


def test_a_stop_that_is_a_control_token_ends_the_text(
    stand_in: None, tiny_base: Path, surroundings: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, candidate = made(tiny_base, surroundings)
    asked = Generate(messages=user("tell me about the sun"), decoding=greedy(8))
    (whole,) = ask(model, candidate, [asked])
    assert isinstance(whole, Completion)
    third = model._engine.said[2]
    monkeypatch.setattr("harness_models.vllm.model.control_tokens", lambda tokenizer: {"<|im_end|>": third})
    (cut,) = ask(model, candidate, [Generate(messages=asked.messages, decoding=greedy(8, "<|im_end|>"))])
    assert isinstance(cut, Completion)
    assert cut.completion_tokens < whole.completion_tokens
    assert whole.text.startswith(cut.text)


@pytest.mark.parametrize("device", ["cuda:1", "cuda:0,cuda:1"])
def test_a_gpu_by_its_number_is_refused(device: str, tiny_base: Path, surroundings: RunContext) -> None:
    spec = ModelSpec(reference="vllm:tiny", scheme="vllm", name=str(tiny_base), dtype="float32", device=device)
    with pytest.raises(InputError, match="chooses its GPU itself"):
        VllmModel(spec, surroundings).fingerprint(Candidate(model=spec))


def test_what_vllm_cannot_load_is_told_in_a_sentence(
    stand_in: None, tiny_base: Path, surroundings: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(model: str, **given: Any) -> Any:
        raise ValueError("Free memory on device (4.0/79.2 GiB) on startup is less than desired\nand more")

    monkeypatch.setattr(sys.modules["vllm"], "LLM", full)
    model, candidate = made(tiny_base, surroundings)
    with pytest.raises(InputError, match=r"vLLM cannot load vllm:tiny \(Free memory .* less than desired\)"):
        ask(model, candidate, ASKED)


@pytest.mark.parametrize(("used", "share"), [(False, 0.9), (True, 0.225)])
def test_it_takes_of_the_memory_that_is_free(
    used: bool, share: float, stand_in: None, tiny_base: Path, surroundings: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    for name, told in (
        ("is_available", True),
        ("is_initialized", used),
        ("empty_cache", None),
        ("mem_get_info", (20, 80)),
    ):
        monkeypatch.setattr(torch.cuda, name, lambda *given, told=told: told)
    from harness_models.vllm.model import _share_of_memory

    assert _share_of_memory() == pytest.approx(share)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_itself_agrees_with_hf(tiny_base: Path, surroundings: RunContext) -> None:
    local, bare = make(tiny_base, surroundings)
    model, candidate = made(tiny_base, surroundings)
    same(ask(model, candidate, ASKED), ask(local, bare, ASKED))
