"""Adapters: the right ones act, in any order of asking, and a wrong one is named with its base."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from harness.contracts import Surroundings
from harness.errors import InputError
from harness.types import Candidate, Completion, Generate, LogLikelihood, LogProb
from tests import tiny
from tests.models.conftest import Plain, adapter_of, ask, greedy, make, user

QUESTION = LogLikelihood(messages=user("What is the capital of France?"), continuation="Paris is the capital.")


def logprob(replies: list) -> float:
    assert isinstance(replies[0], LogProb)
    return replies[0].logprob


def test_switching_gives_each_candidate_its_own_replies(
    tiny_base: Path, tiny_adapter: Path, other_tiny_adapter: Path, surroundings: Surroundings
) -> None:
    model, bare = make(tiny_base, surroundings)
    one, other = adapter_of(tiny_adapter), adapter_of(other_tiny_adapter)
    expected = {
        (): Plain(tiny_base).continuation(QUESTION.messages, QUESTION.continuation)[0],
        (one,): Plain(tiny_base, tiny_adapter).continuation(QUESTION.messages, QUESTION.continuation)[0],
        (other,): Plain(tiny_base, other_tiny_adapter).continuation(QUESTION.messages, QUESTION.continuation)[0],
        (one, other): Plain(tiny_base, tiny_adapter, other_tiny_adapter).continuation(
            QUESTION.messages, QUESTION.continuation
        )[0],
    }
    assert len({round(value, 2) for value in expected.values()}) == 4
    order = [(), (one,), (), (one, other), (other,), (one,), (one, other), ()]
    for adapters in order:
        found = logprob(ask(model, Candidate(model=bare.model, adapters=adapters), [QUESTION]))
        assert found == pytest.approx(expected[adapters], abs=1e-3)


def test_the_base_is_loaded_once(
    tiny_base: Path, tiny_adapter: Path, surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness_models.hf import loading

    loads = []
    real = loading._load_from
    monkeypatch.setattr(loading, "_load_from", lambda *args: loads.append(args) or real(*args))
    model, bare = make(tiny_base, surroundings)
    for adapters in ((), (adapter_of(tiny_adapter),), ()):
        ask(model, Candidate(model=bare.model, adapters=adapters), [QUESTION])
    assert len(loads) == 1


def test_generation_uses_the_adapter(tiny_base: Path, tiny_adapter: Path, surroundings: Surroundings) -> None:
    model, bare = make(tiny_base, surroundings)
    asked = [Generate(messages=user(text), decoding=greedy(12)) for text in ("Yes or No?", "tell me about the sun")]
    plain = Plain(tiny_base, tiny_adapter)
    for request, reply in zip(
        asked, ask(model, Candidate(model=bare.model, adapters=(adapter_of(tiny_adapter),)), asked), strict=True
    ):
        assert isinstance(reply, Completion)
        assert reply.text == plain.greedy(request.messages, 12)


def test_an_adapter_on_gpt2_fits_its_transposed_weights(
    tiny_gpt2: Path, surroundings: Surroundings, tmp_path: Path
) -> None:
    adapter = tiny.save_adapter(tiny_gpt2, tmp_path / "adapter", seed=4, targets=("c_attn",))
    model, bare = make(tiny_gpt2, surroundings)
    candidate = Candidate(model=bare.model, adapters=(adapter_of(adapter),))
    model.fingerprint(candidate)
    expected = Plain(tiny_gpt2, adapter).continuation(QUESTION.messages, QUESTION.continuation)[0]
    assert logprob(ask(model, candidate, [QUESTION])) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("ask_first", [True, False])
def test_an_adapter_of_another_base_is_named_with_the_base(
    tiny_base: Path, surroundings: Surroundings, tmp_path: Path, *, ask_first: bool
) -> None:
    wide = tiny.save_llama(tmp_path / "wide-llama", hidden=64)
    adapter = tiny.save_adapter(wide, tmp_path / "adapter-of-wide", seed=5)
    model, bare = make(tiny_base, surroundings)
    candidate = Candidate(model=bare.model, adapters=(adapter_of(adapter),))
    act = partial(ask, model, candidate, [QUESTION]) if ask_first else partial(model.fingerprint, candidate)
    with pytest.raises(InputError, match=r"adapter-of-wide.*wide-llama.*does not fit the base .*tiny-llama"):
        act()


def test_an_adapter_for_layers_that_the_base_lacks_is_refused(
    tiny_base: Path, tiny_gpt2: Path, surroundings: Surroundings, tmp_path: Path
) -> None:
    adapter = tiny.save_adapter(tiny_gpt2, tmp_path / "adapter", seed=4, targets=("c_attn",))
    model, bare = make(tiny_base, surroundings)
    with pytest.raises(InputError, match=r"has no transformer\.h\.0\.attn\.c_attn"):
        model.fingerprint(Candidate(model=bare.model, adapters=(adapter_of(adapter),)))


def copy_of(adapter: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(adapter, tmp_path / "broken"))


@pytest.mark.parametrize("keep", [0, 4, 60, -100])
def test_a_cut_adapter_is_refused(
    tiny_base: Path, tiny_adapter: Path, surroundings: Surroundings, tmp_path: Path, keep: int
) -> None:
    broken = copy_of(tiny_adapter, tmp_path)
    file = broken / "adapter_model.safetensors"
    spec = adapter_of(broken)
    file.write_bytes(file.read_bytes()[:keep])
    model, bare = make(tiny_base, surroundings)
    with pytest.raises(InputError, match="not a whole safetensors file"):
        model.fingerprint(Candidate(model=bare.model, adapters=(spec,)))


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "not an adapter"), ("{", "as JSON"), (json.dumps({"peft_type": "PROMPT_TUNING"}), "PROMPT_TUNING")],
)
def test_a_wrong_configuration_is_refused(
    tiny_base: Path, tiny_adapter: Path, surroundings: Surroundings, tmp_path: Path, text: str | None, words: str
) -> None:
    broken = copy_of(tiny_adapter, tmp_path)
    config = broken / "adapter_config.json"
    if text is None:
        config.unlink()
    else:
        config.write_text(text)
    model, bare = make(tiny_base, surroundings)
    with pytest.raises(InputError, match=words) as caught:
        model.fingerprint(Candidate(model=bare.model, adapters=(adapter_of(broken),)))
    assert str(config) in str(caught.value)
