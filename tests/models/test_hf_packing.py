"""Quicker matrix products say the same, with adapters too, and leave the model as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.contracts import RunContext
from harness.types import Generate
from harness_models.hf import packing
from tests import tiny
from tests.models.conftest import Plain, adapter_of, ask, greedy, spec_of, user

TEXTS = ("What is the capital of France?", "Yes", "the quick brown fox", "one two three four five six", "sun")


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    return tiny.save_llama(tmp_path / "wide", hidden=128)


@pytest.fixture
def uses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many packed layers there were, each time a model was packed."""
    found: list[int] = []
    lend = packing._lend

    def watched(loaded: Any, layers: list[Any], given: dict[Any, Any], **more: Any) -> bool:
        done = lend(loaded, layers, given, **more)
        found.append(sum("forward" in vars(layer) for layer in layers))
        return done

    monkeypatch.setattr(packing, "_lend", watched)
    monkeypatch.setattr(packing, "WORTH", 40)
    monkeypatch.setattr("harness_models.hf.likeliest.rough_head", lambda loaded: None)
    return found


@pytest.mark.parametrize("adapted", [False, True])
def test_packed_layers_say_the_same_and_are_given_back(
    adapted: bool, wide: Path, tmp_path: Path, surroundings: RunContext, uses: list[int]
) -> None:
    from dataclasses import replace

    from harness.types import Candidate
    from harness_models.hf.model import HfModel

    adapters = [tiny.save_adapter(wide, tmp_path / "adapter", seed=1)] if adapted else []
    model = HfModel(spec_of(wide), surroundings)
    candidate = Candidate(model=spec_of(wide))
    if adapted:
        candidate = replace(candidate, adapters=(adapter_of(adapters[0]),))
    plain = Plain(wide, *adapters)
    asked = [Generate(messages=user(text), decoding=greedy(12)) for text in TEXTS]
    replies = ask(model, candidate, asked)
    assert [reply.text for reply in replies] == [plain.greedy(request.messages, 12) for request in asked]
    assert uses == [2 * 4 + 1]  # layers with one input are one
    assert not any("forward" in vars(module) for module in model._loaded.model.modules())


def test_weights_of_a_bare_base_are_held_once_and_come_back_bit_by_bit(
    wide: Path, surroundings: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.types import Candidate
    from harness_models.hf.model import HfModel

    monkeypatch.setattr(packing, "WORTH", 40)
    model = HfModel(spec_of(wide), surroundings)
    loaded = model._ready(Candidate(model=spec_of(wide)))
    before = {name: weight.clone() for name, weight in loaded.model.named_parameters()}
    with packing.packed(loaded, 100) as done:
        assert done
        held = {name for name, weight in loaded.model.named_parameters() if weight.numel()}
        assert held == {name for name in before if "norm" in name or name.split(".")[-2] in {"before", "between"}} | {
            "embed_tokens.weight"
        }
    for name, weight in loaded.model.named_parameters():
        assert weight.equal(before[name]), name


def test_a_few_tokens_are_not_worth_it(wide: Path, surroundings: RunContext, uses: list[int]) -> None:
    from harness.types import Candidate
    from harness_models.hf.model import HfModel

    model = HfModel(spec_of(wide), surroundings)
    ask(model, Candidate(model=spec_of(wide)), [Generate(messages=user("Yes"), decoding=greedy(3))])
    assert uses == []


@pytest.mark.parametrize("fault", ["absent", "wrong", "no memory"])
def test_what_cannot_be_packed_is_run_as_it_is(
    fault: str, wide: Path, surroundings: RunContext, uses: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.types import Candidate
    from harness_models.hf.model import HfModel

    def absent(layer: Any) -> Any:
        raise AttributeError("no such operator")

    if fault == "no memory":
        monkeypatch.setattr(packing, "free_bytes", lambda device: 1_000)
    elif fault == "absent":
        monkeypatch.setattr(packing, "_quick", absent)
    else:
        right = packing._multiplied
        monkeypatch.setattr(packing, "_multiplied", lambda *given, **more: 2 * right(*given, **more))
    model = HfModel(spec_of(wide), surroundings)
    asked = [Generate(messages=user(text), decoding=greedy(12)) for text in TEXTS]
    replies = ask(model, Candidate(model=spec_of(wide)), asked)
    plain = Plain(wide)
    assert [reply.text for reply in replies] == [plain.greedy(request.messages, 12) for request in asked]
    assert uses == ([] if fault == "no memory" else [0])
    assert not any("forward" in vars(module) for module in model._loaded.model.modules())
