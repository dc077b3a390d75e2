"""An adapter's tensors are explained by its own configuration, or the adapter is refused."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.weights.lora import UnexplainedTensorError, check_lora, misfit

Q = "base_model.model.model.layers.0.self_attn.q_proj"
PAIR = {f"{Q}.lora_A.weight": (4, 32), f"{Q}.lora_B.weight": (16, 4)}
BASE = {
    "model.layers.0.self_attn.q_proj.weight": (16, 32), "model.embed_tokens.weight": (50, 32), "model.norm.weight": (32,)
}  # fmt: skip


def adapter(folder: Path, tensors: dict[str, tuple[int, ...]], **config: object) -> Path:
    header, end = {}, 0
    for name, shape in tensors.items():
        size = 4
        for side in shape:
            size *= side
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    folder.mkdir(exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))
    given = {"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"], **config}
    (folder / "adapter_config.json").write_text(json.dumps(given))
    return folder


@pytest.mark.parametrize(
    ("tensors", "config"),
    [
        (PAIR, {}),
        (PAIR, {"target_modules": r".*\.q_proj"}),
        (PAIR, {"target_modules": "all-linear"}),
        (PAIR, {"r": 9, "rank_pattern": {"q_proj": 4}}),
        (PAIR, {"layers_to_transform": [0, 3]}),
        (PAIR, {"layers_to_transform": 0, "layers_pattern": "layers"}),
        ({**PAIR, f"{Q}.lora_magnitude_vector": (16,)}, {"use_dora": True}),
        ({**PAIR, f"{Q}.lora_B.bias": (16,)}, {"lora_bias": True}),
        ({**PAIR, "base_model.model.lm_head.weight": (50, 32)}, {"modules_to_save": ["lm_head"]}),
        ({**PAIR, "base_model.model.model.norm.weight": (32,)}, {"modules_to_save": ["norm"]}),
        (
            {
                "base_model.model.model.embed_tokens.lora_embedding_A": (4, 50),
                "base_model.model.model.embed_tokens.lora_embedding_B": (32, 4),
            },
            {"target_modules": ["embed_tokens"]},
        ),
    ],
)
def test_what_the_configuration_explains_is_taken(tmp_path: Path, tensors: dict, config: dict) -> None:
    folder = adapter(tmp_path / "a", tensors, **config)
    assert check_lora(folder) == tensors
    assert misfit(tensors, BASE) == ""


UNEXPLAINED = [
    ("base_model.model.model.norm.weight", (32,), {}, "modules_to_save does not name"),
    ("base_model.model.model.norm.weight", (32,), {"modules_to_save": ["lm_head"]}, "modules_to_save does not name"),
    (f"{Q}.base_layer.weight", (16, 32), {}, "base_layer is what peft itself puts"),
    (f"{Q}.base_layer.weight", (16, 32), {"modules_to_save": ["q_proj"]}, "base_layer"),
    ("base_model.model.model.layers.0.mlp.down_proj.weight", (32, 64), {}, "no part of a LoRA pair"),
    ("base_model.model.model.embed_tokens.weight", (50, 32), {}, "modules_to_save"),
    ("base_model.model.lm_head.weight", (50, 32), {}, "modules_to_save"),
    ("base_model.model.lm_head.original_module.weight", (50, 32), {"modules_to_save": ["lm_head"]}, "original_module"),
    ("base_model.model.lm_head.modules_to_save.x.weight", (9,), {"modules_to_save": ["lm_head"]}, "modules_to_save is"),
    ("model.norm.weight", (32,), {}, "does not begin with"),
    (f"{Q.replace('q_proj', 'k_proj')}.lora_A.weight", (4, 32), {}, "target_modules does not name"),
    (f"{Q.replace('.0.', '.1.')}.lora_A.weight", (4, 32), {"layers_to_transform": [0]}, "target_modules does not"),
    (f"{Q}.lora_A.weight", (4, 32), {"exclude_modules": ["q_proj"]}, "target_modules does not name"),
    (f"{Q}.lora_A.weight", (5, 32), {}, "the rank is 4"),
    (f"{Q}.lora_A.weight", (4,), {}, "the rank is 4"),
    (f"{Q}.lora_A.other.weight", (4, 32), {}, "lora_A is what peft"),
    (f"{Q}.lora_magnitude_vector", (16,), {}, "use_dora is off"),
    (f"{Q}.lora_B.bias", (16,), {}, "lora_bias is off"),
    ("base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta", (2, 32), {}, "token_adapter"),
    (f"{Q}.lora_A.weight", (4, 32), {"target_modules": None}, "target_modules does not name"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shape", "config", "why"), UNEXPLAINED)
def test_what_it_does_not_explain_is_refused_by_name(
    tmp_path: Path, name: str, shape: tuple[int, ...], config: dict, why: str
) -> None:
    folder = adapter(tmp_path / "a", {name: shape}, **config)
    with pytest.raises(UnexplainedTensorError, match=why) as caught:
        check_lora(folder)
    said = str(caught.value)
    assert str(folder / "adapter_model.safetensors") in said
    assert name in said
    assert said.count("\n") == 0


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": "("}, {"target_modules": 3}, {"target_modules": ["q_proj", 3]}, {"target_modules": [""]},
        {"rank_pattern": {"(": 4}}, {"rank_pattern": 3}, {"modules_to_save": [""]}, {"modules_to_save": "lm_head"},
        {"layers_to_transform": "x"}, {"target_parameters": ["x"]}, {"bias": "all"}, {"peft_type": "IA3"},
        {"ensure_weight_tying": True}, {"trainable_token_indices": [3, 7]}, {"init_lora_weights": "pissa"},
    ],
)  # fmt: skip
def test_a_configuration_that_nobody_understands_or_that_changes_the_base_is_refused(
    tmp_path: Path, config: dict
) -> None:
    with pytest.raises(InputError):
        check_lora(adapter(tmp_path / "a", PAIR, **config))


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", PAIR)
    config = folder / "adapter_config.json"
    config.write_text('{"modules_to_save": ["norm"], ' + config.read_text()[1:-1] + ', "modules_to_save": []}')
    with pytest.raises(InputError, match="twice"):
        check_lora(folder)


@pytest.mark.parametrize(
    ("tensors", "config", "why"),
    [
        ({f"{Q}.lora_A.weight": (4, 31)}, {}, "16×32 there, not 31 wide"),
        ({f"{Q.replace('.0.', '.9.')}.lora_A.weight": (4, 32)}, {}, "has no model.layers.9"),
        ({"base_model.model.model.norm.weight": (31,)}, {"modules_to_save": ["norm"]}, "is 32 there, not 31"),
        ({"base_model.model.model.norm.bias": (32,)}, {"modules_to_save": ["norm"]}, "no model.norm.bias"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_base_is_said(tmp_path: Path, tensors: dict, config: dict, why: str) -> None:
    folder = adapter(tmp_path / "a", tensors, **config)
    assert why in misfit(check_lora(folder), BASE)


MANY = "(.*.*.*.*.*.*.*)*x"


@pytest.mark.parametrize(
    "config",
    [
        {"rank_pattern": {MANY: 4}}, {"alpha_pattern": {MANY: 4}}, {"target_modules": MANY}, {"exclude_modules": MANY},
        {"rank_pattern": {".*.*.*.*.*x": 4}}, {"target_modules": "(a|a)*x"}, {"target_modules": "(a?){40}x"},
        {"target_modules": "a?" * 40 + "x"}, {"target_modules": "(?:a|a)" * 40 + "x"}, {"target_modules": "(?:){9999999}"},
        {"target_modules": ["q_proj"], "layers_to_transform": [0], "layers_pattern": MANY},
    ],
)  # fmt: skip
def test_a_pattern_that_could_take_for_ever_is_refused_at_once(tmp_path: Path, config: dict) -> None:
    began = time.thread_time()
    with pytest.raises(InputError, match=r"adapter_config\.json"):
        check_lora(adapter(tmp_path / "a", {f"base_model.model.{'a' * 150}.lora_A.weight": (4, 32)}, **config))
    assert time.thread_time() - began < 5


def test_many_patterns_of_several_wildcards_are_refused(tmp_path: Path) -> None:
    many = {f".*a.*{number}": 4 for number in range(40)}
    with pytest.raises(InputError, match="several wildcards"):
        check_lora(adapter(tmp_path / "a", PAIR, rank_pattern=many))


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": r"(?:.*?(?:language|text).*?(?:self_attn|attention|attn|mlp|ffn|dense).*?(?:k_proj|v_proj|"
         r"q_proj|out_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|attention|attn)\.(?:(?:q_proj|k_proj)))"},
        {"target_modules": r"^(?!.*vision).*\.(q|k|v)_proj$"},
        {"rank_pattern": {r"model\.layers\.\d+\.self_attn\.q_proj": 4, **{f"layers.{n}.mlp.up_proj": 8 for n in range(300)}}},
        {"kasa_config": None, "ensure_weight_tying": False, "use_qalora": False, "lora_dropout": 0, "lora_alpha": 8.5},
    ],
)  # fmt: skip
def test_patterns_that_people_write_are_taken(tmp_path: Path, config: dict) -> None:
    assert check_lora(adapter(tmp_path / "a", PAIR, **config))


@pytest.mark.parametrize(
    "config",
    [
        {"kasa_config": {}}, {"velora_config": {}}, {"monteclora_config": {}}, {"use_bdlora": {}}, {"arrow_config": {}},
        {"alora_invocation_tokens": []}, {"megatron_config": {}}, {"use_bdlora": False}, {"lora_alpha": "8"},
        {"lora_alpha": float("nan")}, {"lora_alpha": float("inf")}, {"unknown": float("nan")}, {"lora_dropout": "x"},
        {"alpha_pattern": {"(a": 4}}, {"alpha_pattern": {"a": "4"}}, {"r": True}, {"r": 4.0}, {"use_dora": "no"},
        {"layers_to_transform": ["0"]}, {"base_model_name_or_path": 3}, {"lora_alpha": 10**400},
    ],
)  # fmt: skip
def test_what_peft_would_trip_over_or_act_on_is_one_sentence(tmp_path: Path, config: dict) -> None:
    with pytest.raises(InputError, match=r"adapter_config\.json"):
        check_lora(adapter(tmp_path / "a", PAIR, **config))


def test_a_number_beyond_all_numbers_is_refused(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", PAIR)
    file = folder / "adapter_config.json"
    file.write_text(file.read_text().replace('"r": 4', '"r": 4, "lora_alpha": 1e400'))
    with pytest.raises(InputError, match="too large"):
        check_lora(folder)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_pipe_is_no_file_of_an_adapter(tmp_path: Path, name: str) -> None:
    folder = adapter(tmp_path / "a", PAIR)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(InputError, match="no regular file"):
        check_lora(folder)
