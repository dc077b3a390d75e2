"""Pairs are learned by the answers' positions alone, to the same loss and gradient as by TRL's own head."""

from __future__ import annotations

import pytest

from harness_stages.loading import Where, load_base
from harness_stages.pair_head import project_answers_only

FIELDS = ("log_probs", "entropy", "mean_logits", "is_top1")


@pytest.mark.parametrize("rows", [3, 24])
def test_it_is_what_trl_computes(tiny_llama, rows):
    """24 rows have more answer positions than are projected at once."""
    import torch
    from trl.trainer.utils import add_fused_lm_head

    torch.manual_seed(0)
    ids = torch.randint(3, 400, (rows, 40))
    mask, labels = torch.ones_like(ids), ids.clone()
    mask[0, 30:] = 0
    labels[:, :10] = -100
    labels[0, 30:] = -100
    found = []
    for own in (False, True):
        model = load_base(tiny_llama, Where(device="cpu", dtype="float32"))
        add_fused_lm_head(model, outputs=FIELDS)
        if own:
            project_answers_only(model, checkpointing=False)
        scored = model(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True)
        (scored.log_probs.sum(1) ** 2).sum().backward()
        with torch.no_grad():
            reference = model(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True)
        assert torch.allclose(reference.log_probs, scored.log_probs, atol=1e-5)
        plain = model(input_ids=ids[:1]).logits  # generation is as before
        found.append([*(getattr(scored, name).float() for name in FIELDS), scored.loss, plain,
                      model.model.layers[0].self_attn.q_proj.weight.grad])  # fmt: skip
    for theirs, ours in zip(*found, strict=True):
        assert torch.allclose(theirs, ours, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))
