"""Signs that a model games its reward: answers that grow or shrink, repeat themselves, or leave the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

if TYPE_CHECKING:
    from harness_stages.rlaif import Limits

_FIRST = 3
"""Steps that later ones are compared with."""


def distinct_share(texts: Sequence[str], n: int = 2) -> float:
    """Return the share of distinct word n-grams among all of some texts (distinct-n, arXiv 1510.03055), in [0, 1]."""
    grams = [tuple(words[at : at + n]) for words in map(str.split, texts) for at in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0


class Monitor(TrainerCallback):  # type: ignore[misc]  # transformers is not typed here
    """A callback of the trainer that watches each step's answers, and ends training outside the limits.

    Args:
        limits: of the stage.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lengths: list[float] = []
        self._distinct: list[float] = []
        self._kl: list[float] = []
        self._good: dict[str, torch.Tensor] = {}
        self.stopped_at: int | None = None
        self.why = ""

    def see(self, texts: Sequence[str], lengths: Sequence[int]) -> None:
        """Take note of a step's answers, with their lengths in tokens."""
        self._lengths.append(sum(lengths) / len(lengths))
        self._distinct.append(distinct_share(texts))

    def on_step_begin(self, args: object, state: object, control: object, **given: Any) -> None:  # noqa: ANN401, ARG002
        """Keep the adapter as it stands before the step: what the step's answers are written with."""
        if self._limits.model_fields_set and self.stopped_at is None:
            self._before = {
                name: weight.detach().clone()
                for name, weight in given["model"].named_parameters()
                if weight.requires_grad
            }

    def on_log(
        self,
        args: object,  # noqa: ARG002
        state: Any,  # noqa: ANN401
        control: Any,  # noqa: ANN401
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Look at the step that ended."""
        kl = (logs or {}).get("kl")
        if kl is not None:
            self._kl.append(float(kl))
        if self.stopped_at is not None or not self._limits.model_fields_set:
            return
        self.why = self._breach()
        if self.why:
            self.stopped_at = state.global_step
            control.should_training_stop = True
        else:
            self._good = self._before

    def on_train_end(self, args: object, state: object, control: object, **given: Any) -> None:  # noqa: ANN401, ARG002
        """Put back the adapter that wrote the last answers within the limits."""
        if self.stopped_at is None:
            return
        weights = dict(given["model"].named_parameters())
        with torch.no_grad():
            for name, kept in self._good.items():
                weights[name].copy_(kept)

    def _breach(self) -> str:
        """Say which limit the last step's answers are beyond; empty where none."""
        limits = self._limits
        if limits.kl is not None and self._kl and self._kl[-1] > limits.kl:
            return f"the KL divergence from the reference was {self._kl[-1]:.3g} nats per token"
        first, last = _first_and_last(self._lengths)
        ratio = max(last, 1e-9) / max(first, 1e-9)
        if limits.length is not None and max(ratio, 1 / ratio) > limits.length:
            return f"answers had {last:.0f} tokens, and {first:.0f} at first"
        first, last = _first_and_last(self._distinct)
        if limits.distinct is not None and last < limits.distinct * first:
            return f"{last:.0%} of the answers' word pairs were distinct, and {first:.0%} at first"
        return ""

    def keep(self) -> tuple[Mapping[str, Any], dict[str, torch.Tensor]]:
        """Return what was seen, and the last adapter within the limits, for a checkpoint."""
        seen = {"lengths": self._lengths, "distinct": self._distinct, "kl": self._kl}
        return seen, dict(self._good)

    def restore(self, noted: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
        """Take over what was seen."""
        self._lengths, self._distinct, self._kl = (list(noted[name]) for name in ("lengths", "distinct", "kl"))
        self._good = dict(tensors)

    def figures(self) -> dict[str, float]:
        """Return lengths, distinct-2 and their drift, the largest KL, and where training was stopped."""
        (length, length_last), (distinct, distinct_last) = map(_first_and_last, (self._lengths, self._distinct))
        figures = {
            "length_first": length, "length_last": length_last, "length_drift": length_last / max(length, 1e-9),
            "distinct_2_first": distinct, "distinct_2_last": distinct_last,
        }  # fmt: skip
        if self._kl:
            figures["kl_largest"] = max(self._kl)
        return figures if self.stopped_at is None else figures | {"stopped_at": float(self.stopped_at)}


def _first_and_last(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 0.0
    first = values[:_FIRST]
    return sum(first) / len(first), values[-1]
