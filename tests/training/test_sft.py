"""The sft stage by itself: its options, its loss, other architectures, devices."""

from __future__ import annotations

import pytest

from harness.errors import BrokenRunError, InputError
from harness_stages.sft import SFTStage

QUICK = {"data": "rows.jsonl", "max_steps": 2, "batch_size": 2, "dtype": "float32"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "none.jsonl"}, r"recipe.yaml:5: stages\[0\].sft.data: there is no file"),
        ({"data": "."}, r"stages\[0\].sft.data: is a folder"),
        ({"data": "bundled:../../etc/passwd"}, "names no bundled file"),
        ({"data": "bundled:suites/data/none.jsonl"}, "there is no file"),
        ({"epochs": 0}, r"recipe.yaml:\d+: stages\[0\].sft.epochs"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"scheduler": "quadratic"}, "scheduler"),
        ({"dtype": "float16"}, "dtype"),
        ({"dropuot": 0.2}, "unknown key; did you mean 'dropout'"),
        ({"target_modules": ["q_prj"]}, r"target_modules: .*no linear layer called 'q_prj'; did you mean 'q_proj'"),
        ({"target_modules": ["lm_head"]}, "no linear layer called 'lm_head'"),
        ({"system": " "}, r"sft.system: is empty"),
        ({"max_length": 10}, r"rows.jsonl:1: the prompt alone takes"),
    ],
)
def test_mistakes_are_named(lab, options, message):
    with pytest.raises(InputError, match=message):
        lab.train(lab.write({**QUICK, **options}))
    assert not lab.kept()


def test_a_stage_without_data_says_so(lab):
    with pytest.raises(InputError, match=r"recipe.yaml:\d+: .*'data' is missing"):
        lab.train(lab.write({"epochs": 1}))


def test_exponents_are_numbers(lab):
    (lab.folder / "recipe.yaml").write_text(
        f"id: test\nbase: {lab.base}\nstages:\n  - sft: {{data: rows.jsonl, learning_rate: 1e-3, max_steps: 1}}\n"
    )
    assert lab.train(lab.folder / "recipe.yaml")[0].trained


def test_check_imports_no_torch():
    import subprocess
    import sys

    code = (
        "import sys, harness_stages.sft, harness_stages.rows\n"
        "heavy = {'torch', 'transformers', 'trl', 'peft', 'datasets'} & set(sys.modules)\nassert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_continuing_refuses_another_shape(lab):
    first = lab.train(lab.write(QUICK))[0]
    with pytest.raises(InputError, match=r"sft.r: the adapter that training continues has 16, not 8"):
        lab.train(lab.write({**QUICK, "r": 8}, adapter=first.adapter.id))
    assert lab.train(lab.write({**QUICK, "r": 16, "dropout": 0.0}, adapter=first.adapter.id))[0].trained


def test_gpt2_gets_its_own_layers(gpt2_lab):
    from safetensors.numpy import load_file

    (result,) = gpt2_lab.train(gpt2_lab.write({**QUICK, "learning_rate": 0.01}))
    tensors = load_file(f"{result.adapter.path}/adapter_model.safetensors")
    assert {name.split(".")[-3] for name in tensors} == {"c_attn"}
    assert all(tensor.any() for name, tensor in tensors.items() if "lora_B" in name)


def test_layers_that_nobody_knows_must_be_named():
    import torch

    from harness_stages.lora import choose_targets

    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.mixer = torch.nn.Linear(4, 4)

        def get_output_embeddings(self):
            return None

    with pytest.raises(InputError, match="name them with target_modules, from: mixer"):
        choose_targets(Odd(), None, error_at={})
    assert choose_targets(Odd(), ["mixer"], error_at={}) == ["mixer"]


def batch(model, tokenizer, pairs):
    import torch

    from harness.types import Message
    from harness_stages.encoding import Encoder
    from harness_stages.rows import TrainingRow

    rows = [
        TrainingRow(messages=(Message(role="user", content=q), Message(role="assistant", content=a)), line=1)
        for q, a in pairs
    ]
    from pathlib import Path

    parts = Encoder(tokenizer).encode(rows, max_length=200, path=Path("rows.jsonl"))
    longest = max(len(part.input_ids) for part in parts)
    pad = lambda values, filler: values + [filler] * (longest - len(values))  # noqa: E731
    return {
        "input_ids": torch.tensor([pad(part.input_ids, 2) for part in parts]),
        "labels": torch.tensor([pad(part.labels, -100) for part in parts]),
        "attention_mask": torch.tensor([pad([1] * len(part.input_ids), 0) for part in parts]),
    }


@pytest.mark.parametrize("chunk", [4, 1024])
def test_the_cheap_loss_is_the_model_s_own(tiny_llama, tokenizer, pairs, monkeypatch, chunk):
    import torch
    from transformers import AutoModelForCausalLM

    from harness_stages import trainer

    monkeypatch.setattr(trainer, "_CHUNK", chunk)
    model = AutoModelForCausalLM.from_pretrained(str(tiny_llama), dtype=torch.float32)
    inputs = batch(model, tokenizer, pairs)
    expected = model(**inputs).loss
    expected.backward()
    gradient = model.model.layers[0].self_attn.q_proj.weight.grad.clone()
    model.zero_grad()
    found = trainer.answer_loss(model, dict(inputs))
    found.backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(model.model.layers[0].self_attn.q_proj.weight.grad, gradient)
    learned = int((inputs["labels"] != -100).sum())
    torch.testing.assert_close(trainer.answer_loss(model, dict(inputs), count=2 * learned), expected / 2)


def test_prompts_bear_no_loss(tiny_llama, tokenizer, pairs):
    """Changing what a prompt's labels would be changes nothing; changing an answer does."""
    import torch
    from transformers import AutoModelForCausalLM

    from harness_stages.trainer import answer_loss

    model = AutoModelForCausalLM.from_pretrained(str(tiny_llama), dtype=torch.float32)
    inputs = batch(model, tokenizer, pairs[:1])
    before = answer_loss(model, dict(inputs))
    first = int((inputs["labels"][0] != -100).nonzero()[0])
    assert first > 10
    per_token = torch.nn.functional.cross_entropy(
        model(input_ids=inputs["input_ids"]).logits[0, first - 1 : -1].float(), inputs["input_ids"][0, first:]
    )
    torch.testing.assert_close(before, per_token)


def test_the_opening_of_an_answer_weighs_more_in_training_alone(tiny_llama, tokenizer, pairs):
    import torch
    from transformers import AutoModelForCausalLM

    from harness_stages.trainer import OPENING, answer_loss, opening_weights

    wanted = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1]], dtype=torch.bool)
    assert opening_weights(wanted, 5.0).tolist() == [[1, 1, 5, 5, 5, 5, 5, 5, 1, 1, 1, 5, 5]]
    model = AutoModelForCausalLM.from_pretrained(str(tiny_llama), dtype=torch.float32)
    inputs = batch(model, tokenizer, pairs[:1])
    first = int((inputs["labels"][0] != -100).nonzero()[0])
    losses = torch.nn.functional.cross_entropy(
        model(input_ids=inputs["input_ids"]).logits[0, first - 1 : -1], inputs["input_ids"][0, first:], reduction="none"
    )
    weights = torch.tensor([5.0] * OPENING + [1.0] * (len(losses) - OPENING))
    torch.testing.assert_close(
        answer_loss(model, dict(inputs), opening_weight=5.0), (losses * weights).sum() / weights.sum()
    )


def test_packed_rows_do_not_see_each_other(lab):
    """One step over all rows, without dropout: packed or padded, it is the same step."""
    same = {**QUICK, "max_steps": 1, "batch_size": 6, "dropout": 0.0, "max_length": 250, "warmup": 0.0}
    padded = lab.train(lab.write(same))[0]
    packed = lab.train(lab.write({**same, "packing": True}))[0]
    assert packed.record.figures["loss_first"] == pytest.approx(padded.record.figures["loss_first"], rel=1e-4)


def test_devices(stage_input):
    import torch

    from harness_stages.devices import choose_device, choose_dtype

    assert choose_device("cpu") == "cpu"
    with pytest.raises(InputError, match="there is no device 'tpu'"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no usable cuda device; use --device cpu"):
            choose_device("cuda")
    with pytest.raises(InputError, match="CUDA_VISIBLE_DEVICES=3"):
        choose_device("cuda:3")
    assert choose_dtype("float32", "cpu") == "float32"
    assert choose_dtype("auto", "cpu") in {"float32", "bfloat16"}


@pytest.mark.parametrize("error", ["memory", "allocator"])
def test_running_out_of_memory_says_what_to_lower(lab, monkeypatch, error):
    from harness_stages import trainer

    def starve(*_args, **_kwargs):
        if error == "memory":
            raise MemoryError
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried…")

    monkeypatch.setattr(trainer, "answer_loss", starve)
    with pytest.raises(BrokenRunError, match="memory ran out on cpu with batch_size 2 and max_length 512; lower them"):
        lab.train(lab.write(QUICK))
    assert not lab.kept()


def test_bfloat16_trains_too(lab):
    (result,) = lab.train(lab.write({**QUICK, "dtype": "bfloat16", "gradient_checkpointing": True,
                                     "gradient_accumulation": 2}))  # fmt: skip
    assert result.record.figures["bfloat16"] == 1


def test_no_socket_is_opened(lab, monkeypatch):
    import socket

    def refuse(*_args, **_kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert lab.train(lab.write(QUICK))[0].trained


def test_the_stage_keeps_its_contract(stage_input, lab):
    stage = SFTStage()
    inputs = stage_input({**QUICK, "data": str(lab.folder / "rows.jsonl")})
    stage.check(inputs)
    assert set(stage.inputs(inputs)) == {"data"}
    output = stage.run(inputs)
    assert output.adapter == inputs.output / "adapter"
    assert sorted(path.name for path in inputs.output.iterdir()) == ["adapter"]  # the trainer's scratch is gone
    dataset = stage_input({key: value for key, value in QUICK.items() if key != "data"},
                          dataset=lab.folder / "rows.jsonl")  # fmt: skip
    assert stage.inputs(dataset) == {"data": lab.folder / "rows.jsonl"}


@pytest.mark.parametrize("again", [False, True])
def test_a_local_base_asks_no_hub(lab, monkeypatch, again):
    """The libraries ask the hub about local folders too, where nothing says that they must not."""
    import socket

    import huggingface_hub.constants

    tried = []

    def refuse(*arguments, **_):
        tried.append(arguments)
        raise OSError("this test opens no sockets")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    first = lab.train(lab.write(QUICK))[0].adapter.id if again else None
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    assert lab.train(lab.write(QUICK, adapter=first))[0].trained
    assert tried == []
