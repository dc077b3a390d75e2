"""What makes training quicker changes nothing but rounding, and batches of like lengths hold every row once."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from harness.errors import InputError
from harness_stages.encoding import IGNORED
from harness_stages.loading import Where, add_lora, load_base
from harness_stages.quickness import TokenBatches, keeping_memory, short_attention, token_batches, without_needless_mask
from harness_stages.trainer import answer_loss
from harness_stages.tuning import LoraOptions
from tests.training.conftest import chat_rows, write_rows


def test_batches_hold_every_row_once_within_the_budget():
    lengths = [3, 9, 4, 4, 20, 5, 8, 3, 3]
    batches = token_batches(lengths, 16, [0.5] * len(lengths))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= 16 for batch in batches)
    assert max(map(len, batches)) > 2
    other = token_batches(lengths, 16, [float(-index) for index in range(len(lengths))])
    assert [sorted(lengths[index] for index in batch) for batch in other] == [
        sorted(lengths[index] for index in batch) for batch in batches
    ]
    sampler = TokenBatches(lengths, 16)
    torch.manual_seed(0)
    first, second = list(sampler), list(sampler)
    assert len(first) == len(second) == len(sampler)
    torch.manual_seed(0)
    assert list(sampler) == first


def test_padding_behind_tokens_needs_no_mask(tiny_llama):
    model = AutoModelForCausalLM.from_pretrained(str(tiny_llama), dtype=torch.float32)
    ids = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, 2, 2]])
    labels = torch.tensor([[IGNORED, IGNORED, 7, 8, 9], [IGNORED, 11, 12, IGNORED, IGNORED]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    wanted = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    found = answer_loss(model, {"input_ids": ids, "attention_mask": mask, "labels": labels}, plain=True)
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
    assert "attention_mask" not in without_needless_mask({"attention_mask": mask})
    assert "attention_mask" in without_needless_mask({"attention_mask": mask.flip(1)})
    assert "attention_mask" in without_needless_mask({"attention_mask": mask, "position_ids": ids})


def test_short_rows_attend_plainly_and_the_setting_comes_back(tiny_llama):
    model = AutoModelForCausalLM.from_pretrained(str(tiny_llama), dtype=torch.float32)
    before = model.config._attn_implementation
    assert before == "sdpa"
    with short_attention(model, 128):
        assert model.config._attn_implementation == "eager"
    with short_attention(model, 129):
        assert model.config._attn_implementation == before
    assert model.config._attn_implementation == before


def test_lora_in_bfloat16_differs_by_rounding_alone(tiny_llama):
    ids = torch.arange(3, 35)[None]
    batch = {"input_ids": ids, "labels": ids}

    def made(*, light):
        torch.manual_seed(0)
        base = load_base(tiny_llama, Where(device="cpu", dtype="bfloat16"))
        model = add_lora(base, LoraOptions(r=4, dropout=0.0), error_at=lambda *_: {}, task="CAUSAL_LM")
        weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        for number, weight in enumerate(weights.values()):
            torch.manual_seed(number)
            torch.nn.init.normal_(weight, std=0.1)
        layers = [module for module in model.modules() if "forward" in vars(module) and hasattr(module, "lora_A")]
        assert len(layers) == 4
        if not light:
            for layer in layers:
                del layer.forward
        loss = answer_loss(model, batch)
        loss.backward()
        assert {weight.grad.dtype for weight in weights.values()} == {torch.float32}
        return float(loss.detach()), torch.cat([weight.grad.flatten() for weight in weights.values()])

    (loss, gradient), (wanted, wanted_gradient) = made(light=True), made(light=False)
    assert loss == pytest.approx(wanted, rel=5e-3)
    assert torch.cosine_similarity(gradient, wanted_gradient, dim=0) > 0.995


def test_memory_is_kept_and_given_back_without_harm():
    with keeping_memory():
        assert torch.zeros(1000).sum() == 0


def test_a_token_budget_trains_goes_on_and_is_refused_beside_packing(lab):
    write_rows(lab.folder / "rows.jsonl", chat_rows())
    options = {"data": "rows.jsonl", "epochs": 2, "batch_tokens": 90, "dtype": "float32"}
    (result,) = lab.train(lab.write(options))
    assert 2 < result.record.figures["steps"] <= 12
    with pytest.raises(InputError, match="packed blocks are all of one length"):
        lab.train(lab.write({**options, "packing": True}))


@pytest.mark.parametrize("beginning", [0, 3, 4, 7])
def test_what_all_rows_begin_with_is_run_through_once_and_changes_rounding_alone(tiny_llama, beginning, monkeypatch):
    from harness_stages import trainer

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(str(tiny_llama), dtype=torch.float32).train()
    passed: list[tuple[int, ...]] = []
    model.model.embed_tokens.register_forward_hook(lambda _, given, __: passed.append(tuple(given[0].shape)))
    ids = torch.randint(3, 100, (3, 14))
    ids[:, :beginning] = torch.arange(20, 20 + beginning)
    ids[0, beginning], ids[1, beginning] = 50, 51
    labels = ids.clone()
    labels[:, :9] = IGNORED
    labels[2, 12:] = IGNORED
    mask = (torch.arange(14) < torch.tensor([[14], [14], [12]])).long()
    inputs = {"input_ids": ids, "labels": labels, "attention_mask": mask}
    found = []
    for plain in (False, True):
        model.zero_grad()
        loss = trainer.answer_loss(model, dict(inputs), plain=plain, opening_weight=3.0)
        loss.backward()
        gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
        found.append((loss.detach(), gradients))
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-6)
    assert passed[0] == (3, 14)
    assert passed[1] == ((1, beginning + 3 * (13 - beginning)) if beginning >= 4 else (3, 14))
    assert model.config._attn_implementation == "sdpa"


def test_where_long_rows_follow_the_beginning_nothing_is_shared(tiny_llama):
    """Their scores would all be kept for the way back, which grow with the square of the length."""
    from harness_stages import sharing, trainer

    ids = torch.randint(3, 100, (3, 30 + sharing.MOST + 1))
    ids[:, :30] = torch.arange(20, 50)
    ids[0, 30], ids[1, 30] = 50, 51
    labels = torch.full_like(ids, IGNORED)
    assert sharing.shared_beginning(ids[:, :-1], labels[:, :-1]).rest == sharing.MOST
    assert sharing.shared_beginning(ids, labels) is None
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(str(tiny_llama), dtype=torch.float32).train()
    passed: list[tuple[int, ...]] = []
    model.model.embed_tokens.register_forward_hook(lambda _, given, __: passed.append(tuple(given[0].shape)))
    labels[:, -3:] = ids[:, -3:]
    given = {"input_ids": torch.cat([ids, ids[:, :1]], dim=1), "labels": torch.cat([labels, labels[:, :1]], dim=1)}
    trainer.answer_loss(model, given, plain=True)
    assert passed == [tuple(given["input_ids"].shape)]


def test_only_what_bears_no_loss_is_shared_and_only_where_nothing_is_dropped(tiny_llama):
    from harness_stages.sharing import can_share, shared_beginning

    ids = torch.tensor([[1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 8]])
    assert shared_beginning(ids, torch.full_like(ids, IGNORED)).beginning == 6
    learned = torch.full_like(ids, IGNORED)
    learned[1, 4] = 6
    assert shared_beginning(ids, learned).beginning == 4
    assert shared_beginning(ids[:1], torch.full_like(ids[:1], IGNORED)) is None
    assert shared_beginning(ids[:, :6], torch.full_like(ids[:, :6], IGNORED)).beginning == 5  # the rows are equal
    model = AutoModelForCausalLM.from_pretrained(str(tiny_llama), dtype=torch.float32).train()
    assert can_share(model)
    options = LoraOptions(dropout=0.1)
    dropping = add_lora(model, options, error_at=lambda *_: {}, task="CAUSAL_LM").train()
    assert not can_share(dropping.get_base_model())
    assert can_share(dropping.eval().get_base_model())
    model.config.model_type = "gpt2"
    assert not can_share(model)


@pytest.mark.parametrize("opening_weight", [1.0, 6.0])
def test_a_batch_in_parts_is_the_same_step(tiny_llama, monkeypatch, opening_weight):
    from harness_stages import trainer

    torch.manual_seed(0)
    base = load_base(tiny_llama, Where(device="cpu", dtype="float32"))
    model = add_lora(base, LoraOptions(dropout=0.0), error_at=lambda *_: {}, task="CAUSAL_LM").train()
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    ids = torch.randint(3, 100, (9, 16))
    ids[:, :6] = torch.arange(20, 26)
    ids[5] = ids[6]
    labels = ids.clone()
    labels[:, :8] = IGNORED
    labels[3, 10:] = IGNORED
    inputs = {"input_ids": ids, "labels": labels, "attention_mask": torch.ones_like(ids)}
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    def step(loss):
        model.zero_grad()
        (loss * 2).backward()
        return loss.detach(), {name: one.grad.clone() for name, one in model.named_parameters() if one.requires_grad}

    whole = step(trainer.answer_loss(model, dict(inputs), 40, opening_weight=opening_weight, plain=True))
    parts = [step(trainer._in_parts(model, dict(inputs), 40, opening_weight=opening_weight)) for _ in range(2)]
    torch.testing.assert_close(parts[0], whole, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(parts[1], parts[0], rtol=0, atol=0)
    assert model.get_base_model().config._attn_implementation == "sdpa"
    few = {name: value[:3] for name, value in inputs.items()}
    assert trainer._in_parts(model, few, 40, opening_weight=opening_weight) is None  # too few to split
    labels[5:] = IGNORED
    assert trainer._in_parts(model, dict(inputs), 40, opening_weight=opening_weight) is None  # a part learns nothing


def test_as_many_parts_as_threads_and_rows_allow():
    from harness_stages.apart import count_parts

    assert [count_parts(*given) for given in ((8, 1), (8, 2), (7, 2), (16, 2), (16, 16), (3, 4))] == [1, 2, 1, 2, 4, 1]
