"""TRL's SFTTrainer with a cheaper loss where TRL's fused one computes more than the answers' logits."""

from __future__ import annotations

from typing import Any

import torch
from trl import SFTTrainer

from harness_stages.encoding import IGNORED

_UNUSUAL_HEADS = (
    "final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier", "output_multiplier",
    "output_router_logits",
)  # fmt: skip
"""Settings of architectures whose logits are more than one matrix product: TRL's own loss handles them."""
_CHUNK = 1024
"""Positions whose logits are held at once."""


class AnswerTrainer(SFTTrainer):  # type: ignore[misc]  # TRL is not typed
    """Trains on answers alone.

    Without a CUDA device TRL projects every position onto the vocabulary and masks afterwards. Prompts are most of a
    chat row, so projecting only the answers' positions halves the time of a step of a small model. The loss is the
    same: the mean negative log-likelihood of the answers' tokens.
    """

    def compute_loss(  # the signature is the trainer's
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,  # noqa: FBT002
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401 - a tensor, or a tensor and the outputs
        """Return the loss of one batch, in nats per answer token."""
        device = inputs["input_ids"].device
        if return_outputs or device.type == "cuda" or not is_plain(self.model):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return answer_loss(model, inputs, num_items_in_batch)


def is_plain(model: Any) -> bool:  # noqa: ANN401 - PEFT is not typed
    """Tell whether the model's logits are one matrix product of its last hidden states, as `answer_loss` has it."""
    config = model.config.get_text_config()
    return not any(getattr(config, name, None) for name in _UNUSUAL_HEADS)


def answer_loss(model: Any, inputs: dict[str, Any], count: torch.Tensor | int | None = None) -> torch.Tensor:  # noqa: ANN401
    """Return the summed negative log-likelihood of the labelled tokens over `count`, by default their number.

    Args:
        model: a causal language model, or a PEFT model around one.
        inputs: `input_ids` and `labels` of shape (rows, tokens), and what else the backbone takes.
        count: labelled tokens of the whole optimizer step, when it spans several batches.
    """
    from torch.utils.checkpoint import checkpoint

    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    labels = inputs["labels"][:, 1:]
    others = {name: value for name, value in inputs.items() if name not in {"labels", "use_cache"}}
    hidden = causal.base_model(**others, use_cache=False).last_hidden_state[:, :-1]
    wanted = labels != IGNORED
    hidden, labels = hidden[wanted], labels[wanted]
    head = causal.get_output_embeddings()

    def chunk_loss(rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(head(rows).float(), targets, reduction="sum")

    if len(labels) <= _CHUNK:
        total = chunk_loss(hidden, labels)
    else:
        chunks = zip(hidden.split(_CHUNK), labels.split(_CHUNK), strict=True)
        total = torch.stack([checkpoint(chunk_loss, *chunk, use_reentrant=False) for chunk in chunks]).sum()
    return total / (len(labels) if count is None else count)
