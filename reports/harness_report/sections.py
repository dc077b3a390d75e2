"""Plugins' sections below a run: text, tables and facts that they hand over, or what they draw with Streamlit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.reporting import Table
from harness_report import fragments
from harness_report.markup import Html, el

if TYPE_CHECKING:
    from harness.types import RunRecord
    from harness_report.canvas import Canvas
    from harness_report.source import Source

_LIVE_ONLY = "This section is drawn with Streamlit, and only `harness report` shows it. "
_INSTEAD = "Let its render return text, tables and mappings, and it stands here too."


def draw_sections(canvas: Canvas, source: Source, run: RunRecord) -> None:
    """Draw them in their order; one that breaks says so in its place."""
    if source.plugins is None:
        return
    for broken in source.plugins.broken:
        canvas.html(fragments.notice("warning", f"The plugin {broken.name} is broken: {broken.reason}"))
    for entry in source.plugins.registries.report_sections:
        canvas.heading(entry.value.title)
        try:
            shown = entry.value.render(run, source.root / "runs" / run.id)
            if shown is not None:
                canvas.html(*[_piece(one) for one in ([shown] if isinstance(shown, str | Mapping | Table) else shown)])
            elif not canvas.live:
                canvas.html(fragments.notice("info", _LIVE_ONLY + _INSTEAD))
        except Exception as error:  # noqa: BLE001 - one plugin's mistake must not cost the page
            said = f"The section of the plugin {entry.owner} failed: {type(error).__name__}: {error}"
            canvas.html(fragments.notice("error", said))


def _piece(shown: object) -> Html:
    if isinstance(shown, str):
        return el("div", str(shown), cls="hr-text")  # never as markup, whatever it says that it is
    if isinstance(shown, Mapping):
        return fragments.facts({str(name): str(value) for name, value in shown.items()})
    if isinstance(shown, Table):
        rows = [[str(cell) for cell in row] for row in shown.rows]
        return fragments.table([str(column) for column in shown.columns], rows)
    raise TypeError(f"a section gives text, a mapping or a Table, and not {type(shown).__name__}")
