"""Whether what a decision rests on, besides its runs, still is what it was: policy, suites, data and weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.api import BrokenRunError, InputError, NoProgress, Policy
from harness.api.asking import ModelPool
from harness.api.weights import reading_anew
from harness.api.workspace import SuiteOptions, prepare_suite

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from harness.api import Decision, RunContext, RunRecord
    from harness.api.workspace import Choose, Plugins

_OF_THE_MACHINE = frozenset({"backend", "device", "dtype", "engine", "day"})
"""Parts of a model's fingerprint that say where and with what it ran, not which bytes it is made of."""


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """Where the present state of things is read."""

    policy: Callable[[str], Policy]
    """Gives the policy of a name, as it is now."""
    context: RunContext


def check_preflight(
    decision: Decision, runs: Sequence[RunRecord], plugins: Plugins, preflight: Preflight,
    ids_of: Callable[[RunRecord], Collection[str]],
) -> None:  # fmt: skip
    """Check policy, suites, data and weights. Weights that `read_weights` has just read are not read again.

    Args:
        decision: with its adapters where they lie now.
        runs: the candidate's, in the order of the policy's suites.
        plugins: that make suites and models.
        preflight: where it is read.
        ids_of: gives the ids of a run's samples, which decide where the policy hides some.

    Raises:
        InputError: when the policy, a suite or its data has changed, or something of them is not here any more.
        BrokenRunError: when the weights are not those that were judged.
    """
    policy = preflight.policy(decision.policy)
    again = f"decide again: harness decide --policy {decision.policy}"
    if policy.fingerprint != decision.policy_fingerprint:
        raise InputError(
            f"the policy {decision.policy} has changed since the decision {decision.id} was made under it", hint=again
        )
    if len(policy.suites) != len(runs):  # two names of one suite, checked by the same gates, share one run
        raise InputError(
            f"the decision {decision.id} has {len(runs)} runs for the {len(policy.suites)} suites of the policy "
            f"{decision.policy}", hint="name each suite once in the policy, and decide again",
        )  # fmt: skip
    for section, run in zip(policy.suites, runs, strict=True):
        now = prepare_suite(
            section.suite, plugins.registries, replace(preflight.context, seed=run.seed),
            SuiteOptions(
                limit=run.limit, alpha=policy.alpha, gates=section.gates, constitution=section.constitution,
                adapters=decision.candidate.adapters,
                choose=None if section.deciding is None else _the_same(ids_of(run)),
            ),
        )  # fmt: skip
        changed = ""
        if now.samples.fingerprint != run.samples_fingerprint:
            changed = "the samples"
        elif now.fingerprint() != run.suite_fingerprint:
            changed = "what measures and judges the suite"
        if changed:
            raise InputError(f"{changed} of {run.suite} changed since the decision {decision.id} was made", hint=again)
    with ModelPool(plugins.registries, preflight.context, None, NoProgress()) as pool:
        check_weights(decision, pool.core(decision.candidate.model).fingerprint(decision.candidate))


def _the_same(ids: Collection[str]) -> Choose:
    """Return what picks the samples with these ids; their fingerprint then says whether they are what they were."""
    wanted = frozenset(ids)
    return lambda columns: [place for place, name in enumerate(columns.ids) if name in wanted]


def read_weights(decision: Decision, plugins: Plugins, preflight: Preflight) -> None:
    """Read the base's weights whole, so that `check_preflight`, under the ledger's transaction, finds them remembered.

    Raises:
        InputError: when they are gone or damaged.
    """
    bare = replace(decision.candidate, adapters=())
    with reading_anew(), ModelPool(plugins.registries, preflight.context, None, NoProgress()) as pool:
        pool.core(bare.model).fingerprint(bare)


def check_weights(decision: Decision, found: Mapping[str, str], *, only: Collection[str] | None = None) -> None:
    """Check what a model says of a candidate's bytes against what it said when the decision was made.

    Args:
        decision: that holds what was said.
        found: what the model says now.
        only: the parts to check; None is all that are not of the machine.

    Raises:
        BrokenRunError: naming the part that is not what was judged.
    """
    for part, judged in decision.weights.items():
        if part in _OF_THE_MACHINE or (only is not None and part not in only):
            continue
        if found.get(part) != judged:
            what = "weights of the base" if part == "base" else part
            raise BrokenRunError(
                f"the {what} of {decision.candidate.model.reference} are not what was judged (now "
                f"{found.get(part, 'absent')[:16]}, the decision {decision.id} has {judged[:16]}); restore them, or "
                "decide again"
            )


def differences_of_machine(decision: Decision, found: Mapping[str, str]) -> tuple[str, ...]:
    """Say in sentences with what else than today a decision's answers were made."""
    return tuple(
        f"{part} is {found[part]}, and was {was} when the answers were stored"
        for part, was in decision.weights.items()
        if part in _OF_THE_MACHINE and part in found and found[part] != was
    )
