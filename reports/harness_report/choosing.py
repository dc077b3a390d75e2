"""Which run a page shows, and what it is compared with; the address says so, so that it can be shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from harness.terminal import safe_text
from harness_report import fragments
from harness_report.figures import when
from harness_report.markup import Html, el

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.types import RunRecord
    from harness_report.reading import Overview

NO_BASELINE = "nothing"


def describe(run: RunRecord) -> str:
    """Return a run in one line of plain text, for the options of a select box."""
    label = safe_text(run.candidate.label, one_line=True, limit=60)
    return f"{run.suite} · {label} · {when(run.created)} · {run.id[-6:]}"


def choose_run(overview: Overview) -> RunRecord | None:
    """Let the person choose a run: the one of the address, else the newest. None where there are none."""
    if not overview.runs:
        empty()
        return None
    newest_first = list(reversed(overview.runs))
    names = [run.id for run in newest_first]
    asked = st.query_params.get("run")
    if asked is not None and asked not in names:
        st.html(fragments.notice("warning", f"There is no readable run {asked}; the newest one is shown."))
    start = names.index(asked) if asked in names else 0
    chosen = st.selectbox("Run", newest_first, index=start, format_func=describe, key=f"run-of-{asked}-{len(names)}")
    run: RunRecord = chosen or newest_first[0]
    if asked != run.id and (asked is not None or run is not newest_first[0]):
        st.query_params["run"] = run.id
    return run


def empty() -> None:
    """Say what to type where nothing was run yet."""
    st.html(
        fragments.notice(
            "info", el("b", "No runs yet."), Html(" Start one with "),
            fragments.command("harness run SUITE --model smollm2-135m"), Html(" or see it all with "),
            fragments.command("harness demo"), Html("."),
        )
    )  # fmt: skip


def baselines_of(run: RunRecord, runs: Sequence[RunRecord]) -> dict[str, RunRecord]:
    """Return what a run can be compared with, by label: what its gates compared with, then runs on its samples."""
    here = {other.id: other for other in runs}
    found = {
        f"{name} ({describe(here[other])})": here[other] for name, other in run.baseline_runs.items() if other in here
    }
    used = {other.id for other in found.values()} | {run.id}
    for other in reversed(runs):
        if other.id not in used and other.suite == run.suite and other.samples_fingerprint == run.samples_fingerprint:
            found[describe(other)] = other
    return found


def missing_baselines(run: RunRecord, runs: Sequence[RunRecord]) -> list[str]:
    """Return a sentence for each run that gates compared with and that is not here any more."""
    here = {other.id for other in runs}
    return [
        f"The run of {name} that gates compared with ({other}) is not here any more."
        for name, other in run.baseline_runs.items()
        if other not in here
    ]


def choose_baseline(run: RunRecord, overview: Overview) -> RunRecord | None:
    """Let the person choose what to compare with; None for nothing."""
    found = baselines_of(run, overview.runs)
    for sentence in missing_baselines(run, overview.runs):
        st.html(fragments.notice("warning", sentence))
    if not found:
        return None
    start = 1 if run.baseline_runs and next(iter(found.values())).id in run.baseline_runs.values() else 0
    chosen = st.selectbox("Compare with", [NO_BASELINE, *found], index=start, key=f"baseline-of-{run.id}")
    return found.get(chosen or NO_BASELINE)
