"""No adapter changes the base that others share, and where something does, nothing of the run is believed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from harness.contracts import RunContext
from harness.engine.core import ModelCore
from harness.errors import BaseChangedError, BrokenRunError, InputError
from harness.progress import NoProgress
from harness.store.cache import Cache
from harness.types import Candidate, LogLikelihood, LogProb
from tests.models.conftest import Plain, adapter_of, ask, make, user

QUESTION = LogLikelihood(messages=user("What is the capital of France?"), continuation="Paris is the capital.")
OTHER = LogLikelihood(messages=user("Yes or No?"), continuation="No")
PREFIX = "base_model.model."


def logprob(replies: list) -> float:
    assert isinstance(replies[0], LogProb)
    return replies[0].logprob


def with_tensor(adapter: Path, folder: Path, base: Path, name: str, *, of: str) -> Path:
    """Copy an adapter, and put a ruined tensor of the base into its file."""
    import torch
    from safetensors.torch import load_file, save_file

    folder.mkdir()
    (folder / "adapter_config.json").write_text((adapter / "adapter_config.json").read_text())
    weights = load_file(str(base / "model.safetensors"))
    tensors = load_file(str(adapter / "adapter_model.safetensors"))
    save_file({**tensors, PREFIX + name: torch.full_like(weights[of], 3.0)}, str(folder / "adapter_model.safetensors"))
    return folder


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("model.norm.weight", "model.norm.weight"),
        ("model.layers.0.self_attn.q_proj.base_layer.weight", "model.layers.0.self_attn.q_proj.weight"),
        ("model.layers.0.mlp.down_proj.weight", "model.layers.0.mlp.down_proj.weight"),
        ("model.embed_tokens.weight", "model.embed_tokens.weight"),
        ("lm_head.weight", "model.embed_tokens.weight"),
    ],
)
@pytest.mark.parametrize("checked", [True, False])
def test_an_adapter_file_cannot_overwrite_the_base(
    tiny_base: Path, tiny_adapter: Path, surroundings: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    name: str, of: str, *, checked: bool,
) -> None:  # fmt: skip
    """By its header where that is read; and by the base's own bytes where nobody had looked at the header."""
    bad = adapter_of(with_tensor(tiny_adapter, tmp_path / "bad", tiny_base, name, of=of))
    model, bare = make(tiny_base, surroundings)
    before = {logprob(ask(model, bare, [QUESTION])) for _ in range(2)}  # the second finds its beginning at hand
    if not checked:
        monkeypatch.setattr("harness_models.hf.rack.check_adapter", lambda *_: None)
        monkeypatch.setattr("harness_models.hf.adapters.AdapterRack._require_whole", lambda *_: None)
        monkeypatch.setattr("harness_models.hf.rack.adapter_id", lambda *_, **__: bad.id)
    with pytest.raises(InputError if checked else BaseChangedError) as caught:
        ask(model, Candidate(model=bare.model, adapters=(bad,)), [QUESTION])
    assert (name if checked else of) in str(caught.value)
    assert logprob(ask(model, bare, [QUESTION])) in before


def test_an_adapter_that_fails_half_way_leaves_nothing_on_the_base(
    tiny_base: Path, tiny_adapter: Path, surroundings: RunContext, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    half = tmp_path / "half"
    half.mkdir()
    config = json.loads((tiny_adapter / "adapter_config.json").read_text())
    (half / "adapter_config.json").write_text(json.dumps({**config, "init_lora_weights": False}))
    tensors = load_file(str(tiny_adapter / "adapter_model.safetensors"))
    del tensors[next(name for name in tensors if "lora_B" in name)]
    save_file(tensors, str(half / "adapter_model.safetensors"))
    model, bare = make(tiny_base, surroundings)
    before = {logprob(ask(model, bare, [QUESTION])) for _ in range(2)}  # the second finds its beginning at hand
    with pytest.raises(InputError, match="lacks 1 of its weights"):
        ask(model, Candidate(model=bare.model, adapters=(adapter_of(half),)), [QUESTION])
    assert logprob(ask(model, bare, [QUESTION])) in before


@pytest.mark.parametrize(
    "given",
    [
        {"modules_to_save": ["lm_head"]}, {"modules_to_save": ["embed_tokens"]}, {"modules_to_save": ["norm"]},
        {"use_dora": True}, {"lora_bias": True},
    ],
    ids=str,
)  # fmt: skip
def test_copies_that_peft_keeps_leave_the_base_as_it_is(
    tiny_base: Path, tiny_adapter: Path, surroundings: RunContext, tmp_path: Path, given: dict[str, object]
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    config = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM", **given)
    made = get_peft_model(AutoModelForCausalLM.from_pretrained(str(tiny_base)), config)
    torch.manual_seed(9)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.3)
    made.save_pretrained(str(tmp_path / "adapter"))
    model, bare = make(tiny_base, surroundings)
    arms = {
        (): Plain(tiny_base),
        (adapter_of(tmp_path / "adapter"),): Plain(tiny_base, tmp_path / "adapter"),
        (adapter_of(tiny_adapter),): Plain(tiny_base, tiny_adapter),
    }
    expected = {who: plain.continuation(QUESTION.messages, QUESTION.continuation)[0] for who, plain in arms.items()}
    assert len({round(value, 2) for value in expected.values()}) == 3
    for who in [*arms, *reversed(arms), *arms]:
        found = logprob(ask(model, Candidate(model=bare.model, adapters=who), [QUESTION]))
        assert found == pytest.approx(expected[who], abs=1e-3)
    model.check_base()


def test_a_byte_that_changes_ends_the_run_and_its_replies_are_forgotten(
    tiny_base: Path, tiny_adapter: Path, surroundings: RunContext, tmp_path: Path
) -> None:
    import torch

    model, bare = make(tiny_base, surroundings)
    with Cache(tmp_path / "cache.db") as cache:
        core = ModelCore(model, cache, NoProgress())
        core.answer(bare, [QUESTION], label="")
        core.answer(Candidate(model=bare.model, adapters=(adapter_of(tiny_adapter),)), [QUESTION], label="")
        core.check_base()
        assert cache.stats().entries == 2
        weight = model._loaded.model.get_input_embeddings().weight  # type: ignore[attr-defined]
        with torch.no_grad():
            weight.view(torch.int32)[0, 0] ^= 1
        core.answer(bare, [OTHER], label="")
        assert cache.stats().entries == 3
        with pytest.raises(BaseChangedError, match=r"not what it was when it was loaded.*embed_tokens"):
            core.check_base()
        assert cache.stats().entries == 0
        expected = Plain(tiny_base).continuation(OTHER.messages, OTHER.continuation)[0]
        assert logprob(core.answer(bare, [OTHER], label="")) == pytest.approx(expected, abs=1e-3)  # loaded anew


def test_a_weight_that_is_replaced_is_noticed(tiny_base: Path, surroundings: RunContext) -> None:
    import torch

    model, bare = make(tiny_base, surroundings)
    ask(model, bare, [QUESTION])
    model._loaded.model.norm = torch.nn.RMSNorm(32)  # type: ignore[attr-defined]
    with pytest.raises(BaseChangedError, match="norm"):
        model.check_base()
    ask(model, bare, [QUESTION])
    norm = model._loaded.model.norm  # type: ignore[attr-defined]
    norm.weight = torch.nn.Parameter(norm.weight + 1)
    with pytest.raises(BaseChangedError, match="norm"):
        model.check_base()


@pytest.mark.parametrize("broken", [True, False])
def test_a_pool_proves_its_bases_at_its_end_and_where_a_run_breaks(
    tiny_base: Path, surroundings: RunContext, tmp_path: Path, *, broken: bool
) -> None:
    import torch

    from harness.evaluation.pool import ModelPool
    from harness.plugins import load_plugins
    from tests.models.conftest import spec_of

    bare = Candidate(model=spec_of(tiny_base))
    with Cache(tmp_path / "cache.db") as cache:
        with (  # noqa: PT012 - the end of the block is what raises
            pytest.raises(KeyboardInterrupt if broken else BaseChangedError),
            ModelPool(load_plugins(()).registries, surroundings, cache, NoProgress()) as pool,
        ):
            core = pool.core(bare.model)
            core.answer(bare, [QUESTION], label="")
            assert cache.stats().entries == 1
            with torch.no_grad():
                core.model._loaded.model.get_input_embeddings().weight += 1  # type: ignore[attr-defined]
            if broken:
                raise KeyboardInterrupt
        assert cache.stats().entries == 0


# ---------------------------------------------------------------- what was identified is what is loaded


def other_base(base: Path, folder: Path) -> Path:
    """Return a base of the same shapes with other weights."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(base, folder)
    tensors = load_file(str(folder / "model.safetensors"))
    save_file({name: torch.flip(one, (0,)).contiguous() for name, one in tensors.items()},
              str(folder / "model.safetensors"), metadata={"format": "pt"})  # fmt: skip
    return folder


def test_a_base_that_was_swapped_after_its_fingerprint_is_not_asked(
    tiny_base: Path, surroundings: RunContext, tmp_path: Path
) -> None:
    base, other = Path(shutil.copytree(tiny_base, tmp_path / "base")), other_base(tiny_base, tmp_path / "other")
    model, bare = make(base, surroundings)
    before = model.fingerprint(bare)["base"]
    shutil.copy(other / "model.safetensors", base)
    with pytest.raises(BaseChangedError, match="changed after it was identified"):
        ask(model, bare, [QUESTION])
    shutil.copy(tiny_base / "model.safetensors", base)
    assert model.fingerprint(bare)["base"] == before
    assert ask(model, bare, [QUESTION])


@pytest.mark.parametrize("loads", ["own", "_load_from"])
def test_a_base_that_is_swapped_and_put_back_while_it_is_loaded_is_not_asked(
    loads: str, tiny_base: Path, surroundings: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness_models.hf import loading

    base, other = Path(shutil.copytree(tiny_base, tmp_path / "base")), other_base(tiny_base, tmp_path / "other")
    file, real = base / "model.safetensors", getattr(loading, loads)

    def swapped(*given: object) -> object:
        times = file.stat()
        file.write_bytes((other / "model.safetensors").read_bytes())
        loaded = real(*given)
        file.write_bytes((tiny_base / "model.safetensors").read_bytes())
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        return loaded

    monkeypatch.setattr(loading, "own", lambda *_: None)
    monkeypatch.setattr(loading, loads, swapped)
    model, bare = make(base, surroundings)
    model.fingerprint(bare)
    with pytest.raises(BaseChangedError, match=r"model\.safetensors: was written to while"):
        ask(model, bare, [QUESTION])


@pytest.mark.parametrize("loaded", [True, False])
def test_a_base_that_is_another_at_the_next_fingerprint_ends_the_run_and_is_loaded_anew(
    tiny_base: Path, surroundings: RunContext, tmp_path: Path, *, loaded: bool
) -> None:
    """A run takes fingerprints for its record and again for the keys of its replies."""
    base, other = Path(shutil.copytree(tiny_base, tmp_path / "base")), other_base(tiny_base, tmp_path / "other")
    model, bare = make(base, surroundings)
    model.fingerprint(bare)
    first = logprob(ask(model, bare, [QUESTION])) if loaded else None
    shutil.copy(other / "model.safetensors", base)
    with pytest.raises(BaseChangedError, match="changed after it was identified"):
        model.fingerprint(bare)
    model.fingerprint(bare)
    assert logprob(ask(model, bare, [QUESTION])) != first


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapter_that_was_swapped_after_it_was_identified_is_not_asked(
    tiny_base: Path, tiny_adapter: Path, surroundings: RunContext, tmp_path: Path, name: str
) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_adapter, tmp_path / "adapter"))
    spec = adapter_of(folder)
    if name == "adapter_config.json":
        config = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**config, "lora_alpha": 77}))
    else:
        tensors = load_file(str(folder / name))
        save_file({key: one * 2 for key, one in tensors.items()}, str(folder / name))
    model, bare = make(tiny_base, surroundings)
    with pytest.raises(BrokenRunError, match="changed after it was identified"):
        ask(model, Candidate(model=bare.model, adapters=(spec,)), [QUESTION])


def test_what_peft_trips_over_is_one_sentence(
    tiny_base: Path, tiny_adapter: Path, surroundings: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trips(*_: object, **__: object) -> None:
        raise TypeError("unsupported operand type(s)")

    monkeypatch.setattr("harness_models.hf.loading.own", lambda *_: None)
    monkeypatch.setattr("peft.PeftModel.from_pretrained", trips)
    model, bare = make(tiny_base, surroundings)
    with pytest.raises(InputError, match=r"adapter_config\.json: .*unsupported operand"):
        ask(model, Candidate(model=bare.model, adapters=(adapter_of(tiny_adapter),)), [QUESTION])
