"""TRL's SFTTrainer with a cheaper loss where TRL's fused one computes more than the answers' logits."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from trl import SFTTrainer

from harness_stages.apart import count_parts, loss_of_parts
from harness_stages.encoding import IGNORED
from harness_stages.frozen_head import is_frozen, weighted_loss
from harness_stages.quickness import TokenBatches, short_attention, without_needless_mask
from harness_stages.sharing import Shared, attending, can_share, shared_beginning, sharing

_UNUSUAL_HEADS = (
    "final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier", "output_multiplier",
    "output_router_logits",
)  # fmt: skip
"""Settings of architectures whose logits are more than one matrix product: TRL's own loss handles them."""
_CHUNK = 1024
"""Positions whose logits are held at once."""
OPENING = 6
"""Tokens with which an answer opens: they decide whether it declines (arXiv 2406.05946, section 2)."""


class AnswerTrainer(SFTTrainer):  # type: ignore[misc]  # TRL is not typed
    """Trains on answers alone.

    Without a CUDA device TRL projects every position onto the vocabulary and masks afterwards. Prompts are most of a
    chat row, so projecting only the answers' positions halves the time of a step of a small model. The loss is the
    same: the mean negative log-likelihood of the answers' tokens, where no more weight is put on how they open.
    """

    opening_weight = 1.0
    """In training, of each answer's first `OPENING` tokens; the rest weigh 1."""
    batch_tokens: int | None = None
    """Tokens of a batch, padding included, instead of as many rows in each; several processes go by rows."""

    def get_train_dataloader(self) -> Any:  # noqa: ANN401 - accelerate's
        """Return the batches of a pass."""
        if self.batch_tokens is None or self.accelerator.num_processes > 1:
            return super().get_train_dataloader()
        lengths = [len(ids) for ids in self.train_dataset["input_ids"]]
        rows = self._remove_unused_columns(self.train_dataset, description="training")
        loader: Any = torch.utils.data.DataLoader(
            rows, batch_sampler=TokenBatches(lengths, self.batch_tokens), collate_fn=self.data_collator
        )
        return self.accelerator.prepare(loader)

    def training_step(self, *given: Any, **named: Any) -> torch.Tensor:  # noqa: ANN401 - the trainer's
        """Train on one batch, and take the mean of the processes' gradients where a step is complete.

        `answer_loss` passes by what wraps the model for several processes, which else does so.
        """
        loss: torch.Tensor = super().training_step(*given, **named)
        size = self.accelerator.num_processes
        if size > 1 and self.accelerator.sync_gradients and self._by_answers(training=True):
            for weight in self.model.parameters():
                if weight.grad is not None:
                    torch.distributed.all_reduce(weight.grad)
                    weight.grad /= size
        return loss

    def compute_loss(  # the signature is the trainer's
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,  # noqa: FBT002
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401 - a tensor, or a tensor and the outputs
        """Return the loss of one batch, in nats per answer token."""
        weight = self.opening_weight if model.training else 1.0
        if return_outputs or not self._by_answers(training=model.training):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        # With checkpointing the forward pass is done again while going backward, and must be done in the same way.
        plain = inputs["input_ids"].device.type == "cpu" and not self.args.gradient_checkpointing
        bare = self.accelerator.unwrap_model(model)
        loss = None
        if plain and model.training and num_items_in_batch is not None:
            loss = _in_parts(bare, inputs, num_items_in_batch, opening_weight=weight)
        if loss is None:
            loss = answer_loss(bare, inputs, num_items_in_batch, opening_weight=weight, plain=plain)
        # The tokens counted are those of all processes, and the mean over these is what is learned from and logged.
        return loss if num_items_in_batch is None else loss * self.accelerator.num_processes

    def _by_answers(self, *, training: bool) -> bool:
        """Tell whether `answer_loss` does it: where openings weigh more, or where it is cheaper."""
        weight = self.opening_weight if training else 1.0
        return weight != 1 or (self.accelerator.device.type != "cuda" and is_plain(self.model))


def is_plain(model: Any) -> bool:  # noqa: ANN401 - PEFT is not typed
    """Tell whether the model's logits are one matrix product of its last hidden states, as `answer_loss` has it."""
    config = model.config.get_text_config()
    return not any(getattr(config, name, None) for name in _UNUSUAL_HEADS)


def answer_loss(
    model: Any,  # noqa: ANN401 - PEFT is not typed
    inputs: dict[str, Any],
    count: torch.Tensor | int | None = None,
    *,
    opening_weight: float = 1.0,
    plain: bool = False,
) -> torch.Tensor:
    """Return the summed negative log-likelihood of the labelled tokens over `count`, by default their number.

    With an opening weight it is the weighted mean over the batch, times the batch's share of `count`.

    Args:
        model: a causal language model, or a PEFT model around one.
        inputs: `input_ids` and `labels` of shape (rows, tokens), and what else the backbone takes.
        count: labelled tokens of the whole optimizer step, when it spans several batches.
        opening_weight: of each answer's first `OPENING` tokens; the rest weigh 1.
        plain: whether rows that are short attend plainly, and what all rows begin with is run through once.
    """
    from torch.utils.checkpoint import checkpoint

    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    labels = inputs["labels"][:, 1:]
    others = {name: value for name, value in inputs.items() if name not in {"labels", "use_cache"}}
    others = without_needless_mask(others)
    hidden = _hidden(causal, others, labels, plain=plain)
    labels = labels[:, -hidden.shape[1] :]
    wanted = labels != IGNORED
    weights = opening_weights(wanted, opening_weight)[wanted]
    hidden, labels = hidden[wanted], labels[wanted]
    head = causal.get_output_embeddings()

    def chunk_loss(rows: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        losses = torch.nn.functional.cross_entropy(head(rows).float(), targets, reduction="none")
        return (losses * weights).sum()

    if is_frozen(head) and torch.is_grad_enabled():
        total = weighted_loss(hidden, head.weight, labels, weights)
    elif len(labels) <= _CHUNK:
        total = chunk_loss(hidden, labels, weights)
    else:
        chunks = zip(torch.split(hidden, _CHUNK), labels.split(_CHUNK), torch.split(weights, _CHUNK), strict=True)
        total = torch.stack([checkpoint(chunk_loss, *chunk, use_reentrant=False) for chunk in chunks]).sum()
    return total * (len(labels) / weights.sum()) / (len(labels) if count is None else count)


def _hidden(causal: Any, inputs: dict[str, Any], labels: torch.Tensor, *, plain: bool) -> torch.Tensor:  # noqa: ANN401
    """Return what predicts each label, shape (rows, labels, width); rows lack the beginning that bears no loss."""
    shared = _shared(causal, inputs, labels) if plain else None
    if shared is not None:
        ids = inputs["input_ids"][:, :-1]
        with attending(causal), sharing(shared):
            given = {"input_ids": shared.flat(ids), "position_ids": shared.positions(ids.device)}
            return shared.rests(causal.base_model(**given, use_cache=False).last_hidden_state)
    with short_attention(causal, labels.shape[1]) if plain else nullcontext():
        states: torch.Tensor = causal.base_model(**inputs, use_cache=False).last_hidden_state[:, :-1]
        return states


def _shared(causal: Any, inputs: dict[str, Any], labels: torch.Tensor) -> Shared | None:  # noqa: ANN401
    if set(inputs) != {"input_ids"} or not can_share(causal):
        return None
    return shared_beginning(inputs["input_ids"][:, :-1], labels)


def _in_parts(
    model: Any, inputs: dict[str, Any], count: torch.Tensor | int, *, opening_weight: float  # noqa: ANN401
) -> torch.Tensor | None:  # fmt: skip
    """Return what `answer_loss` does, from parts of the batch at the same time; None where that gains nothing."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    parts = count_parts(len(inputs["input_ids"]), torch.get_num_threads())
    given = without_needless_mask({name: value for name, value in inputs.items() if name != "use_cache"})
    labels = inputs["labels"][:, 1:]
    if parts == 1 or _shared(causal, {k: v for k, v in given.items() if k != "labels"}, labels) is None:
        return None
    wanted = labels != IGNORED
    if not bool(torch.stack([part.any() for part in torch.tensor_split(wanted, parts)]).all()):
        return None
    per_weight = wanted.sum() / opening_weights(wanted, opening_weight)[wanted].sum() / count

    def loss(part: dict[str, torch.Tensor]) -> torch.Tensor:
        own = part["labels"][:, 1:] != IGNORED
        share = own.sum() / opening_weights(own, opening_weight)[own].sum() / per_weight
        return answer_loss(model, part, share, opening_weight=opening_weight, plain=True)

    with attending(causal):  # set once: the parts' own settings then change nothing
        return loss_of_parts(model, given, loss, parts)


def opening_weights(wanted: torch.Tensor, weight: float) -> torch.Tensor:
    """Return `weight` where an answer opens, at the first `OPENING` of neighbouring wanted tokens, and 1 elsewhere.

    Args:
        wanted: bool of shape (rows, tokens).
        weight: above 0.
    """
    number = wanted.long().cumsum(1)
    before = torch.where(wanted, torch.zeros_like(number), number).cummax(1).values
    return torch.where(wanted & (number - before <= OPENING), weight, 1.0)
