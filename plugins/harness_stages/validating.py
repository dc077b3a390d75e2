"""Held-out loss while training: measured again and again, the best adapter kept, and an end when it no longer falls."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from harness_stages.encoding import IGNORED
from harness_stages.trainer import answer_loss, is_plain

if TYPE_CHECKING:
    from harness_stages.encoding import Encoded


class Validation(TrainerCallback):  # type: ignore[misc]  # transformers is not typed here
    """A callback of the trainer.

    Args:
        rows: held out.
        batch_size: rows per forward pass.
        pad: the padding token.
        every: optimizer steps between two measurements; None takes a tenth of all.
        patience: measurements without a new best loss after which training stops; the adapter is then, and in any case
            at the end, the one of the best loss. None only measures.
    """

    def __init__(
        self, rows: Sequence[Encoded], *, batch_size: int, pad: int, every: int | None, patience: int | None
    ) -> None:
        self._rows = sorted(rows, key=lambda row: len(row.input_ids))
        self._batch_size, self._pad, self._every, self._patience = batch_size, pad, every, patience
        self._losses: dict[int, float] = {}
        self._best: dict[str, torch.Tensor] = {}
        self.observe: Callable[[int, Mapping[str, float]], None] | None = None
        """Takes each measurement, for tools that watch."""

    def on_train_begin(self, args: object, state: Any, control: object, **given: Any) -> None:  # noqa: ANN401, ARG002
        """Measure before the first step."""
        self._every = self._every or max(1, state.max_steps // 10)
        self._look(given["model"], 0)

    def on_step_end(self, args: object, state: Any, control: Any, **given: Any) -> None:  # noqa: ANN401, ARG002
        """Measure where it is due, and stop where nothing got better for long enough."""
        if state.global_step % (self._every or 1):
            return
        self._look(given["model"], state.global_step)
        if self._patience is not None and len([step for step in self._losses if step > self.best]) >= self._patience:
            control.should_training_stop = True

    def on_train_end(self, args: object, state: Any, control: object, **given: Any) -> None:  # noqa: ANN401, ARG002
        """Measure the end, and put the best adapter back."""
        if state.global_step not in self._losses:
            self._look(given["model"], state.global_step)
        if self._patience is not None:
            weights = dict(given["model"].named_parameters())
            with torch.no_grad():
                for name, kept in self._best.items():
                    weights[name].copy_(kept)

    @property
    def best(self) -> int:
        """The step with the lowest loss, the earliest of equals."""
        return min(self._losses, key=lambda step: (self._losses[step], step))

    @property
    def last(self) -> float:
        """The newest loss."""
        return self._losses[max(self._losses)]

    def figures(self) -> dict[str, float]:
        """Return the held-out losses before, at best and at the end, in nats per answer token, and the best step."""
        return {
            "validation_rows": float(len(self._rows)), "validation_loss_first": self._losses[0],
            "validation_loss": self._losses[self.best], "validation_loss_last": self._losses[max(self._losses)],
            "best_step": float(self.best),
        }  # fmt: skip

    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Return the held-out loss at each measurement."""
        return {"validation_loss": sorted((step, loss) for step, loss in self._losses.items() if math.isfinite(loss))}

    def keep(self) -> tuple[Mapping[str, Any], dict[str, torch.Tensor]]:
        """Return the measurements and the best adapter, for a checkpoint."""
        losses = [[step, loss if math.isfinite(loss) else None] for step, loss in self._losses.items()]
        return {"losses": losses, "every": self._every}, dict(self._best)

    def restore(self, noted: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
        """Take over the measurements and the best adapter."""
        self._losses = {int(step): math.inf if loss is None else loss for step, loss in noted["losses"]}
        self._every, self._best = noted["every"], dict(tensors)

    def _look(self, model: Any, step: int) -> None:  # noqa: ANN401 - PEFT is not typed
        loss = held_out_loss(model, self._rows, batch_size=self._batch_size, pad=self._pad)
        self._losses[step] = loss if math.isfinite(loss) else math.inf
        if self.observe is not None and math.isfinite(loss):
            self.observe(step, {"validation_loss": loss})
        if self._patience is not None and self.best == step:
            self._best = {
                name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad
            }


def held_out_loss(model: Any, rows: Sequence[Encoded], *, batch_size: int, pad: int) -> float:  # noqa: ANN401
    """Return the mean negative log-likelihood of the rows' labelled tokens, in nats."""
    training, device = model.training, next(model.parameters()).device
    model.eval()
    total = count = 0.0
    try:
        with torch.no_grad():
            for start in range(0, len(rows), batch_size):
                batch = padded(rows[start : start + batch_size], pad, device)
                learned = int((batch["labels"][:, 1:] != IGNORED).sum())
                causal = model.get_base_model() if hasattr(model, "get_base_model") else model
                loss = answer_loss(model, batch) if is_plain(causal) else model(**batch).loss
                total += float(loss) * learned
                count += learned
    finally:
        model.train(training)
    return total / count if count else math.inf


def padded(rows: Sequence[Encoded], pad: int, device: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401
    """Return rows as one batch: `input_ids`, `labels` and `attention_mask` of shape (rows, longest)."""
    longest = max(len(row.input_ids) for row in rows)

    def filled(values: Sequence[int], filler: int) -> list[int]:
        return [*values, *[filler] * (longest - len(values))]

    return {
        "input_ids": torch.tensor([filled(row.input_ids, pad) for row in rows], device=device),
        "labels": torch.tensor([filled(row.labels, IGNORED) for row in rows], device=device),
        "attention_mask": torch.tensor([filled([1] * len(row.input_ids), 0) for row in rows], device=device),
    }
