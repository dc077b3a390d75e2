"""The pages by name, in the order of the navigation. A page is a module with

- `TITLE`, and `draw(canvas, source)`, which draws it in the browser: what to choose, with Streamlit's widgets, and then
  what was chosen;
- `export(canvas, source)`, which draws it into the exported file, or `export_run(canvas, source, run, most)`, which
  draws it for each run; `most` is the most samples to show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness_report.canvas import DECISIONS, OVERVIEW, REVISIONS, RUN, SAMPLES, TRAINING
from harness_report.pages import decisions, overview, revisions, run_page, samples_page, training

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGES: Mapping[str, Any] = {
    OVERVIEW: overview, RUN: run_page, SAMPLES: samples_page, DECISIONS: decisions, REVISIONS: revisions,
    TRAINING: training,
}  # fmt: skip
