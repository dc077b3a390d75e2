"""What was trained: the curves of each stage, such as its loss and what its monitors saw."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.store.artifacts import artifacts
from harness_report import fragments, reading
from harness_report.curves import curve_plot
from harness_report.figures import when
from harness_report.markup import el

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.types import Artifact
    from harness_report.canvas import Canvas
    from harness_report.source import Source

TITLE = "Training"
_MOST = 20
"""Stages that the exported file shows, the newest first."""
_TOGETHER = ("loss", "validation_loss")
"""Curves that share a plot."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """An artifact of the kind `curves`."""

    record: Artifact
    curves: Mapping[str, tuple[tuple[float, float], ...]]
    problem: str = ""


def draw(canvas: Canvas, source: Source) -> None:
    """Draw the page."""
    from harness_report.choosing import choose_part

    _show(canvas, choose_part(read(source.root), 5, key="training"))


def export(canvas: Canvas, source: Source) -> None:
    """Draw the newest ones."""
    _show(canvas, read(source.root)[:_MOST])


def read(root: Path) -> list[Trained]:
    """Return what was trained, the newest first."""
    found = []
    with reading.opened(root) as workspace:
        for record, folder in artifacts(workspace, "curves"):
            try:
                given = json.loads((folder / "curves.json").read_text(encoding="utf-8"))["curves"]
                curves = {str(name): tuple(map(_point, points)) for name, points in given.items() if points}
            except (OSError, ValueError, KeyError, TypeError, AttributeError, HarnessError) as error:
                found.append(Trained(record=record, curves={}, problem=f"cannot be read ({type(error).__name__})"))
                continue
            found.append(Trained(record=record, curves=curves))
    return sorted(found, key=lambda one: one.record.created, reverse=True)


def _point(given: Sequence[float]) -> tuple[float, float]:
    step, value = (float(number) for number in given)
    if not (math.isfinite(step) and math.isfinite(value)):
        raise ValueError("is no number")
    return step, value


def _show(canvas: Canvas, found: Sequence[Trained]) -> None:
    canvas.html(el("h1", TITLE, cls="hr-title"))
    if not found:
        canvas.html(fragments.notice("info", "Nothing was trained yet. ", fragments.command("harness train RECIPE")))
    for one in found:
        made = " and ".join(f"{kind} {identity}" for kind, identity in sorted(one.record.outputs.items()))
        with canvas.card():
            canvas.html(
                el("div", el("span", f"{one.record.recipe} · {one.record.stage}", cls="hr-gate-title"),
                   el("span", f"{when(one.record.created)} · {made}", cls="hr-dim hr-small"), cls="hr-gate-head"),
            )  # fmt: skip
            if one.problem:
                canvas.html(fragments.notice("error", one.problem))
            together = {name: one.curves[name] for name in _TOGETHER if name in one.curves}
            plots = [together] if together else []
            plots += [{name: points} for name, points in one.curves.items() if name not in _TOGETHER]
            for start in range(0, len(plots), 3):
                row = plots[start : start + 3]
                for frame, curves in zip(canvas.columns(*[1] * len(row)), row, strict=True):
                    with frame:
                        canvas.html(curve_plot(curves))
