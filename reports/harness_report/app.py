"""The frame around every page: style, navigation, and what is said where the workspace cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from harness.errors import HarnessError
from harness_report.cached import CachedSource
from harness_report.live import LiveCanvas
from harness_report.markup import Html, el
from harness_report.pages import PAGES
from harness_report.style import style_sheet

if TYPE_CHECKING:
    from collections.abc import Callable

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
    st.html(Html(f"<style>{style_sheet()}{_FRAME}</style>"))
    st.logo(_LOGO)
    st.navigation(list(streamlit_pages().values()), position="top").run()
    st.html(el("div", f"workspace {CachedSource().root}", cls="hr-page hr-dim hr-small"))


def streamlit_pages() -> dict[str, Any]:
    """Return Streamlit's page objects by name, in the order of the navigation; the first is where one arrives."""
    return {
        name: st.Page(_drawing(name), title=page.TITLE, url_path=name, default=name == next(iter(PAGES)))
        for name, page in PAGES.items()
    }


def _drawing(name: str) -> Callable[[], None]:
    def drawing() -> None:
        draw(name)

    return drawing


def draw(name: str) -> None:
    """Draw one page, or say in one sentence why it cannot be drawn."""
    asked = st.query_params.get("run", "")
    st.set_page_config(page_title=" · ".join([PAGES[name].TITLE, *([asked] if asked else []), "harness report"]))
    canvas = LiveCanvas(streamlit_pages())
    try:
        PAGES[name].draw(canvas, CachedSource())
    except Exception as error:  # noqa: BLE001 - a broken page must not take the others along
        expected = isinstance(error, HarnessError)
        said = str(error) if expected else f"{type(error).__name__}: {error}"
        more = "" if expected else " This is a defect of harness or of a plugin."
        canvas.html(el("div", said, more, cls="hr-notice hr-notice-error", role="alert"))
