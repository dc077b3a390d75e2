"""Loss curves of stages, kept as artifacts beside what the stages wrote."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.api.artifacts import keep_artifact

if TYPE_CHECKING:
    from harness.api import Artifact
    from harness.api.workspace import Workspace

KIND = "curves"
Curves = Mapping[str, Sequence[tuple[int, float]]]


def keep_curves(workspace: Workspace, made: Artifact, curves: Curves) -> Artifact:
    """Keep a stage's curves as an artifact of the same work as what the stage wrote.

    Args:
        workspace: where.
        made: the record of what the stage wrote, with its `outputs`.
        curves: (step, value) by name; values that are no numbers are left out.
    """
    points = {name: [[step, value] for step, value in some if math.isfinite(value)] for name, some in curves.items()}
    content = {"recipe": made.recipe, "stage": made.stage, "of": dict(made.outputs), "curves": points}
    record = replace(
        made, kind=KIND, key="", inputs={}, outputs=dict(made.outputs), figures={}, options={"seed": made.seed},
    )  # fmt: skip
    return keep_artifact(workspace, record, {"curves.json": (json.dumps(content) + "\n").encode()})
