"""A batch's parts at the same time, each by threads of its own.

The products of a small model are too small for torch to gain by several threads in each. The parts' gradients are added
in their order, whoever is done first, so that a step is the same each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import torch

LEAST = 4
"""Rows of a part."""
Loss = Callable[[dict[str, torch.Tensor]], torch.Tensor]
"""What a part adds to the batch's loss."""


def count_parts(rows: int, threads: int) -> int:
    """Return into how many parts a batch is split; 1 where that gains nothing."""
    return max(1, min(threads, rows // LEAST))


def loss_of_parts(model: torch.nn.Module, inputs: dict[str, torch.Tensor], loss: Loss, parts: int) -> torch.Tensor:
    """Return the sum of the parts' losses, whose gradients are known already.

    Args:
        model: whose weights learn.
        inputs: of the batch, each of as many rows.
        loss: of a part.
        parts: how many, at most as many as rows and threads.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    split = [torch.tensor_split(one, parts) for one in inputs.values()]
    threads = torch.get_num_threads()

    def step(part: Sequence[torch.Tensor]) -> tuple[torch.Tensor, tuple[torch.Tensor | None, ...]]:
        torch.set_num_threads(threads // parts)
        with torch.enable_grad():
            found = loss(dict(zip(inputs, part, strict=True)))
            return found.detach(), torch.autograd.grad(found, weights, allow_unused=True)

    try:
        with ThreadPoolExecutor(parts) as pool:
            steps = [pool.submit(copy_context().run, step, part) for part in zip(*split, strict=True)]
            found = [one.result() for one in steps]
    finally:
        torch.set_num_threads(threads)  # torch hands the last number that anybody set to threads that are new
    total = torch.stack([one for one, _ in found]).sum()
    gradients = [_sum(column) for column in zip(*(each for _, each in found), strict=True)]
    known: torch.Tensor = _Known.apply(total, gradients, *weights)  # type: ignore[no-untyped-call]
    return known


def _sum(gradients: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    found = [one for one in gradients if one is not None]
    return sum(found[1:], start=found[0]) if found else None


class _Known(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, loss: torch.Tensor, gradients: Sequence[torch.Tensor | None], *_: torch.Tensor  # noqa: ANN401
    ) -> torch.Tensor:  # fmt: skip
        ctx.gradients = gradients
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401
        scaled = (None if one is None else one * slopes[0].to(one.dtype) for one in ctx.gradients)
        return None, None, *scaled
