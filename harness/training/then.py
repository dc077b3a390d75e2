"""What a recipe's `then` section asks for: suites run on the new adapter, a decision by a policy, a promotion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from harness.errors import InputError
from harness.evaluation.prepare import PreparedSuite, prepare_suite, resolve_suite
from harness.evaluation.runner import Setting, SuiteRun, run_suites
from harness.promotion.decide import Evidence, collect_vetoes, decide
from harness.promotion.policies import find_policy
from harness.promotion.promote import promote
from harness.training.resources import resolve_recipe_base
from harness.types import AdapterSpec, Candidate, Decision, LedgerEntry, Policy, RunSpec, Status

if TYPE_CHECKING:
    from harness.contracts import Progress, Surroundings
    from harness.plugins import Plugins, Registries
    from harness.reading.config import Config
    from harness.reading.recipe import Recipe
    from harness.store.workspace import Workspace

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What followed the training."""

    runs: tuple[SuiteRun, ...]
    decision: Decision | None
    promoted: LedgerEntry | None

    @property
    def status(self) -> Status:
        """The decision's where there is one, else that of the worst run."""
        if self.decision is not None:
            return self.decision.status
        statuses = {run.status for run in self.runs}
        return "failed" if "failed" in statuses else "inconclusive" if "inconclusive" in statuses else "passed"


def check_then(recipe: Recipe, config: Config, registries: Registries) -> Policy | None:
    """Look up the suites and the policy that follow, before an hour of training finds that one is misspelt.

    A promotion needs a policy: the recipe's, else the folder's.

    Raises:
        InputError: naming the recipe's line.
    """
    section = recipe.then
    for index, suite in enumerate(section.run):
        _at(recipe, ("then", "run", index), lambda name=suite: resolve_suite(name, registries))  # type: ignore[misc]
    name = section.policy or (config.policy if section.promote == "if-passed" else None)
    if name is None:
        return None
    place = ("then", "policy") if section.policy else ("then", "promote")
    policy = _at(recipe, place, lambda: find_policy(name, config, registries))
    for wanted in policy.suites:
        _at(recipe, place, lambda name=wanted.suite: resolve_suite(name, registries))  # type: ignore[misc]
    return policy


def _at(recipe: Recipe, place: tuple[str | int, ...], call: Callable[[], T]) -> T:
    try:
        return call()
    except InputError as error:
        raise recipe.document.error(error.cause, place, hint=error.hint) from error


def follow(
    recipe: Recipe,
    adapter: AdapterSpec,
    policy: Policy | None,
    *,
    plugins: Plugins,
    workspace: Workspace,
    surroundings: Surroundings,
    progress: Progress,
    device: str = "auto",
    judge: str | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Outcome | None:
    """Run what follows; None where the recipe asks for nothing. The caller holds the workspace's lock.

    Args:
        recipe: with its `then` section.
        adapter: what was trained.
        policy: as `check_then` gave it.
        plugins: where suites, metrics and vetoes come from.
        workspace: where runs, the decision and the promotion are kept.
        surroundings: where it runs.
        progress: where bars are shown.
        device: of the candidate's model.
        judge: reference of the judge's model where the policy names none; None is the bare base.
        warn: takes sentences that are no errors.

    Raises:
        InputError: for suites whose gates cannot be passed, and as the runs do.
        BrokenRunError: when a run breaks; the adapter and what ran before it are kept.
    """
    if policy is None and not recipe.then.run:
        return None
    registries = plugins.registries
    base = resolve_recipe_base(recipe, registries, device=device)
    candidate = Candidate(model=base, adapters=(adapter,))
    decided = [] if policy is None else [
        prepare_suite(
            section.suite, registries, surroundings, limit=section.limit, seed=surroundings.seed, alpha=policy.alpha,
            gates=section.gates,
        )
        for section in policy.suites
    ]  # fmt: skip
    covered = set() if policy is None else {section.suite for section in policy.suites}
    others = [
        prepare_suite(suite, registries, surroundings, seed=surroundings.seed)
        for suite in recipe.then.run
        if suite not in covered
    ]
    judge = (policy.judge if policy is not None else None) or judge

    def run(prepared: Sequence[PreparedSuite], baseline: str | None) -> tuple[SuiteRun, ...]:
        if not prepared:
            return ()
        spec = RunSpec(
            suites=tuple(item.suite.id for item in prepared), model=base.reference, adapters=(adapter.id,),
            baseline=baseline, judge=judge, seed=surroundings.seed, offline=surroundings.offline,
        )  # fmt: skip
        setting = Setting(plugins=plugins, workspace=workspace, surroundings=surroundings, progress=progress, spec=spec)
        done = run_suites(prepared, candidate, setting, baseline=baseline, judge=judge)
        for item in done:
            for warning in item.warnings:
                warn(warning)
        return done

    extra = run(others, None)
    runs = run(decided, "promoted")
    if policy is None:
        return Outcome(runs=extra, decision=None, promoted=None)
    evidence = [
        Evidence(gates=prepared.gates, run=item.run, baselines=item.baselines)
        for prepared, item in zip(decided, runs, strict=True)
    ]
    decision = decide(workspace, policy, evidence, vetoes=collect_vetoes(plugins, evidence))
    entry = None
    if recipe.then.promote == "if-passed" and decision.status == "passed":
        entry = promote(workspace, decision.id, plugins, warn=warn)
    return Outcome(runs=(*extra, *runs), decision=decision, promoted=entry)
