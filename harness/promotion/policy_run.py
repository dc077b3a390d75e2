"""Runs what a policy needs and is not stored yet, and decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import __version__
from harness.evaluation.arm import Identity, identify
from harness.evaluation.environment import plugin_versions, plugin_versions_of
from harness.evaluation.pool import ModelPool
from harness.evaluation.prepare import PreparedSuite, prepare_suite
from harness.evaluation.resolve import resolve_baseline, resolve_judge
from harness.evaluation.runner import Setting, SuiteRun, identity_of, run_suites
from harness.promotion.decide import PROMOTED, AlreadyPromotedError, Evidence, collect_vetoes, decide
from harness.store.runs import is_whole, list_runs
from harness.types import Candidate, Decision, Policy, RunSpec

if TYPE_CHECKING:
    from harness.contracts import Progress, Surroundings
    from harness.plugins import Plugins
    from harness.store.workspace import Workspace
    from harness.types import RunRecord


@dataclass(frozen=True, kw_only=True)
class PolicyRun:
    """A decision with the runs it rests on."""

    decision: Decision
    outcomes: tuple[SuiteRun, ...]
    """In the policy's order."""
    reused: int
    """How many of them were stored already."""


def run_policy(
    policy: Policy,
    candidate: Candidate,
    *,
    plugins: Plugins,
    workspace: Workspace,
    surroundings: Surroundings,
    progress: Progress,
    judge: str | None = None,
    seed: int = 0,
    fresh: bool = False,
) -> PolicyRun:
    """Run the policy's suites on the candidate and on what is promoted, where that is not stored, and decide.

    Args:
        policy: what promotion needs.
        candidate: who is judged.
        plugins: all of them whole.
        workspace: whose lock is taken for the whole time.
        surroundings: where models run.
        progress: where bars are drawn.
        judge: reference of the judge's model, where the policy names none; None is the candidate's bare base.
        seed: of subsets, sampling and resampling.
        fresh: run everything anew, whatever is stored.

    Raises:
        AlreadyPromotedError: when the candidate is what is promoted; nothing is run.
        InputError: for what cannot work, before the first model loads.
        BrokenRunError: when a run breaks; replies so far are kept.
    """
    plugins.require_whole()
    prepared = [
        prepare_suite(
            section.suite, plugins.registries, surroundings, limit=section.limit, seed=seed, alpha=policy.alpha,
            gates=section.gates, constitution=section.constitution,
        )
        for section in policy.suites
    ]  # fmt: skip
    model = candidate.model.reference
    spec = RunSpec(
        suites=tuple(section.suite for section in policy.suites), model=model,
        adapters=tuple(adapter.reference for adapter in candidate.adapters), baseline=PROMOTED,
        judge=policy.judge or judge, seed=seed, offline=surroundings.offline,
    )  # fmt: skip
    setting = Setting(plugins=plugins, workspace=workspace, surroundings=surroundings, progress=progress, spec=spec)
    with workspace.lock():
        known = _stored(prepared, candidate, setting, fresh=fresh)
        missing = [suite for suite, found in zip(prepared, known, strict=True) if found is None]
        made = run_suites(missing, candidate, setting, baseline=PROMOTED, judge=spec.judge) if missing else ()
        fill = iter(made)
        outcomes = tuple(found if found is not None else next(fill) for found in known)
        evidence = [
            Evidence(gates=suite.gates, run=outcome.run, baselines=outcome.baselines)
            for suite, outcome in zip(prepared, outcomes, strict=True)
        ]
        decision = decide(workspace, policy, evidence, vetoes=collect_vetoes(plugins, evidence))
    return PolicyRun(decision=decision, outcomes=outcomes, reused=len(outcomes) - len(missing))


def _stored(
    prepared: Sequence[PreparedSuite], candidate: Candidate, setting: Setting, *, fresh: bool
) -> list[SuiteRun | None]:
    """Return for each suite the newest stored run that says the same as a new one would, or None."""
    workspace, registries = setting.workspace, setting.plugins.registries
    names = sorted({PROMOTED} | {name for suite in prepared for gate in suite.gates for name in gate.arms})
    arms = {name: resolve_baseline(name, candidate, workspace) for name in names}
    judge, _ = resolve_judge(setting.spec.judge, candidate, registries)
    here = plugin_versions(setting.plugins.infos)
    records = [
        record for record in reversed(list_runs(workspace, problems=[]))
        if record.harness_version == __version__ and plugin_versions_of(record) == here
    ]  # fmt: skip
    found: list[SuiteRun | None] = []
    with ModelPool(registries, setting.surroundings, None, setting.progress) as pool:
        for suite in prepared:
            own = identify(suite, candidate, judge, pool)
            others = {name: identify(suite, arm, judge, pool) for name, arm in arms.items()}
            if own.candidate == others[PROMOTED].candidate:
                raise AlreadyPromotedError(candidate)
            found.append(None if fresh else _find(workspace, suite, own, others, records))
    return found


def _find(
    workspace: Workspace, suite: PreparedSuite, own: Identity, others: dict[str, Identity], records: Sequence[RunRecord]
) -> SuiteRun | None:
    by_id = {record.id: record for record in records}
    needed = {PROMOTED} | {name for gate in suite.gates for name in gate.arms}
    for record in records:
        if identity_of(record) != own or tuple(check.gate for check in record.checks) != suite.gates:
            continue
        baselines = {name: by_id[run] for name, run in record.baseline_runs.items() if run in by_id}
        baselines |= {name: record for name in needed if others[name] == own}  # a run names itself nowhere
        same = all(name in baselines and identity_of(baselines[name]) == others[name] for name in needed)
        if same and record.limit == suite.limit and all(is_whole(workspace, r) for r in (record, *baselines.values())):
            return SuiteRun(run=record, baselines=baselines)
    return None
