"""What a recipe's `then` section asks for: suites run on the new adapter, a decision by a policy, a promotion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from harness.api import (
    AdapterSpec,
    Candidate,
    InputError,
    LedgerEntry,
    OverallStatus,
    Policy,
    RunOptions,
    resolve_path,
    worst_status,
)
from harness.api.workspace import (
    Setting,
    SuiteRun,
    default_policy,
    find_policy,
    resolve_suite,
    run_suites,
)
from harness_training.resources import make_stages, resolve_recipe_base

if TYPE_CHECKING:
    from harness.api import Session
    from harness.api.workspace import Config, Registries
    from harness_training.recipe import Recipe

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What followed the training."""

    runs: tuple[SuiteRun, ...]
    """Of the suites that the recipe names and no policy covers."""
    policy_run: Any | None
    """What `session.decide` gives."""
    promoted: LedgerEntry | None

    @property
    def status(self) -> OverallStatus:
        """The worst of the runs' and the decision's."""
        decided = () if self.policy_run is None else (self.policy_run.decision.status,)
        return worst_status((*(run.status for run in self.runs), *decided))

    @property
    def accepted(self) -> bool:
        """Whether all gates passed, or a run without gates is all that was asked for."""
        decided = self.policy_run is None or self.policy_run.decision.status == "passed"
        return decided and all(run.run.accepted for run in self.runs)


def check_then(recipe: Recipe, config: Config, registries: Registries) -> Policy | None:
    """Look up the suites and the policy that follow, before an hour of training finds that one is misspelt.

    A promotion needs a policy: the recipe's, else the folder's.

    Raises:
        InputError: naming the recipe's line.
    """
    section = recipe.then
    asked = bool(section.run or section.policy or section.promote != "never")
    if asked and not any("adapter" in stage.writes for stage in make_stages(recipe, registries)):
        raise recipe.document.error(
            "speaks of what was trained, and no stage of this recipe trains an adapter", ("then",),
            hint="add a stage that does, such as sft, or remove `then`",
        )  # fmt: skip
    for index, suite in enumerate(section.run):
        _at(recipe, ("then", "run", index), lambda name=suite: resolve_suite(_suite(recipe, name), registries))  # type: ignore[misc]
    if section.policy:
        named = section.policy
        return _at(recipe, ("then", "policy"), lambda: find_policy(named, config, registries))
    if section.promote == "if-passed":
        return _at(recipe, ("then", "promote"), lambda: default_policy(config, registries))
    return None


def _at(recipe: Recipe, place: tuple[str | int, ...], call: Callable[[], T]) -> T:
    try:
        return call()
    except InputError as error:
        cause = InputError(error.cause, file=error.file, line=error.line, key=error.key)  # a policy's own place too
        raise recipe.document.error(str(cause), place, hint=error.hint) from error


def follow(
    recipe: Recipe, adapter: AdapterSpec, policy: Policy | None, setting: Setting, session: Session, *,
    device: str = "auto",
) -> Outcome | None:  # fmt: skip
    """Run what follows; None where the recipe asks for nothing. The caller holds the workspace's lock.

    Args:
        recipe: with its `then` section.
        adapter: what was trained.
        policy: as `check_then` gave it.
        setting: where it happens; a judge that the policy names comes before the roles of its `spec`.
        session: that promotes, and takes sentences that are no errors.
        device: of the candidate's model.

    Raises:
        InputError: for suites whose gates cannot be passed, and as the runs do.
        BrokenRunError: when a run breaks; the adapter and what ran before it are kept.
    """
    if policy is None and not recipe.then.run:
        return None
    registries = setting.plugins.registries
    base = resolve_recipe_base(recipe, registries, device=device)
    candidate = Candidate(model=base, adapters=(adapter,))
    covered = set() if policy is None else {section.suite for section in policy.suites}
    alone = [name for name in recipe.then.run if name not in covered]  # the policy runs the others
    runs: tuple[SuiteRun, ...] = ()
    if alone:
        bound = session.bind(seed=setting.context.seed, offline=setting.context.offline)
        named = [_suite(recipe, name) for name in alone]
        prepared = bound.prepare(named, candidate, RunOptions(), open_only=True)  # as `harness run`: no hidden samples
        spec = replace(setting.spec, suites=tuple(alone), model=base.reference, adapters=(adapter.id,))
        runs = run_suites(prepared, candidate, replace(setting, spec=spec))
    if policy is None:
        return Outcome(runs=runs, policy_run=None, promoted=None)
    decided = session.job("decide_candidate")(policy, candidate, RunOptions(), setting=setting)
    outcome = Outcome(runs=runs, policy_run=decided, promoted=None)
    if recipe.then.promote != "if-passed" or decided.decision.status != "passed":
        return outcome
    if not outcome.accepted:
        short = ", ".join(run.run.suite for run in runs if not run.run.accepted)
        session.warn(f"not promoted: the policy passed, but the gates of {short}, which the recipe runs too, did not")
        return outcome
    if policy.review == "manual":
        session.warn(
            f"not promoted: the policy {policy.id} wants a person's word: harness approve {decided.decision.id}"
        )
        return outcome
    return replace(outcome, promoted=session.promote(decided.decision.id, policy=policy))


def _suite(recipe: Recipe, name: str) -> str:
    """Return a suite's name, or its path from the recipe's folder where it is one."""
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return str(resolve_path(name, recipe.path))
    return name
