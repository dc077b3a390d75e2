"""Callbacks that watch a training for collapse, end it outside the limits, and put the last good weights back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from harness.api import BrokenRunError, Decoding, InputError
from harness_stages.collapse import Signs, measure_texts
from harness_stages.encoding import IGNORED

if TYPE_CHECKING:
    from harness_stages.collapse import StopIf
    from harness_stages.encoding import Encoded
    from harness_stages.served import Rollouts

_FIRST = 3
"""Steps of reinforcement learning that later ones are compared with."""
Look = Callable[[Any], Mapping[str, float]]
"""Measures a model."""


class Monitor(TrainerCallback):  # type: ignore[misc]  # transformers is not typed here
    """A callback of the trainer that measures before the first step, now and then, and after the last.

    Args:
        limits: of the stage.
        look: what is measured.
        every: optimizer steps between two evaluation points; None takes a tenth of all.
    """

    def __init__(self, limits: StopIf, look: Look, *, every: int | None, first: int = 1) -> None:
        self.signs, self._look, self._every = Signs(limits, first=first), look, every
        self._good: dict[str, torch.Tensor] = {}
        self.observe: Callable[[int, Mapping[str, float]], None] | None = None
        """Takes what was measured, for tools that watch."""
        self.stopped_at: int | None = None
        self.why = ""

    def on_train_begin(self, args: object, state: Any, control: object, **given: Any) -> None:  # noqa: ANN401, ARG002
        """Measure before the first step.

        Raises:
            BrokenRunError: where a limit is broken before anything was learned.
        """
        self._every = self._every or max(1, state.max_steps // 10)
        self._measure(given["model"], 0)
        if self.why:
            raise BrokenRunError(f"stop_if ends the stage before its first step: {self.why}; nothing was kept")

    def on_step_end(self, args: object, state: Any, control: Any, **given: Any) -> None:  # noqa: ANN401, ARG002
        """Measure where it is due, and end training beyond a limit."""
        if not state.global_step % (self._every or 1) and not self.why:
            self._measure(given["model"], state.global_step)
            control.should_training_stop = control.should_training_stop or bool(self.why)

    def on_train_end(self, args: object, state: Any, control: object, **given: Any) -> None:  # noqa: ANN401, ARG002
        """Measure the end, and put back the weights of the last evaluation point within the limits."""
        if self.stopped_at is None and state.global_step % (self._every or 1):
            self._measure(given["model"], state.global_step)
        self._put_back(given["model"])

    def _measure(self, model: Any, step: int) -> None:  # noqa: ANN401 - PEFT is not typed
        values = self._look(model)
        self.signs.note(step, values)
        if self.observe is not None:
            self.observe(step, dict(values))
        self.why = self.signs.breach()
        if self.why:
            self.stopped_at = step
        elif self.signs.limited:
            self._good = trained_weights(model)

    def _put_back(self, model: Any) -> None:  # noqa: ANN401 - PEFT is not typed
        if self.stopped_at is not None:
            weights = dict(model.named_parameters())
            with torch.no_grad():
                for name, kept in self._good.items():
                    weights[name].copy_(kept)

    @property
    def note(self) -> str:
        """Where training was stopped, and why; empty where it was not."""
        return f"stopped at step {self.stopped_at}: {self.why}" if self.why else ""

    def keep(self) -> tuple[Mapping[str, Any], dict[str, torch.Tensor]]:
        """Return what was seen, and the last weights within the limits, for a checkpoint."""
        return {"seen": self.signs.seen, "every": self._every}, dict(self._good)

    def restore(self, noted: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
        """Take over what was seen."""
        self.signs.seen = {
            name: [(int(step), float(value)) for step, value in points] for name, points in noted["seen"].items()
        }
        self._every, self._good = noted["every"], dict(tensors)

    def figures(self) -> dict[str, float]:
        """Return what was measured first and last, and where training was stopped."""
        figures = self.signs.figures()
        return figures if self.stopped_at is None else figures | {"stopped_at": float(self.stopped_at)}

    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Return what was measured, by name."""
        return self.signs.curves()


class StepMonitor(Monitor):
    """Watches each step of reinforcement learning, whose answers the trainer draws anyway.

    Args:
        limits: of the stage.
    """

    def __init__(self, limits: StopIf) -> None:
        super().__init__(limits, lambda _: {}, every=1, first=_FIRST)
        self._now: dict[str, float] = {}
        self._before: dict[str, torch.Tensor] = {}

    def see(self, texts: Sequence[str], lengths: Sequence[int]) -> None:
        """Take note of a step's answers, with their lengths in tokens."""
        self._now = measure_texts(texts, lengths)

    def on_train_begin(self, args: object, state: Any, control: object, **given: Any) -> None:  # noqa: ANN401
        """Measure nothing: the first step does."""

    def on_step_begin(self, args: object, state: object, control: object, **given: Any) -> None:  # noqa: ANN401, ARG002
        """Keep the adapter as it stands before the step: what the step's answers are written with."""
        if self.signs.limited and self.stopped_at is None:
            self._before = trained_weights(given["model"])

    def on_step_end(self, args: object, state: Any, control: Any, **given: Any) -> None:  # noqa: ANN401
        """Wait for the trainer's log, which has the KL divergence."""

    def on_log(
        self,
        args: object,  # noqa: ARG002
        state: Any,  # noqa: ANN401
        control: Any,  # noqa: ANN401
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Look at the step that ended."""
        told = {name: float(logs[name]) for name in ("kl", "entropy") if name in logs} if logs else {}
        if self.stopped_at is not None or "loss" not in (logs or {}):
            return
        self.signs.note(state.global_step, self._now | told | {"self_generated": 1.0})
        self.why = self.signs.breach()
        if self.why:
            self.stopped_at = state.global_step
            control.should_training_stop = True
        else:
            self._good = self._before

    def on_train_end(self, args: object, state: object, control: object, **given: Any) -> None:  # noqa: ANN401, ARG002
        """Put back the adapter that wrote the last answers within the limits."""
        self._put_back(given["model"])


def trained_weights(model: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401 - PEFT is not typed
    """Return a copy of the weights that are trained, by name."""
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}


class Answers:
    """What a model's answers to some prompts look like.

    Args:
        rollouts: continues prompts with the model in training.
        rows: whose prompts are answered; equal ones once.
        count: prompts at most.
        decoding: of the answers.
    """

    def __init__(self, rollouts: Rollouts, rows: Sequence[Encoded], *, count: int, tokens: int, seed: int) -> None:
        self._rollouts = rollouts
        prompts = dict.fromkeys(tuple(row.input_ids[: _answer_at(row)]) for row in rows)
        self._prompts = list(prompts)[:count]
        self._decoding = Decoding(max_new_tokens=tokens, temperature=1.0, seed=seed)
        self.trouble = ""

    def __call__(self) -> dict[str, float]:
        """Answer, and return length, distinct-1 and -2, repetition and entropy."""
        if not self._prompts or self.trouble:
            return {}
        try:
            found = self._rollouts(self._prompts, self._decoding)
        except (InputError, MemoryError) as error:
            self.trouble = f"answers were not watched: {error}"
            return {}
        measured = measure_texts([one.text for one in found], [len(one.ids) for one in found])
        return measured | {"entropy": self._rollouts.entropy(self._prompts, [one.ids for one in found])}


def _answer_at(row: Encoded) -> int:
    return next(index for index, label in enumerate(row.labels) if label != IGNORED)
