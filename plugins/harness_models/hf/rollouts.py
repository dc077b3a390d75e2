"""Answers of a model that somebody else holds, such as one in training, by the engine."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from harness_models.hf.chat import Renderer
from harness_models.hf.device import Placement
from harness_models.hf.generation import Ask, Generated, generate
from harness_models.hf.loading import loaded_of
from harness_models.hf.memory import budget_for
from harness_models.hf.probing import probe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.api import Decoding
    from harness_models.hf.batching import Budget
    from harness_models.hf.loading import Loaded

__all__ = ["Rollouts"]


class Rollouts:
    """Continues prompts with a causal language model and the adapter that is on it, as they stand when asked.

    What a row says depends on its prompt, seed and draw alone, never on torch's generators, so that training is not
    touched by being asked, and a training that goes on from a checkpoint says the same.

    Args:
        model: of transformers, or a PEFT model around one, whose adapter is active.
        tokenizer: its tokenizer.
        device: where it is.
        dtype: of the base.
    """

    def __init__(self, model: Any, tokenizer: Any, *, device: str, dtype: str) -> None:  # noqa: ANN401
        self._whole = model
        causal = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._loaded = loaded_of(causal, tokenizer, Placement(device=device, dtype=dtype))
        self._decode = Renderer(tokenizer, "none").decode
        self._budget: Budget | None = None

    def __call__(
        self, prompts: Sequence[Sequence[int]], decoding: Decoding, *, draws: Sequence[int] | None = None
    ) -> list[Generated]:
        """Continue each prompt of token ids; `draws` tells apart equal prompts, by default all are draw 0.

        Raises:
            MemoryError: where memory does not suffice for one row.
            InputError: where the architecture cannot generate here.
        """
        found: dict[int, Generated | None] = {}
        asks = [
            Ask(prompt=tuple(prompt), decoding=decoding, room=self._room(len(prompt), decoding), draw=draw)
            for prompt, draw in zip(prompts, draws or [0] * len(prompts), strict=True)
        ]
        with self._evaluating() as loaded:
            if self._budget is None:
                self._budget = budget_for(loaded)
            generate(loaded, asks, self._budget, self._decode, found.__setitem__)
        done = [found[index] for index in range(len(asks))]
        if any(one is None for one in done):
            raise MemoryError("memory does not suffice for one answer")
        return [one for one in done if one is not None]

    def entropy(self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> float:
        """Return the mean entropy of the next token's distribution where the answers' tokens stand, in nats."""
        import torch

        total = count = 0.0
        with self._evaluating() as loaded, torch.inference_mode():
            for prompt, answer in zip(prompts, answers, strict=True):
                if not answer:
                    continue
                hidden = loaded.hidden(loaded.tensor([[*prompt, *answer[:-1]]]))[0, len(prompt) - 1 :]
                logs = loaded.logits(hidden).log_softmax(dim=-1)
                total += float(-(logs.exp() * logs).sum())
                count += len(answer)
        return total / count if count else 0.0

    def _room(self, taken: int, decoding: Decoding) -> int:
        return max(1, min(decoding.max_new_tokens, self._loaded.window - taken))

    @contextmanager
    def _evaluating(self) -> Iterator[Loaded]:
        """Switch dropout off, and find out once which of the engine's ways the architecture allows."""
        import torch

        training = self._whole.training
        self._whole.eval()
        try:
            if self._budget is None:
                with torch.inference_mode():
                    probe(self._loaded)
            yield self._loaded
        finally:
            self._whole.train(training)
