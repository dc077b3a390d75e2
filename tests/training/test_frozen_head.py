"""The loss behind a head that does not learn is that of cross entropy, and so is the gradient."""

from __future__ import annotations

import pytest
import torch

from harness_stages import frozen_head
from harness_stages.frozen_head import is_frozen, weighted_loss


@pytest.mark.parametrize("most", [1, 3 * 4 * 50, 2**20])  # one position at once, three, and all
def test_loss_and_gradient_are_those_of_cross_entropy(monkeypatch, most):
    monkeypatch.setattr(frozen_head, "_BYTES", most)
    torch.manual_seed(0)
    hidden, head = torch.randn(7, 16, requires_grad=True), torch.randn(50, 16)
    targets, weights = torch.randint(0, 50, (7,)), torch.tensor([6.0, 6.0, 1.0, 1.0, 0.0, 6.0, 1.0])
    losses = torch.nn.functional.cross_entropy(hidden @ head.T, targets, reduction="none")
    expected = (losses * weights).sum()
    (slope,) = torch.autograd.grad(3 * expected, hidden)
    found = weighted_loss(hidden, head, targets, weights)
    (gradient,) = torch.autograd.grad(3 * found, hidden)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, slope, rtol=1e-4, atol=1e-4)


def test_only_a_plain_head_whose_weights_do_not_learn_is_frozen():
    head = torch.nn.Linear(4, 9, bias=False)
    assert not is_frozen(head)
    assert is_frozen(head.requires_grad_(requires_grad=False))
    assert not is_frozen(torch.nn.Linear(4, 9).requires_grad_(requires_grad=False))
    assert not is_frozen(torch.nn.Sequential(head))
