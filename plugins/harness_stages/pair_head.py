"""The log-probabilities of answers for TRL's pair trainers, at less cost than TRL's own where there is no GPU."""

from __future__ import annotations

import functools
import types
from typing import Any

import torch
from trl.trainer.utils import FusedCausalLMOutput

from harness_stages.encoding import IGNORED
from harness_stages.quickness import short_attention, without_needless_mask
from harness_stages.trainer import is_plain

_CHUNK = 512
"""Positions whose logits are held at once."""


def project_answers_only(model: Any, *, checkpointing: bool) -> None:  # noqa: ANN401 - PEFT is not typed
    """Let a model that TRL gave its fused head project the answers' positions alone, where it is not on CUDA.

    Without Triton, TRL's head projects every position onto the vocabulary and masks afterwards, and prompts are more
    than half of a pair. The log-probabilities are the same. Rows that are short attend plainly, as in `AnswerTrainer`.

    Args:
        model: a causal language model behind TRL's `add_fused_lm_head`, or a PEFT model around one.
        checkpointing: whether the forward pass is done again while going backward; attention then stays as it is.
    """
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    if not is_plain(causal):
        return
    usual = causal.forward

    @functools.wraps(usual)
    def forward(_: object, *given: Any, fused_lm_head: bool = False, **named: Any) -> Any:  # noqa: ANN401
        labels = named.get("labels")
        if not fused_lm_head or given or labels is None or labels.device.type == "cuda" or "shift_labels" in named:
            return usual(*given, fused_lm_head=fused_lm_head, **named)
        others = {name: value for name, value in named.items() if name not in {"labels", "num_items_in_batch"}}
        return _scored(causal, without_needless_mask(others | {"use_cache": False}), labels, checkpointing)

    causal.forward = types.MethodType(forward, causal)


def _scored(causal: Any, inputs: dict[str, Any], labels: torch.Tensor, checkpointing: bool) -> FusedCausalLMOutput:  # noqa: ANN401
    if labels.device.type == "cpu" and not checkpointing:
        with short_attention(causal, labels.shape[1]):
            hidden = causal.base_model(**inputs).last_hidden_state[:, :-1]
    else:
        hidden = causal.base_model(**inputs).last_hidden_state[:, :-1]
    wanted = labels[:, 1:] != IGNORED
    rows, targets = hidden[wanted], labels[:, 1:][wanted]
    found = [
        _project(causal.get_output_embeddings(), *chunk)
        for chunk in zip(torch.split(rows, _CHUNK), torch.split(targets, _CHUNK), strict=True)
    ]
    columns = [torch.cat(column) for column in zip(*found, strict=True)]
    log_probs, entropy, mean_logits, is_top1 = (
        column.new_zeros(wanted.shape).masked_scatter(wanted, column) for column in columns
    )
    return FusedCausalLMOutput(
        loss=-log_probs.sum() / wanted.sum().clamp(min=1), log_probs=log_probs, entropy=entropy,
        mean_logits=mean_logits, is_top1=is_top1, label_mask=wanted,
    )  # fmt: skip


def _project(head: Any, rows: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, ...]:  # noqa: ANN401
    """Return log-probability of the target, entropy, mean logit and whether the target is likeliest, of each row."""

    def log_prob(states: torch.Tensor) -> torch.Tensor:
        return -torch.nn.functional.cross_entropy(head(states).float(), targets, reduction="none")

    with torch.no_grad():
        logits = head(rows).float()
        each = torch.log_softmax(logits, dim=-1)
        entropy = -(each.exp() * each).sum(-1)
        measured = entropy, logits.mean(-1), logits.argmax(-1) == targets
    if not torch.is_grad_enabled():
        return each.gather(-1, targets[:, None])[:, 0], *measured
    from torch.utils.checkpoint import checkpoint

    return checkpoint(log_prob, rows, use_reentrant=False), *measured
