"""The pages and their addresses, so that every page can lead to every other one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

OVERVIEW, RUN, SAMPLES, DECISIONS = "overview", "run", "samples", "decisions"
_TITLES = {OVERVIEW: "Overview", RUN: "Run", SAMPLES: "Samples", DECISIONS: "Decisions"}


DRAWING: dict[str, Callable[[], None]] = {}
"""What draws each page; `harness_report.app` fills it, since pages themselves lead to each other by `link`."""


def page(name: str) -> Any:  # noqa: ANN401 - a Streamlit page
    """Return a page by its name."""
    return st.Page(DRAWING[name], title=_TITLES[name], url_path=name, default=name == OVERVIEW)


def all_pages() -> list[Any]:
    """Return the pages in the order of the navigation."""
    return [page(name) for name in _TITLES]


def link(name: str, label: str, **parameters: str) -> None:
    """Draw a link to a page; `label` is plain text that the caller passed through `markup.plain_label`."""
    st.page_link(page(name), label=label, query_params=parameters or None)
