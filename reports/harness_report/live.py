"""Pages in the browser, through Streamlit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from harness_report.markup import Html, el, plain_label

if TYPE_CHECKING:
    from collections.abc import Mapping


class LiveCanvas:
    """Draws where Streamlit's script is.

    Args:
        pages: Streamlit's pages by name, for links.
    """

    live = True

    def __init__(self, pages: Mapping[str, Any]) -> None:
        self._pages = pages

    def html(self, *pieces: str | Html) -> None:
        """Draw markup."""
        st.html(el("div", *pieces, cls="hr-page"))

    def heading(self, title: str) -> None:
        """Draw a heading."""
        st.subheader(plain_label(title), anchor=False)

    def card(self) -> Any:  # noqa: ANN401 - a Streamlit container, as below
        """Return a bordered container."""
        return st.container(border=True)

    def fold(self, title: str) -> Any:  # noqa: ANN401
        """Return an expander."""
        return st.expander(plain_label(title))

    def columns(self, *shares: float) -> Any:  # noqa: ANN401
        """Return columns."""
        return st.columns(shares, vertical_alignment="center")

    def link(self, page: str, label: str, **where: str) -> None:
        """Draw a page link."""
        st.page_link(self._pages[page], label=plain_label(label), query_params=where or None)
