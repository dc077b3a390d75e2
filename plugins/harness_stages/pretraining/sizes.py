"""Shapes of decoders from scratch, and what training them takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Size:
    """A Llama-shaped decoder with tied embeddings."""

    layers: int
    heads: int
    groups: int
    """Heads of keys and values."""
    hidden: int
    feed_forward: int
    context: int
    """Tokens."""
    learning_rate: float
    """The peak; smaller for larger models, as in table 2.1 of arXiv 2005.14165."""

    def parameters(self, vocabulary: int) -> int:
        """Count the weights, embeddings once."""
        head = self.hidden // self.heads
        attention = 2 * self.hidden * self.hidden + 2 * self.hidden * head * self.groups
        layer = attention + 3 * self.hidden * self.feed_forward + 2 * self.hidden
        return vocabulary * self.hidden + self.layers * layer + self.hidden


SIZES: Mapping[str, Size] = {
    "nano": Size(layers=4, heads=4, groups=4, hidden=192, feed_forward=512, context=128, learning_rate=3e-3),
    "micro": Size(layers=12, heads=12, groups=12, hidden=768, feed_forward=2048, context=1024, learning_rate=6e-4),
    "small": Size(layers=24, heads=16, groups=16, hidden=1024, feed_forward=4096, context=2048, learning_rate=3e-4),
    "medium": Size(layers=24, heads=16, groups=16, hidden=1536, feed_forward=4096, context=2048, learning_rate=2.5e-4),
    "large": Size(layers=22, heads=32, groups=8, hidden=2048, feed_forward=5632, context=2048, learning_rate=2e-4),
}


def training_flops(parameters: int, tokens: int, *, again: bool) -> float:
    """Return the floating-point operations of a training: 6 per weight and token (arXiv 2001.08361), 8 where
    activations are computed again in the backward pass."""
    return (8.0 if again else 6.0) * parameters * tokens


def training_bytes(size: Size, vocabulary: int, *, batch_size: int, context: int, mixed: bool, again: bool) -> float:
    """Return an estimate of a training's memory in bytes.

    Weights, gradients and two moments of AdamW in float32 (16 bytes a weight), activations of about 34 numbers per
    hidden unit, token and layer (arXiv 2205.05198, without the attention's square, which is not stored) or 2 where they
    are computed again, and logits with their gradients.

    Args:
        size: of the model.
        vocabulary: tokens.
        batch_size: rows of a forward pass.
        context: tokens of a row.
        mixed: activations in two bytes instead of four.
        again: gradient checkpointing.
    """
    tokens, width = batch_size * context, 2 if mixed else 4
    activations = tokens * size.hidden * size.layers * (2 if again else 34) * width
    return 16.0 * size.parameters(vocabulary) + activations + tokens * vocabulary * (4 + 4 + width)
