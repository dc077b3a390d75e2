"""Runs a suite on a candidate, and raises unless every gate passed."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    suite: str,
    *,
    adapter: str | Path | Sequence[str | Path] = (),
    model: str | None = None,
    baseline: str | None = None,
    judge: str | None = None,
    system: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    workspace: str | Path | None = None,
    plugins: Sequence[str] = (),
    offline: bool = False,
    folder: str | Path | None = None,
) -> RunRecord:
    """Run a suite as `harness run` does, and raise unless every gate passed. Replies come from the cache where known.

    Args:
        suite: a registered name or the path of a YAML file.
        adapter: one adapter or several, which compose: folders, ids or `promoted`.
        model: the base; None is that of harness.yaml.
        baseline: stands for `promoted` in every gate: `base` or an adapter.
        judge: the model that critics ask; None is that of harness.yaml, else the bare base.
        system: a system prompt.
        limit: at most this many samples, clusters kept whole.
        seed: of the subset, sampling and resampling.
        workspace: where the run is kept; None is that of harness.yaml.
        plugins: as for -p.
        offline: open no socket; libraries are told so for the rest of the process.
        folder: where harness.yaml is looked for and relative paths begin; None is the current one.

    Returns:
        The run's record, all of whose gates passed.

    Raises:
        GateNotPassedError: with every gate, its verdict and why; `inconclusive` is not passed.
        InputError: for what is wrong with the arguments or files, and for a suite without gates.
        BrokenRunError: when the run breaks.
    """
    __tracebackhide__ = True
    from harness.cli.context import keep_libraries_offline
    from harness.contracts import Surroundings
    from harness.evaluation.prepare import prepare_suite
    from harness.evaluation.resolve import resolve_base, resolve_candidate
    from harness.evaluation.runner import Setting, run_suites
    from harness.paths import weights_dir
    from harness.plugins import load_plugins
    from harness.progress import NoProgress
    from harness.promotion.policies import declare_all
    from harness.reading.config import read_config, require_plugins
    from harness.store.workspace import Workspace
    from harness.types import RunSpec

    with contextlib.chdir("." if folder is None else folder):
        if offline:
            keep_libraries_offline()
        config = read_config(Path.cwd())
        require_plugins(config)
        loaded = load_plugins((*config.plugins, *plugins))
        loaded.require_whole()
        names = [str(one) for one in ([adapter] if isinstance(adapter, str | Path) else adapter)]
        surroundings = Surroundings(
            offline=offline, weights=weights_dir(), seed=seed, concurrency=config.concurrency, timeout=config.timeout
        )
        place = Workspace.open(config.workspace if workspace is None else workspace, create=True)
        try:
            declare_all(place, config, loaded.registries)
            base = resolve_base(config.model if model is None else model, loaded.registries)
            candidate = resolve_candidate(base, names, place, system=system)
            prepared = prepare_suite(
                suite, loaded.registries, surroundings, limit=limit, seed=seed, adapters=candidate.adapters
            )
            if not prepared.gates:
                raise InputError(f"the suite {suite} has no gates, so that nothing could fail", hint="give it gates")
            spec = RunSpec(
                suites=(suite,), model=base.reference, adapters=tuple(names), baseline=baseline, judge=judge,
                limit=limit, seed=seed, offline=offline,
            )  # fmt: skip
            setting = Setting(
                plugins=loaded, workspace=place, surroundings=surroundings, progress=NoProgress(), spec=spec
            )  # fmt: skip
            with place.working("harness.testing"):
                (outcome,) = run_suites(
                    [prepared], candidate, setting, baseline=baseline, judge=config.judge if judge is None else judge
                )  # fmt: skip
        finally:
            place.close()
    if outcome.run.verdict != "passed":
        raise GateNotPassedError(outcome.run)
    return outcome.run
