"""The frame around every page: style, navigation, and what is said where the workspace cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from harness_report import cached
from harness_report.links import DECISIONS, DRAWING, OVERVIEW, RUN, SAMPLES, all_pages
from harness_report.markup import Html, el, text
from harness_report.pages import decisions, overview, run_page, samples_page

_FRAME = """
.stHeading h3 { font-size: 1.25rem; }
.stMainBlockContainer { max-width: 1240px; padding-top: 4.4rem; }
[data-testid="stPageLink"] a { padding: .1rem 0; background: none; }
[data-testid="stPageLink"] a p { color: light-dark(#1f5fbf, #79b8ff); }
[data-testid="stPageLink"] a:hover p { text-decoration: underline; }
"""
_LOGO = """<svg xmlns="http://www.w3.org/2000/svg" width="150" height="32" viewBox="0 0 150 32">
<path d="M5 16 L14 7 L23 16 L14 25 Z" fill="none" stroke="#3b7dd8" stroke-width="3" stroke-linejoin="round"/>
<path d="M10.5 16 L13.2 18.8 L18 13.4" fill="none" stroke="#3b7dd8" stroke-width="2.4" stroke-linecap="round"
 stroke-linejoin="round"/>
<text x="33" y="22" font-family="system-ui, sans-serif" font-size="18" font-weight="600" fill="#7d8694">harness</text>
</svg>"""


def main() -> None:
    """Draw the page that the address names."""
    st.set_page_config(page_title="harness report", page_icon="◇", layout="wide")
    style()
    st.logo(_LOGO)
    st.navigation(all_pages(), position="top").run()
    st.html(el("div", f"workspace {cached.root()}", cls="hr-page hr-dim hr-small"))


def style() -> None:
    """Add the report's style sheet, the same that the export carries."""
    css = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
    st.html(Html(f"<style>{css}{_FRAME}</style>"))


def failed(error: Exception) -> None:
    """Say what cannot be shown, in one sentence."""
    known = type(error).__module__ == "harness.errors" or hasattr(error, "exit_code")
    said = str(error) if known else f"{type(error).__name__}: {error}"
    more = "" if known else " This is a defect of harness or of a plugin."
    st.html(el("div", text(said), more, cls="hr-notice hr-notice-error", role="alert"))


def _guarded(name: str, draw: Callable[[], None]) -> Callable[[], None]:
    def drawn() -> None:
        try:
            draw()
        except Exception as error:  # noqa: BLE001 - a broken page must not take the others along
            failed(error)

    drawn.__name__ = name
    return drawn


for _name, _draw in (
    (OVERVIEW, overview.draw), (RUN, run_page.draw), (SAMPLES, samples_page.draw), (DECISIONS, decisions.draw),
):  # fmt: skip
    DRAWING[_name] = _guarded(_name, _draw)
