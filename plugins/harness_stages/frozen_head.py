"""The loss behind a head that is not trained: its gradient is found with it, and no logits are kept."""

from __future__ import annotations

from typing import Any

import torch

_BYTES = 24 * 2**20
"""Of logits held at once in float32: glibc hands out more than 32 MiB anew each time, and pages must be cleared."""


def is_frozen(head: Any) -> bool:  # noqa: ANN401 - of torch, or of peft around it
    """Tell whether the head is one product with weights that do not learn."""
    return type(head) is torch.nn.Linear and getattr(head, "bias", None) is None and not head.weight.requires_grad


def weighted_loss(
    hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Return the weighted sum of the targets' negative log-likelihoods, in nats; only `hidden` gets a gradient.

    Args:
        hidden: shape (positions, width).
        head: shape (vocabulary, width).
        targets: token ids, shape (positions,).
        weights: shape (positions,), at least 0.
    """
    total: torch.Tensor = _Loss.apply(hidden, head, targets, weights)  # type: ignore[no-untyped-call]
    return total


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor  # noqa: ANN401
    ) -> torch.Tensor:  # fmt: skip
        total = hidden.new_zeros((), dtype=torch.float32)
        gradient = torch.empty_like(hidden)
        size = max(1, _BYTES // (4 * head.shape[0]))
        for begin in range(0, len(targets), size):
            part = slice(begin, begin + size)
            logits = (hidden[part] @ head.T).float()
            chosen, share = targets[part, None], weights[part].float()
            norm = logits.logsumexp(dim=1)
            total += ((norm - logits.gather(1, chosen)[:, 0]) * share).sum()
            # d loss / d logits = weight · (softmax − one at the target)
            slope = logits.sub_(norm[:, None]).exp_().mul_(share[:, None])
            slope.scatter_add_(1, chosen, -share[:, None])
            gradient[part] = slope.to(head.dtype) @ head
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401
        (gradient,) = ctx.saved_tensors
        return gradient * slopes[0].to(gradient.dtype), None, None, None
