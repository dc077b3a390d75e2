"""Watches a training: shows the loss as it goes, keeps it, and stops when it is not a number any more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from harness.api import BrokenRunError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.api import Progress, ProgressTask


class Watcher(TrainerCallback):  # type: ignore[misc]  # transformers is not typed here
    """A callback of the trainer.

    Args:
        progress: where bars are shown.
        description: the bar's text.
        device: named in the bar.
        also: what else the trainer logs and shall be kept: the figure's name by the log's.
    """

    def __init__(
        self, progress: Progress, description: str, device: str, *, also: Mapping[str, str] | None = None
    ) -> None:
        self._progress = progress
        self._description = f"{description} ({device})"
        self._task: ProgressTask | None = None
        self._also = dict(also or {})
        self._others: dict[str, list[float]] = {name: [] for name in self._also.values()}
        self._losses: list[float] = []
        self._shown = 0
        self.observe: Callable[[int, Mapping[str, float]], None] | None = None
        """Takes what was logged at a step, for tools that watch."""
        self.note = ""
        """From where training went on, and what was wrong with checkpoints."""
        self.resumed = 0
        """The step from which it went on."""

    def on_train_begin(self, args: object, state: Any, control: object, **_: object) -> None:  # noqa: ANN401, ARG002
        """Open the bar."""
        self._task = self._progress.start(self._description, state.max_steps, unit="steps")

    def on_log(
        self,
        args: object,  # noqa: ARG002
        state: Any,  # noqa: ANN401
        control: object,  # noqa: ARG002
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Note the loss of the step that ended."""
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        if not math.isfinite(loss):
            raise BrokenRunError(
                f"the loss became {loss} at step {state.global_step}, so no adapter was kept; lower learning_rate, or "
                "use dtype: float32"
            )
        self._losses.append(float(loss))
        seen = {"loss": float(loss)}
        for logged, name in self._also.items():
            value = (logs or {}).get(logged)
            if value is not None and math.isfinite(value):
                self._others[name].append(float(value))
                seen[name] = float(value)
        if self.observe is not None:
            self.observe(state.global_step, seen)
        if self._task is not None:
            self._task.advance(state.global_step - self._shown, note=f"loss {loss:.3f}")
        self._shown = state.global_step

    def keep(self) -> tuple[Mapping[str, Any], dict[str, Any]]:
        """Return what was logged, for a checkpoint."""
        return {"losses": self._losses, "others": self._others}, {}

    def restore(self, noted: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Take over what was logged before."""
        self._losses = list(noted["losses"])
        self._others = {name: list(values) for name, values in noted["others"].items()}

    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Return the loss and what else was kept, step by step."""
        named = {"loss": self._losses, **self._others}
        return {name: list(enumerate(values, 1)) for name, values in named.items() if values}

    def require_finite_weights(self, model: Any) -> None:  # noqa: ANN401 - PEFT is not typed
        """Refuse an adapter that the last step spoilt after its loss was measured.

        Raises:
            BrokenRunError: where a trained weight is infinite or not a number.
        """
        for name, weight in model.named_parameters():
            if weight.requires_grad and not bool(weight.isfinite().all()):
                raise BrokenRunError(f"training made {name} infinite, so no adapter was kept; lower learning_rate")

    def figures(self) -> dict[str, float]:
        """Return steps, and the mean loss (and what else is kept) of the first and of the last tenth of them."""
        figures = {"steps": float(len(self._losses))}
        if self.resumed:
            figures["resumed_from_step"] = float(self.resumed)
        for name, values in {"loss": self._losses, **self._others}.items():
            tenth = max(1, len(values) // 10)
            if values:
                figures[f"{name}_first"] = sum(values[:tenth]) / tenth
                figures[f"{name}_last"] = sum(values[-tenth:]) / tenth
        return figures

    def close(self) -> None:
        """Close the bar."""
        if self._task is not None:
            self._task.finish()
            self._task = None
