"""Reading that Streamlit remembers: keyed by what changes when the files do, and shared by all visitors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from harness.plugins import Plugins, load_plugins
from harness_report import reading, samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.types import Constitution, RunRecord, SampleRecord

WORKSPACE, PLUGINS = "HARNESS_REPORT_WORKSPACE", "HARNESS_REPORT_PLUGINS"
"""What `harness report` hands over in the environment: a folder, and a JSON list as for -p."""


def _remembered(function: Callable[..., Any], *, entries: int, spinner: str | bool = False) -> Callable[..., Any]:
    """Cache by arguments. Records are frozen, so that every visitor may share the same ones."""
    cached: Callable[..., Any] = st.cache_resource(max_entries=entries, show_spinner=spinner)(function)
    return cached


def _overview(root: str, stamp: tuple[object, ...]) -> reading.Overview:  # noqa: ARG001
    return reading.read_overview(Path(root))


def _index(
    root: str,
    run: str,
    stamp: tuple[object, ...],  # noqa: ARG001 - part of the key, as below
    not_run: tuple[str, ...],
    _constitutions: tuple[Constitution, ...],
) -> samples.Index:
    return samples.read_index(Path(root), run, _constitutions, not_run=not_run)


def _constitutions(root: str, run: str, stamp: tuple[object, ...]) -> tuple[Constitution, ...]:  # noqa: ARG001
    return reading.constitutions(Path(root), run)


def _integrity(root: str, run: str, stamp: tuple[object, ...]) -> str | None:  # noqa: ARG001
    return reading.integrity(Path(root), run)


_cached_overview = _remembered(_overview, entries=4)
_cached_index = _remembered(_index, entries=8, spinner="Reading samples …")
_cached_constitutions = _remembered(_constitutions, entries=32)
_cached_integrity = _remembered(_integrity, entries=64)
_cached_plugins = _remembered(load_plugins, entries=4)


def root() -> Path:
    """Return the workspace that the report shows."""
    return Path(os.environ.get(WORKSPACE) or ".harness").expanduser().resolve()


def plugins() -> Plugins:
    """Return the plugins whose sections stand below a run."""
    found: Plugins = _cached_plugins(tuple(json.loads(os.environ.get(PLUGINS) or "[]")))
    return found


def overview() -> reading.Overview:
    """Return the workspace's records; raises as `reading.opened`."""
    stamp = reading.stamp(root())
    found: reading.Overview = _cached_overview(str(root()), stamp)
    return found


def constitutions(run: RunRecord) -> tuple[Constitution, ...]:
    """Return the constitutions that judged the run."""
    found: tuple[Constitution, ...] = _cached_constitutions(str(root()), run.id, reading.samples_stamp(root(), run.id))
    return found


def index(run: RunRecord) -> samples.Index:
    """Return the run's samples, ready to be filtered."""
    not_run = tuple(status.name for status in run.classifiers if not status.ran)
    stamp = reading.samples_stamp(root(), run.id)
    found: samples.Index = _cached_index(str(root()), run.id, stamp, not_run, constitutions(run))
    return found


def integrity(run: RunRecord) -> str | None:
    """Return what is wrong with the run's files; None where they are what they were."""
    stamp = reading.files_stamp(root(), run.id)
    found: str | None = _cached_integrity(str(root()), run.id, stamp)
    return found


def records(run: RunRecord, positions: list[int]) -> dict[int, SampleRecord]:
    """Return the whole records at some positions; not remembered, since a page holds few."""
    return samples.read_at(root(), run.id, positions)
