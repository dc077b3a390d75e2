"""The jobs `session.decide`, `promote`, `rollback` and `touched`, and what other plugins ask of policies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.api import Candidate, CandidateOptions, RunOptions
from harness.api.stats import Design
from harness.api.workspace import find_policy, resolve_base
from harness_promotion import attempts, policy_run, promoting, reconcile
from harness_promotion import touched as touching
from harness_promotion.policy_run import run_policy
from harness_promotion.preflight import Preflight

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.api import LedgerEntry, ModelSpec, Policy, Session
    from harness.api.workspace import Setting
    from harness_promotion.result import DecisionResult


def decide_candidate(
    session: Session, policy: Policy, candidate: Candidate, options: RunOptions, *, design: Design | None = None,
    setting: Setting | None = None,
) -> DecisionResult:  # fmt: skip
    """Run what a policy needs and decide, as `decide` does; warnings are handed on.

    Args:
        session: where it happens.
        policy: what promotion needs.
        candidate: who is judged.
        options: whose judge and roles count after the policy's; its baseline is the model that counts as the base,
            and None is the candidate's own where it puts something on it, else the one that harness.yaml names.
        design: which looks are taken, and from how many candidates this one was chosen.
        setting: one that is open already; None opens one.
    """
    from contextlib import nullcontext

    session.declare_policies()
    spec = session.spec([section.suite for section in policy.suites], candidate, options)
    with session.setting(spec, options) if setting is None else nullcontext(setting) as place:
        base = _compared_with(session, candidate, options.baseline)
        found = run_policy(policy, candidate, replace(place, base=base), design=design)
    for warning in dict.fromkeys(warning for outcome in found.outcomes for warning in outcome.warnings):
        session.warn(warning)
    return found


def begin_attempt(
    session: Session, policy: Policy, candidate: Candidate, options: RunOptions, *, design: Design
) -> attempts.Attempt:  # fmt: skip
    """Put the attempt into the ledger that `decide_candidate` of the same would make; nothing is measured.

    Raises:
        InputError: for what cannot work.
    """
    session.declare_policies()
    spec = session.spec([section.suite for section in policy.suites], candidate, options)
    with session.setting(spec, options) as place:
        base = _compared_with(session, candidate, options.baseline)
        return policy_run.begin_attempt(policy, candidate, replace(place, base=base), design)


def _compared_with(session: Session, candidate: Candidate, reference: str | None) -> ModelSpec | None:
    """Return what counts as the base of a decision's candidate; None is the candidate's own base."""
    if reference is None:
        if not session.config.names_model or candidate != Candidate(model=candidate.model):
            return None  # nobody chose the default as what a whole model is compared with
        reference = session.config.model
    own = candidate.model
    return resolve_base(reference, session.plugins.registries, dtype=own.dtype, device=own.device)


def decide(
    session: Session, *, adapter: str | Path | Sequence[str | Path] = (), policy: str | None = None,
    model: str | None = None, system: str | None = None, fresh: bool = False, **options: object,
) -> DecisionResult:  # fmt: skip
    """Run what a policy needs and is not stored yet, and decide on promotion.

    Args:
        session: where it happens.
        adapter: the candidate's adapters.
        policy: its name; None is that of harness.yaml.
        model: the base, a full fine-tune or a served model; None is that of harness.yaml.
        system: a system prompt.
        fresh: use no stored run.
        options: `template` (the chat template), `baseline` (the model that counts as the base), `judge` and `roles`.

    Raises:
        AlreadyPromotedError: when the candidate is what is promoted; nothing is run.
        InputError: for what cannot work, before a model is loaded.
        BrokenRunError: when a run breaks; replies so far are kept.
    """
    session.require_plugins()
    template = options.pop("template", "auto")
    candidate = session.candidate(CandidateOptions.of(adapter, model=model, system=system, template=template))
    chosen, design = RunOptions.of(**options), Design(fresh=fresh)
    return decide_candidate(session, session.policy(policy), candidate, chosen, design=design)


def problems(session: Session, *, deep: bool = False) -> list[str]:
    """Return a sentence for each thing that is not what the ledger says of it; `deep` hashes every file."""
    return list(reconcile.problems(session.workspace, deep=deep))


def budget(session: Session, policy: Policy) -> attempts.Budget:
    """Return what is left to this version of a policy."""
    return attempts.budget(session.workspace, policy)


def level_among(session: Session, policy: Policy, contenders: Sequence[str]) -> tuple[int, float]:
    """Return number and level of the attempt that chooses among candidates, given by their fingerprints.

    The level is that of each of them. Where they were chosen among before, it is that attempt's.

    Raises:
        InputError: where all attempts that the policy declares are made.
    """
    number = attempts.number_among(session.workspace, policy, contenders)
    return number, attempts.level_of(session.workspace, policy, number) / len(contenders)


def promote(
    session: Session, decision: str | DecisionResult = "latest", *, policy: Policy | None = None
) -> LedgerEntry:
    """Promote the candidate of a decision that passed, after checking every hash again.

    Args:
        session: in whose workspace it is.
        decision: an id, the beginning of one, `latest`, or what `session.decide` gave.
        policy: by which it was decided; None looks for it by its name.

    Raises:
        PromotionRefusedError: when the decision did not pass, or waits for a person, or there is a veto.
        InputError: when it is unknown or stale.
        BrokenRunError: when a file is not what it was.
    """
    plugins = session.require_plugins()

    def named(name: str) -> Policy:
        return policy or find_policy(name, session.config, plugins.registries)

    name = decision if isinstance(decision, str) else decision.decision.id
    preflight = Preflight(policy=named, context=session.context)
    return promoting.promote(session.workspace, name, plugins, warn=session.warn, preflight=preflight)


def rollback(session: Session, to: str | None = None, *, leaves: int | None = None, reason: str = "") -> LedgerEntry:
    """Go back to what was promoted before, or to a promotion's entry, a decision's id or `base`.

    Args:
        session: in whose workspace it is.
        to: where; None is the promotion before.
        leaves: number of the ledger's entry that is left; said once more, it changes nothing.
        reason: recorded in the ledger.

    Raises:
        InputError: when there is nothing to go back to.
        BrokenRunError: when a file is not what it was.
    """
    plugins = session.require_plugins()
    return promoting.rollback(session.workspace, plugins, leaves=leaves, to=to, reason=reason, warn=session.warn)


def touched(session: Session) -> touching.Touched:
    """Return what adapters that overwrite the shared base may have touched; raises as reading them does."""
    return touching.touched(session.workspace)
