"""The pages and their addresses, so that every page can lead to every other one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from harness.errors import HarnessError

OVERVIEW, RUN, SAMPLES, DECISIONS = "overview", "run", "samples", "decisions"
_TITLES = {OVERVIEW: "Overview", RUN: "Run", SAMPLES: "Samples", DECISIONS: "Decisions"}


def _draw(name: str) -> None:
    from harness_report.app import failed
    from harness_report.pages import decisions, overview, run_page, samples_page

    drawing = {
        OVERVIEW: overview.draw, RUN: run_page.draw, SAMPLES: samples_page.draw, DECISIONS: decisions.draw,
    }  # fmt: skip
    try:
        drawing[name]()
    except HarnessError as error:
        failed(error)
    except Exception as error:  # noqa: BLE001 - a broken page must not take the others along
        failed(error)


def _overview() -> None:
    _draw(OVERVIEW)


def _run() -> None:
    _draw(RUN)


def _samples() -> None:
    _draw(SAMPLES)


def _decisions() -> None:
    _draw(DECISIONS)


_DRAWING: dict[str, Callable[[], None]] = {
    OVERVIEW: _overview, RUN: _run, SAMPLES: _samples, DECISIONS: _decisions,
}  # fmt: skip


def page(name: str) -> Any:  # noqa: ANN401 - a Streamlit page
    """Return a page by its name."""
    return st.Page(_DRAWING[name], title=_TITLES[name], url_path=name, default=name == OVERVIEW)


def all_pages() -> list[Any]:
    """Return the pages in the order of the navigation."""
    return [page(name) for name in _TITLES]


def link(name: str, label: str, **parameters: str) -> None:
    """Draw a link to a page; `label` is plain text that the caller passed through `markup.plain_label`."""
    st.page_link(page(name), label=label, query_params=parameters or None)
