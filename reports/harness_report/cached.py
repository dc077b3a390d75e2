"""Reading that Streamlit remembers: keyed by what changes when the files do, and shared by all visitors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st

from harness.plugins import Plugins, load_plugins
from harness_report.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable

WORKSPACE, PLUGINS = "HARNESS_REPORT_WORKSPACE", "HARNESS_REPORT_PLUGINS"
"""What `harness report` hands over in the environment: a folder, and a JSON list as for -p."""
T = TypeVar("T")


def _answer(root: str, what: str, key: tuple[object, ...], _read: Callable[[], Any]) -> Any:  # noqa: ANN401, ARG001
    return _read()


# Records are frozen, so that every visitor may share the same ones; an index is as large as its run.
_few: Callable[..., Any] = st.cache_resource(max_entries=8, show_spinner="Reading samples …")(_answer)
_many: Callable[..., Any] = st.cache_resource(max_entries=64, show_spinner=False)(_answer)
_plugins: Callable[..., Any] = st.cache_resource(max_entries=4, show_spinner=False)(load_plugins)


class CachedSource(Source):
    """The workspace and the plugins that the environment names."""

    def __init__(self) -> None:
        plugins: Plugins = _plugins(tuple(json.loads(os.environ.get(PLUGINS) or "[]")))
        super().__init__(Path(os.environ.get(WORKSPACE) or ".harness").expanduser().resolve(), plugins)

    def keep(self, what: str, key: tuple[object, ...], read: Callable[[], T]) -> T:
        """Return what was read before under the same key, or read it."""
        found: T = (_few if what == "index" else _many)(str(self.root), what, key, read)
        return found
