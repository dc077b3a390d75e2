"""What a stage would take: from earlier trainings of the same kind here, else from `harness doctor --hardware`'s
measurement, else unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import base_shapes, processor_name
from harness.api.artifacts import artifacts
from harness.api.weights import weights_dir

if TYPE_CHECKING:
    from harness.api import Artifact
    from harness.api.workspace import Workspace

HARDWARE = "hardware.json"
PLANNED = "planned_tokens"
"""The figure of a record that tells how many tokens its workload had."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a stage would take; None is unknown."""

    rows: float | None = None
    tokens: float | None = None
    steps: float | None = None
    memory: float | None = None
    """Bytes."""
    minutes: float | None = None
    by: str = "unknown"
    """Where minutes and memory come from."""

    def sentence(self) -> str:
        """Say it in a line; empty where nothing is known of the stage at all."""
        if self.steps is None:
            return ""
        parts = [f"{self.rows:.0f} rows" if self.rows is not None else "", f"{self.steps:.0f} steps",
                 f"about {self.tokens:.3g} tokens" if self.tokens is not None else "",
                 "memory unknown" if self.memory is None else f"{self.memory / 2**30:.1f} GiB",
                 "minutes unknown (harness doctor --hardware measures)" if self.minutes is None
                 else f"about {self.minutes:.2g} minutes, {self.by}"]  # fmt: skip
        return ", ".join(filter(None, parts))


def forecast(workspace: Workspace, draft: Artifact, work: Mapping[str, float], folder: Path | None) -> Forecast:
    """Return what a stage would take.

    Args:
        workspace: with earlier trainings.
        draft: the record of what the stage would write: stage, base, options, device.
        work: `rows`, `tokens` and `steps` of the stage.
        folder: of the base's weights, if it is here.
    """
    tokens, steps = work.get("tokens"), work.get("steps")
    known = Forecast(rows=work.get("rows"), tokens=tokens, steps=steps)
    if not tokens or not steps:
        return known
    earlier = _earlier(workspace, draft)
    if earlier is not None:
        figures = earlier.figures
        return replace(
            known, memory=figures.get("peak_memory_bytes"), minutes=figures["seconds"] / figures[PLANNED] * tokens / 60,
            by=f"by {earlier.kind} {earlier.id}, trained here on this base",
        )  # fmt: skip
    measured = read_hardware(workspace)
    if measured is None or folder is None:
        return known
    parameters = float(sum(prod(shape) for shape in base_shapes(folder).values()))
    seconds = measured["flops_per_parameter_and_token"] * parameters * tokens / measured["training_flops"]
    return replace(
        known, memory=parameters * measured["bytes_per_parameter"] + 2**29,
        minutes=seconds / 60, by="by the measurement of harness doctor --hardware",
    )  # fmt: skip


def _earlier(workspace: Workspace, draft: Artifact) -> Artifact | None:
    """Return the newest training by the same stage on the same base and device, with the same size of a step."""
    same = (
        "batch_size",
        "batch_tokens",
        "gradient_accumulation",
        "max_length",
        "dtype",
        "r",
        "target_modules",
        "gradient_checkpointing",
        "samples",
        "max_new_tokens",
    )
    found = []
    for record, _ in artifacts(workspace):
        if (record.stage, record.inputs.get("base"), record.device) != (
            draft.stage, draft.inputs.get("base"), draft.device,
        ):  # fmt: skip
            continue
        if any(record.options.get(name) != draft.options.get(name) for name in same):
            continue
        figures = record.figures
        if figures.get("seconds") and figures.get(PLANNED) and not figures.get("resumed_from_step"):
            found.append(record)
    return max(found, key=lambda record: record.created, default=None)


def read_hardware(workspace: Workspace) -> Mapping[str, float] | None:
    """Return the stored measurement of this machine; None where there is none, or it is another machine's."""
    for folder in (workspace.root, weights_dir()):
        try:
            told = json.loads((folder / HARDWARE).read_text("utf-8"))
            if told["processor"] == processor_name():
                return {name: float(value) for name, value in told["figures"].items()}
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            continue
    return None
