"""Puts together what is watched of a language model in training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness_stages.encoding import Encoded
    from harness_stages.loading import Where
    from harness_stages.monitors import Monitor
    from harness_stages.tuning import MonitorOptions
    from harness_stages.validating import Validation


@dataclass(frozen=True, kw_only=True)
class Monitored:
    """What is watched, and by which options."""

    rows: Sequence[Encoded]
    """Whose prompts are answered: held out ones, or those learned from."""
    options: MonitorOptions
    seed: int
    generated: float
    """Share of the rows learned from that a model wrote."""


def monitor_of(
    model: Any,  # noqa: ANN401 - PEFT is not typed
    tokenizer: Any,  # noqa: ANN401 - transformers is not typed
    where: Where, given: Monitored, *, validation: Validation | None = None, held_out: Sequence[Encoded] = (),
) -> Monitor:  # fmt: skip
    """Return the callback that watches a language model.

    Args:
        model: with its adapter.
        tokenizer: its tokenizer.
        where: device and number format.
        given: what is watched.
        validation: measures the held-out loss at the same steps, and is called before.
        held_out: rows whose perplexity is measured, where there is no `validation`.
    """
    from harness_stages.monitors import Answers, Monitor
    from harness_stages.served import make_rollouts
    from harness_stages.validating import held_out_loss

    options = given.options
    answers = Answers(
        make_rollouts(model, tokenizer, device=where.device, dtype=where.dtype), given.rows,
        count=options.monitored_prompts, tokens=options.monitored_tokens, seed=given.seed,
    )  # fmt: skip
    pad = int(tokenizer.pad_token_id)

    def look(model: Any) -> dict[str, float]:  # noqa: ANN401
        found = {"self_generated": given.generated}
        if validation is not None:
            found["perplexity"] = _exp(validation.last)
        elif held_out:
            found["perplexity"] = _exp(held_out_loss(model, held_out, batch_size=8, pad=pad))
        return found | answers()

    return Monitor(options.stop_if, look, every=options.evaluate_every)


def _exp(loss: float) -> float:
    return math.exp(loss) if loss < 700 else math.inf
