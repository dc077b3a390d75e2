"""Adapters: the right ones act, in any order of asking, and a wrong one is named with its base."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from harness.contracts import RunContext
from harness.errors import InputError
from harness.types import Candidate, Completion, Generate, LogLikelihood, LogProb
from tests import tiny
from tests.models.conftest import Plain, adapter_of, ask, greedy, make, user
from tests.shapes import save_shape

QUESTION = LogLikelihood(messages=user("What is the capital of France?"), continuation="Paris is the capital.")


def logprob(replies: list) -> float:
    assert isinstance(replies[0], LogProb)
    return replies[0].logprob


def test_switching_gives_each_candidate_its_own_replies(
    tiny_base: Path, tiny_adapter: Path, other_tiny_adapter: Path, surroundings: RunContext
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
    tiny_base: Path, tiny_adapter: Path, surroundings: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness_models.hf import loading

    loads = []
    for name in ("own", "_load_from"):
        real = getattr(loading, name)
        monkeypatch.setattr(loading, name, lambda *args, real=real: loads.append(args) or real(*args))
    model, bare = make(tiny_base, surroundings)
    for adapters in ((), (adapter_of(tiny_adapter),), ()):
        ask(model, Candidate(model=bare.model, adapters=adapters), [QUESTION])
    assert len(loads) == 1


def test_generation_uses_the_adapter(tiny_base: Path, tiny_adapter: Path, surroundings: RunContext) -> None:
    model, bare = make(tiny_base, surroundings)
    asked = [Generate(messages=user(text), decoding=greedy(12)) for text in ("Yes or No?", "tell me about the sun")]
    plain = Plain(tiny_base, tiny_adapter)
    for request, reply in zip(
        asked, ask(model, Candidate(model=bare.model, adapters=(adapter_of(tiny_adapter),)), asked), strict=True
    ):
        assert isinstance(reply, Completion)
        assert reply.text == plain.greedy(request.messages, 12)


def test_an_adapter_on_gpt2_fits_its_transposed_weights(
    tiny_gpt2: Path, surroundings: RunContext, tmp_path: Path
) -> None:
    adapter = tiny.save_adapter(tiny_gpt2, tmp_path / "adapter", seed=4, targets=("c_attn",))
    model, bare = make(tiny_gpt2, surroundings)
    candidate = Candidate(model=bare.model, adapters=(adapter_of(adapter),))
    model.fingerprint(candidate)
    expected = Plain(tiny_gpt2, adapter).continuation(QUESTION.messages, QUESTION.continuation)[0]
    assert logprob(ask(model, candidate, [QUESTION])) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("ask_first", [True, False])
def test_an_adapter_of_another_base_is_named_with_the_base(
    tiny_base: Path, surroundings: RunContext, tmp_path: Path, *, ask_first: bool
) -> None:
    wide = tiny.save_llama(tmp_path / "wide-llama", hidden=64)
    adapter = tiny.save_adapter(wide, tmp_path / "adapter-of-wide", seed=5)
    model, bare = make(tiny_base, surroundings)
    candidate = Candidate(model=bare.model, adapters=(adapter_of(adapter),))
    act = partial(ask, model, candidate, [QUESTION]) if ask_first else partial(model.fingerprint, candidate)
    with pytest.raises(InputError, match=r"adapter-of-wide.*wide-llama.*does not fit the base .*tiny-llama"):
        act()


def test_an_adapter_for_layers_that_the_base_lacks_is_refused(
    tiny_base: Path, tiny_gpt2: Path, surroundings: RunContext, tmp_path: Path
) -> None:
    adapter = tiny.save_adapter(tiny_gpt2, tmp_path / "adapter", seed=4, targets=("c_attn",))
    model, bare = make(tiny_base, surroundings)
    with pytest.raises(InputError, match=r"has no transformer\.h\.0\.attn\.c_attn"):
        model.fingerprint(Candidate(model=bare.model, adapters=(adapter_of(adapter),)))


@pytest.mark.parametrize("theirs", [True, False], ids=["peft", "plain"])
def test_many_adapters_are_held_within_bounds_and_act_right_after_they_were_taken_off(
    tiny_base: Path, surroundings: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, theirs: bool
) -> None:
    from harness_models.hf import loading
    from harness_models.hf import rack as module

    if theirs:
        monkeypatch.setattr(loading, "own", lambda *_: None)
    model, bare = make(tiny_base, surroundings)
    folders = [tiny.save_adapter(tiny_base, tmp_path / f"a{number}", seed=10 + number) for number in range(7)]
    candidates = [Candidate(model=bare.model, adapters=(adapter_of(folder),)) for folder in folders]
    first = [logprob(ask(model, candidate, [QUESTION])) for candidate in (bare, *candidates)]
    assert len({round(value, 3) for value in first}) == 8
    rack = model._rack  # type: ignore[attr-defined]
    rack._room = 0
    again = []
    for candidate in reversed([bare, *candidates]):
        again.append(logprob(ask(model, candidate, [QUESTION])))
        assert len(rack.held) <= module._ALWAYS
    assert again == pytest.approx(first[::-1], abs=1e-5)
    composed = Candidate(model=bare.model, adapters=tuple(c.adapters[0] for c in candidates[:6]))
    together = logprob(ask(model, composed, [QUESTION]))  # more than may wait, yet all of them are in use
    assert together == pytest.approx(
        Plain(tiny_base, *folders[:6]).continuation(QUESTION.messages, QUESTION.continuation)[0], abs=1e-3
    )
    if theirs:
        kept = {name.split(".")[-2] for name, _ in rack._peft.named_parameters() if ".lora_A." in name}
    else:
        kept = set(rack._pairs)
    assert kept == set(rack.held)
    assert logprob(ask(model, bare, [QUESTION])) == pytest.approx(first[0], abs=1e-5)


def test_the_least_recently_used_adapter_is_taken_off(
    tiny_base: Path, surroundings: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness_models.hf.rack._ALWAYS", 2)
    model, bare = make(tiny_base, surroundings)
    specs = [adapter_of(tiny.save_adapter(tiny_base, tmp_path / f"a{n}", seed=20 + n)) for n in range(3)]
    a, b, c = (Candidate(model=bare.model, adapters=(spec,)) for spec in specs)
    for candidate in (a, b, a):
        ask(model, candidate, [QUESTION])
    rack = model._rack  # type: ignore[attr-defined]
    rack._room = 0
    ask(model, c, [QUESTION])
    assert rack.held == (specs[0].id, specs[2].id)


def test_an_adapter_that_brings_a_whole_module_is_switched_too(
    tiny_base: Path, tiny_adapter: Path, surroundings: RunContext, tmp_path: Path
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(9)
    config = LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["norm"], task_type="CAUSAL_LM")
    made = get_peft_model(AutoModelForCausalLM.from_pretrained(str(tiny_base)), config)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if weight.requires_grad:
                weight.normal_(mean=1.0 if "norm" in name else 0.0, std=0.3)
    made.save_pretrained(str(tmp_path / "whole"))
    model, bare = make(tiny_base, surroundings)
    whole, plain = adapter_of(tmp_path / "whole"), adapter_of(tiny_adapter)
    expected = {
        (): Plain(tiny_base).continuation(QUESTION.messages, QUESTION.continuation)[0],
        (whole,): Plain(tiny_base, tmp_path / "whole").continuation(QUESTION.messages, QUESTION.continuation)[0],
        (plain,): Plain(tiny_base, tiny_adapter).continuation(QUESTION.messages, QUESTION.continuation)[0],
    }
    for adapters in [(), (plain,), (whole,), (), (whole,), (plain,), ()]:
        found = logprob(ask(model, Candidate(model=bare.model, adapters=adapters), [QUESTION]))
        assert found == pytest.approx(expected[adapters], abs=1e-3), adapters


def test_an_adapter_that_lacks_weights_is_refused(
    tiny_base: Path, tiny_adapter: Path, surroundings: RunContext, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    broken = copy_of(tiny_adapter, tmp_path)
    file = broken / "adapter_model.safetensors"
    weights = load_file(file)
    del weights[sorted(weights)[1]]
    save_file(weights, file)
    model, bare = make(tiny_base, surroundings)
    with pytest.raises(InputError, match="lacks 1 of its weights"):
        ask(model, Candidate(model=bare.model, adapters=(adapter_of(broken),)), [QUESTION])


def copy_of(adapter: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(adapter, tmp_path / "broken"))


@pytest.mark.parametrize("keep", [0, 4, 60, -100])
def test_a_cut_adapter_is_refused(
    tiny_base: Path, tiny_adapter: Path, surroundings: RunContext, tmp_path: Path, keep: int
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
    [(None, "is no adapter"), ("{", "not valid JSON"), (json.dumps({"peft_type": "PROMPT_TUNING"}), "PROMPT_TUNING")],
)
def test_a_wrong_configuration_is_refused(
    tiny_base: Path, tiny_adapter: Path, surroundings: RunContext, tmp_path: Path, text: str | None, words: str
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


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bias", "all"), ("bias", "lora_only"), ("init_lora_weights", "pissa_niter_4"), ("init_lora_weights", "OLoRA"),
        ("layer_replication", [[0, 2], [1, 2]]), ("alora_invocation_tokens", [1, 2]),
    ],
)  # fmt: skip
def test_an_adapter_that_would_change_the_base_for_others_is_refused(
    tiny_base: Path, tiny_adapter: Path, surroundings: RunContext, tmp_path: Path, field: str, value: object
) -> None:
    changing = copy_of(tiny_adapter, tmp_path)
    file = changing / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    model, bare = make(tiny_base, surroundings)
    with pytest.raises(InputError, match=field):
        model.fingerprint(Candidate(model=bare.model, adapters=(adapter_of(changing),)))


@pytest.mark.parametrize("given", [{"bias": "all"}, {"init_lora_weights": "pissa"}, {"use_dora": True}])
def test_no_adapter_leaves_a_trace_on_the_base(
    surroundings: RunContext, tmp_path: Path, given: dict[str, object]
) -> None:
    """Biases and split-off weights would stay changed: either the adapter is refused, or the base answers as before."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = save_shape(tmp_path / "base", "qwen2")
    config = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM", **given)
    made = get_peft_model(AutoModelForCausalLM.from_pretrained(str(base)), config)
    torch.manual_seed(9)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.requires_grad:
                weight.normal_(std=0.3)
    made.save_pretrained(str(tmp_path / "adapter"))
    model, bare = make(base, surroundings)
    before = {logprob(ask(model, bare, [QUESTION])) for _ in range(2)}  # the second finds its beginning at hand
    candidate = Candidate(model=bare.model, adapters=(adapter_of(tmp_path / "adapter"),))
    if "use_dora" in given:
        expected = Plain(base, tmp_path / "adapter").continuation(QUESTION.messages, QUESTION.continuation)[0]
        assert logprob(ask(model, candidate, [QUESTION])) == pytest.approx(expected, abs=1e-3)
    else:
        with pytest.raises(InputError, match="stay changed when it is off"):
            ask(model, candidate, [QUESTION])
    assert logprob(ask(model, bare, [QUESTION])) in before
