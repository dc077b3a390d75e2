"""Runs what a policy needs and is not stored yet, and decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness import __version__
from harness.api import Candidate, Decision, InputError, Policy, RoleRef, RunSpec, sha256_json
from harness.api.asking import Asking, Identity, ModelPool, identify
from harness.api.calibrations import Labellers, as_calibrated_now
from harness.api.stats import Design, schedule, with_sizes
from harness.api.weights import reading_anew
from harness.api.workspace import (
    PreparedSuite,
    Setting,
    SuiteRun,
    declare,
    identity_of,
    is_whole,
    item_of,
    list_runs,
    plugin_versions,
    plugin_versions_of,
    precision_checker,
    prepare_policy,
    promoted,
    require_attainable_gates,
    resolve_baseline,
    role_ref,
    run_suites,
)
from harness_promotion.attempts import Attempt, Trial, level_at, plan_attempt, spend
from harness_promotion.deciding import PROMOTED, Evidence, collect_vetoes, decide, refuse_same
from harness_promotion.draws import Draws
from harness_promotion.result import DecisionResult
from harness_promotion.wording import which

if TYPE_CHECKING:
    from harness.api import Gate, RunRecord
    from harness.api.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class _Look:
    """One size of the policy's schedule."""

    number: int
    suites: Sequence[PreparedSuite]


def run_policy(
    policy: Policy, candidate: Candidate, setting: Setting, *, design: Design | None = None
) -> DecisionResult:
    """Run the policy's suites on the candidate and on what is promoted, where that is not stored, and decide.

    Where the policy declares several sizes, they are looked at in order until a decision is not inconclusive.

    Args:
        policy: what promotion needs.
        candidate: who is judged.
        setting: where it happens; a judge that the policy names comes before the roles of its `spec`.
        design: looks that the policy does not declare, whether stored runs count, and from how many it was chosen.

    Raises:
        AlreadyPromotedError: when the candidate is what is promoted; nothing is run.
        InputError: for what cannot work, before the first model loads.
        BrokenRunError: when a run breaks; replies so far are kept.
    """
    with setting.workspace.working():
        begun = _begin(policy, candidate, setting, design or Design())
        workspace, known = setting.workspace, begun.known
        earlier: list[Decision] = []
        for look in begun.looks:
            outcomes, reused = _outcomes(look.suites, candidate, begun.setting, known)
            evidence = [
                Evidence(gates=suite.gates, run=outcome.run, baselines=outcome.baselines)
                for suite, outcome in zip(look.suites, outcomes, strict=True)
            ]
            decision = decide(
                workspace, begun.policy, evidence, attempt=begun.attempt, look=look.number,
                vetoes=collect_vetoes(setting.plugins, evidence), weights=known.weights, verifiable=known.verifiable,
            )  # fmt: skip
            if decision.status != "inconclusive" or look is begun.looks[-1]:
                break
            earlier.append(decision)
    return DecisionResult(
        decision=decision, outcomes=outcomes, reused=reused, replay=begun.replay, earlier=tuple(earlier)
    )  # fmt: skip


def begin_attempt(policy: Policy, candidate: Candidate, setting: Setting, design: Design) -> Attempt:
    """Put an attempt into the ledger before anything is measured; `run_policy` of the same goes on with it.

    Raises:
        As `run_policy`.
    """
    with setting.workspace.working():
        return _begin(policy, candidate, setting, design).attempt


@dataclass(frozen=True, kw_only=True)
class _Begun:
    """An attempt that is in the ledger, and what is to be measured for it."""

    policy: Policy
    attempt: Attempt
    looks: Sequence[_Look]
    known: _Known
    setting: Setting
    replay: bool
    """Whether the ledger had it before."""


def _begin(policy: Policy, candidate: Candidate, setting: Setting, design: Design) -> _Begun:
    """Plan an attempt and spend it; the caller holds the workspace."""
    plugins, workspace = setting.plugins, setting.workspace
    plugins.require_whole()

    draws = Draws.of(policy, candidate, resolve_baseline(PROMOTED, candidate, setting.around), setting)

    def prepare(limits: Sequence[int | None]) -> list[PreparedSuite]:
        return prepare_policy(policy, candidate.adapters, plugins.registries, setting.context, limits, draws)

    if (design.looks or policy.looks) and design.samples is None:
        whole = prepare(schedule(policy)[-1])
        policy = with_sizes(policy, design, [len(suite.samples) // suite.samples.draws for suite in whole])
    looks, exploratory = _looks(policy, design.samples)

    # The largest look comes first: what it draws holds what the others take.
    prepared = [_Look(number=number, suites=prepare(limits)) for number, limits in reversed(looks)][::-1]
    last = schedule(policy)[-1]
    largest = prepared[-1].suites if exploratory or looks[-1][1] == last else prepare(last)
    spec = RunSpec(
        suites=tuple(section.suite for section in policy.suites), model=candidate.model.reference,
        adapters=tuple(adapter.reference for adapter in candidate.adapters), baseline=PROMOTED,
        roles={**setting.spec.roles, **_judge_of(policy)}, seed=setting.context.seed,
        offline=setting.context.offline,
    )  # fmt: skip
    setting = replace(setting, spec=spec)
    declare(workspace, [policy])
    known = _Known.of(largest, candidate, setting, fresh=design.fresh)
    if policy.unverifiable == "refuse" and not known.verifiable:
        raise InputError(
            f"the policy {policy.id} refuses models whose weights cannot be verified (unverifiable: refuse), "
            f"and {candidate.model.reference} is served elsewhere",
            hint="name the weights themselves with --model, or decide under another policy",
        )
    tested = known.tested(largest)
    with workspace.lock(), workspace.ledger.transaction():  # no other attempt comes in between
        attempt = plan_attempt(
            workspace, policy, known.fingerprint, tested, exploratory=exploratory, design=design
        )  # fmt: skip
        possible = _attainable(
            [_at_level(look, attempt) for look in prepared], policy, attempt
        )  # fmt: skip
        replay = attempt.replay
        attempt = spend(workspace, policy, known.fingerprint, attempt)
        draws.record(attempt.key)
        attempt = replace(attempt, drawn=draws.sentences)
    return _Begun(policy=policy, attempt=attempt, looks=possible, known=known, setting=setting, replay=replay)


def _judge_of(policy: Policy) -> dict[str, RoleRef]:
    return {} if policy.judge is None else {"judge": role_ref(policy.judge, by=f"the policy {policy.id}")}


def _looks(policy: Policy, samples: int | None) -> tuple[list[tuple[int, tuple[int | None, ...]]], str]:
    """Return the looks to take, numbered from 1, with each suite's limit; and why they are exploratory, if they are."""
    declared = list(enumerate(schedule(policy), start=1))
    if samples is None:
        return declared, ""
    for number, limits in declared:
        if samples in limits and any(samples in section.samples for section in policy.suites):
            return [(number, limits)], ""
    limits = tuple(samples for _ in policy.suites)
    return [(1, limits)], f"the policy {policy.id} declares no look at {samples} samples"


def _at_level(look: _Look, attempt: Attempt) -> _Look:
    def at(gate: Gate) -> Gate:
        return replace(gate, alpha=level_at(gate, attempt, look.number))

    return replace(look, suites=[replace(suite, gates=tuple(map(at, suite.gates))) for suite in look.suites])


def _attainable(looks: Sequence[_Look], policy: Policy, attempt: Attempt) -> list[_Look]:
    """Return the looks at which perfect data could pass; the last one must be among them."""
    possible = []
    for look in looks:
        try:
            for suite in look.suites:
                require_attainable_gates(suite)
        except InputError as error:
            if look is not looks[-1]:
                continue
            anew = f"add samples, or begin the count anew: harness policy reset {policy.id} --reason TEXT"
            raise InputError(
                f"{error.cause}, at {which(attempt, look.number)} of the policy {policy.id}", file=error.file,
                line=error.line, key=error.key, hint=anew if attempt.number > 1 else error.hint,
            ) from error  # fmt: skip
        possible.append(look)
    return possible


@dataclass(frozen=True, kw_only=True)
class _Known:
    """Who is compared, by fingerprint, and what is stored of them. No model is loaded for it."""

    fingerprint: str
    """The candidate's."""
    weights: Mapping[str, str]
    verifiable: bool
    """Whether the weights are pinned by that."""
    identities: Sequence[Mapping[str, Identity]]
    """For each suite: of the candidate under the empty name, and of every arm by its name."""
    precision: Sequence[int]
    """For each suite: how many samples a run must have computed again in float32; 0 where rounding moves nothing."""
    records: Sequence[RunRecord]
    """Stored runs that the present code would make the same way, the newest first; none where all is to be fresh."""

    @classmethod
    def of(cls, suites: Sequence[PreparedSuite], candidate: Candidate, setting: Setting, *, fresh: bool) -> _Known:
        """Return it for the suites at their largest size.

        Raises:
            AlreadyPromotedError: when the candidate is what is promoted.
        """
        workspace, registries = setting.workspace, setting.plugins.registries
        names = sorted({PROMOTED} | {name for suite in suites for gate in suite.gates for name in gate.arms})
        arms = {name: resolve_baseline(name, candidate, setting.around) for name in names}
        identities, precision = [], []
        with ModelPool(registries, setting.context, None, setting.progress) as pool:
            with reading_anew():  # the decision rests on what the files hold, not on what is remembered of them
                core = pool.core(candidate.model)
                weights = core.fingerprint(candidate)
            for suite in suites:
                roles = setting.roles(suite, candidate)
                found = {
                    name: identify(suite, Asking(roles=roles.of(arm), pool=pool))
                    for name, arm in {"": candidate, **arms}.items()
                }
                if found[""].candidate == found[PROMOTED].candidate:
                    raise refuse_same(candidate, arms[PROMOTED], promoted=promoted(workspace) is not None)
                identities.append(found)
                everybody = [candidate, *arms.values(), *(bound.candidate for bound in roles.others.values())]
                precision.append(precision_checker().asked(suite, everybody, pool, setting.precision_check))
        here = plugin_versions(setting.plugins.infos)
        records = [] if fresh else [
            record for record in reversed(list_runs(workspace, problems=[]))
            if record.harness_version == __version__ and plugin_versions_of(record) == here
        ]  # fmt: skip
        own = identities[0][""].candidate
        return cls(
            fingerprint=own, weights=weights, verifiable=core.model.verifiable, identities=identities,
            precision=precision, records=records,
        )  # fmt: skip

    def tested(self, suites: Sequence[PreparedSuite]) -> list[Trial]:
        """Return what an attempt on the suites tests."""
        tested = []
        for suite, of_suite in zip(suites, self.identities, strict=True):
            own = of_suite[""]
            measured = sha256_json([own.suite, own.samples, own.judge, own.seed])
            arms = {name: of_suite[name].candidate for gate in suite.gates for name in gate.arms}
            tested.append(Trial(suite=suite.suite.id, measured=measured, arms=arms, samples=own.samples,
                                questions=frozenset(map(item_of, suite.samples.question_hashes))))  # fmt: skip
        return tested

    def stored(
        self, workspace: Workspace, suite: PreparedSuite, arms: Mapping[str, Identity], precision: int
    ) -> SuiteRun | None:
        """Return the newest stored run that says the same as a new one would, or None."""
        samples = suite.samples.fingerprint
        here = {name: replace(who, samples=samples) for name, who in arms.items()}
        own = here[""]
        by_id = {record.id: record for record in self.records}
        needed = {PROMOTED} | {name for gate in suite.gates for name in gate.arms}
        for record in self.records:
            if any(gate.correction for gate in suite.gates):  # labels may have come since
                return None
            if identity_of(record) != own or tuple(check.gate for check in record.checks) != suite.gates:
                continue
            if precision and (record.precision is None or record.precision.asked < precision):
                continue
            baselines = {name: by_id[run] for name, run in record.baseline_runs.items() if run in by_id}
            baselines |= {name: record for name in needed if here[name] == own}  # a run names itself nowhere
            same = all(name in baselines and identity_of(baselines[name]) == here[name] for name in needed)
            whole = all(is_whole(workspace, run) for run in (record, *baselines.values()))
            if same and record.limit == suite.limit and whole and _as_calibrated(record, suite, workspace):
                return SuiteRun(run=record, baselines=baselines)
        return None


def _as_calibrated(record: RunRecord, suite: PreparedSuite, workspace: Workspace) -> bool:
    """Tell whether the gates of a stored run rest on what admits their critics now."""
    labellers = replace(Labellers.of(suite.panel.principles, record), admission=suite.admission)
    return as_calibrated_now(record.checks, suite.metrics, labellers, workspace)


def _outcomes(
    suites: Sequence[PreparedSuite], candidate: Candidate, setting: Setting, known: _Known
) -> tuple[tuple[SuiteRun, ...], int]:
    """Return every suite's run, stored or made now, and how many were stored."""
    found = [
        known.stored(setting.workspace, suite, arms, precision)
        for suite, arms, precision in zip(suites, known.identities, known.precision, strict=True)
    ]
    missing = [suite for suite, run in zip(suites, found, strict=True) if run is None]
    made = run_suites(missing, candidate, setting, baseline=PROMOTED) if missing else ()
    fill = iter(made)
    return tuple(run if run is not None else next(fill) for run in found), len(suites) - len(missing)
