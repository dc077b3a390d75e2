"""Runs a suite on a candidate, and raises unless every gate passed."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.session.session import Session
    from harness.types import Check, RunRecord


class GateNotPassedError(AssertionError):
    """A gate failed or is inconclusive.

    Attributes:
        run: what was measured, with its checks.
    """

    def __init__(self, run: RunRecord) -> None:
        self.run = run
        passed = sum(check.status == "passed" for check in run.checks)
        held = sum(check.status != "not_applicable" for check in run.checks)
        head = f"{run.suite}: {passed} of {held} gates passed by {_shown(run.candidate.label)} (run {run.id})"
        super().__init__("\n".join([head, *(_line(check) for check in run.checks)]))


def _line(check: Check) -> str:
    from harness.tables import describe_gate

    because = check.sentence.removeprefix(f"{check.status}: ")
    return f"  {check.status:<12}  {_shown(describe_gate(check))}: {_shown(because)}"


def _shown(text: str) -> str:
    from harness.terminal import safe_text

    return safe_text(text, one_line=True)


def assert_gate(
    suite: str, *, adapter: str | Path | Sequence[str | Path] = (), model: str | None = None,
    system: str | None = None, session: Session | None = None, **options: Any,  # noqa: ANN401 - fields of records
) -> RunRecord:  # fmt: skip
    """Run a suite as `harness run` does, and raise unless every gate passed. Replies come from the cache where known.

    Args:
        suite: a registered name or the path of a YAML file.
        adapter: one adapter or several, which compose: folders, ids or `promoted`.
        model: the base; None is that of harness.yaml.
        system: a system prompt.
        session: where it runs; None opens one, by the options below.
        options: `limit`, `baseline`, `judge` and the other fields of `harness.session.RunOptions`; and `workspace`,
            `plugins`, `offline`, `seed` and `folder`, those of `harness.session.SessionOptions`.

    Returns:
        The run's record, all of whose gates passed.

    Raises:
        GateNotPassedError: with every gate, its verdict and why; `inconclusive` is not passed.
        InputError: for what is wrong with the arguments or files, and for a suite without gates.
        BrokenRunError: when the run breaks.
    """
    __tracebackhide__ = True
    from harness.session.options import CandidateOptions, RunOptions

    place = {name: options.pop(name) for name in _PLACE if name in options}
    opened = session or _open(place)
    try:
        candidate = opened.candidate(CandidateOptions.of(adapter, model=model, system=system))
        (outcome,) = opened.run_suites([suite], candidate, RunOptions.of(**options))
    finally:
        if session is None:
            opened.close()
    if not outcome.run.checks:
        raise InputError(f"the suite {suite} has no gates, so that nothing could fail", hint="give it gates")
    if outcome.run.status != "passed":
        raise GateNotPassedError(outcome.run)
    return outcome.run


_PLACE = ("workspace", "plugins", "offline", "seed", "folder")


def _open(place: dict[str, Any]) -> Session:
    from harness.progress import NoProgress
    from harness.session.opened import keep_libraries_offline
    from harness.session.options import SessionOptions
    from harness.session.session import Session

    folder = Path.cwd() if place.get("folder") is None else Path(place["folder"]).resolve()
    workspace = None if place.get("workspace") is None else folder / place["workspace"]
    if place.get("offline"):
        keep_libraries_offline()
    options = SessionOptions(
        folder=folder, workspace=workspace, plugins=tuple(place.get("plugins", ())),
        offline=place.get("offline", False), seed=place.get("seed", 0),
    )  # fmt: skip
    return Session(options, progress=lambda: contextlib.nullcontext(NoProgress()), warn=lambda _: None)
