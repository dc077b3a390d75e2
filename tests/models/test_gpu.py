"""The engine on a GPU, where one is there: kernels, recorded steps and replicas that no other test can run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.contracts import RunContext
from harness.types import Completion, Decoding, Generate, LogLikelihood, LogProb
from harness_models.hf.batching import Budget
from harness_models.hf.replicas import hf_model
from harness_models.hf.scoring import score
from tests.models.conftest import Plain, ask, make, spec_of, user
from tests.models.test_blocks import ROWS
from tests.models.test_hf_continuous import asks, near_ties, prompt, run
from tests.shapes import save_shape

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
]
WIDE = ["llama", "gpt2", "qwen2-sliding", "gemma2", "gemma3", "mistral-sliding"]
"""With heads of 16 at least, which is what torch makes kernels for."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("wide")
    return functools.cache(lambda name: save_shape(folder / name, name, head=16))


@pytest.mark.parametrize("name", WIDE)
def test_scores_and_texts_are_those_of_plain_passes_on_the_cpu(name: str, base: Any, surroundings: RunContext) -> None:
    path = base(name)
    model, candidate = make(path, surroundings, device="cuda", dtype="float32")
    plain = Plain(path)
    asked = [LogLikelihood(messages=user("Yes or No?"), continuation=end) for end in ("Yes", "No thank you")]
    asked += [Generate(messages=user("tell me about the sun"), decoding=Decoding(max_new_tokens=24))]
    for request, reply in zip(asked, ask(model, candidate, asked), strict=True):
        if isinstance(request, LogLikelihood):
            assert isinstance(reply, LogProb)
            assert reply.logprob == pytest.approx(
                plain.continuation(request.messages, request.continuation)[0], abs=1e-3
            )
        else:
            assert isinstance(reply, Completion)
    facts = model.facts()
    assert facts["attention masks"] == "by blocks"
    assert facts["decoding steps"] == "CUDA graphs"
    loaded = model._loaded  # type: ignore[attr-defined]
    found: dict[int, Any] = {}
    score(loaded, ROWS, Budget(tokens=400, rows=9, pack=64), found.__setitem__)
    for index, row in enumerate(ROWS):
        for one, continuation in zip(found[index].scores, row.continuations, strict=True):
            assert one.logprob == pytest.approx(plain.logprob(row.context, continuation)[0], abs=1e-3)
    given = asks([prompt(n, 5 + 4 * n, shared=24) for n in range(12)], room=lambda n: 10 + 4 * n)
    assert len(near_ties(plain, given, run(loaded, given))) <= 1
    assert loaded.blocks
    assert loaded.graphs


@pytest.mark.parametrize("name", WIDE)
def test_bfloat16_is_near_float32(name: str, base: Any, surroundings: RunContext) -> None:
    path = base(name)
    model, candidate = make(path, surroundings, device="cuda", dtype="bfloat16")
    plain = Plain(path)
    asked = [LogLikelihood(messages=user("Yes or No?"), continuation=end) for end in ("Yes", "No")]
    for request, reply in zip(asked, ask(model, candidate, asked), strict=True):
        assert isinstance(reply, LogProb)
        assert reply.logprob == pytest.approx(plain.continuation(request.messages, request.continuation)[0], abs=0.5)
    assert model.facts()["attention masks"] == "by blocks"


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two GPUs here")
def test_two_gpus_answer_as_one(base: Any, surroundings: RunContext) -> None:
    path = base("llama")
    one, candidate = make(path, surroundings, device="cuda:0", dtype="float32")
    asked = [
        Generate(messages=user(f"tell me about the sun {n}"), decoding=Decoding(max_new_tokens=24)) for n in range(12)
    ]
    expected = [reply.text for reply in ask(one, candidate, asked) if isinstance(reply, Completion)]
    both = hf_model(spec_of(path, device="cuda:0,cuda:1", dtype="float32"), surroundings)
    found = [reply.text for reply in ask(both, candidate, asked) if isinstance(reply, Completion)]
    assert found == expected
