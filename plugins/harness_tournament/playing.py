"""Several candidates, one winner to the gates.

Whoever runs twenty candidates on the samples that decide and decides about the best one has made twenty tries, and at
the whole level one of twenty bad ones passes. Here all are checked at the attempt's level divided by their number, so
that their intervals hold together (Bonferroni) and the winner may be chosen in any way: C. W. Dunnett, Journal of the
American Statistical Association 50 (1955) 1096–1121, compares several with one control. It is one attempt, and spends
its level once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.api import InputError, RunOptions, Shown
from harness.api.asking import ModelPool
from harness.api.stats import Design, schedule
from harness.api.workspace import prepare_policy, resolve_baseline, role_ref, run_suites

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from harness.api import Candidate, Check, Policy, Session
    from harness.api.workspace import PreparedSuite
    from harness_tournament.entered import Entered

FEWEST = 2


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One candidate's results."""

    candidate: Candidate
    fingerprint: str
    checks: tuple[tuple[str, Check], ...]
    """(suite, check), at the level of each of them."""

    @property
    def p(self) -> float:
        """The level at which all its gates would just have passed; 1 where one cannot pass."""
        known = [
            1.0 if check.p is None else check.p for _, check in self.checks
            if check.p is not None or check.status not in {"passed", "not_applicable"}
        ]  # fmt: skip
        return max(known, default=1.0)

    @property
    def passed(self) -> int:
        """How many gates passed."""
        return sum(check.status == "passed" for _, check in self.checks)


@dataclass(frozen=True, kw_only=True)
class TournamentResult(Shown):
    """All candidates, the best first, and the decision about the best."""

    contenders: tuple[Contender, ...]
    level: float
    """One-sided, of each candidate's gates."""
    decided: Any
    """What `session.decide` gives, of the winner."""

    @property
    def sentence(self) -> str:
        """What came of it."""
        return str(self.decided.sentence)

    def renderables(self) -> Iterator[RenderableType]:
        """Yield a row for each candidate and gate, and the decision."""
        from harness.api.commands import checks_table, line, plain_table

        rows = [
            (str(place), one.candidate.label, f"{one.passed} of {len(one.checks)}", f"{one.p:.2g}")
            for place, one in enumerate(self.contenders, start=1)
        ]
        yield plain_table(("place", "candidate", "gates passed", "p of all gates"), rows, whole=("place",))
        for one in self.contenders[1:]:
            yield line(f"\n{one.candidate.label}")
            yield checks_table(one.checks)
        yield line(f"\nthe winner: {self.contenders[0].candidate.label}", "bold")
        yield from self.decided.renderables()


def tournament(
    session: Session, who: Entered, *, policy: str | None = None, options: RunOptions | None = None
) -> TournamentResult:  # fmt: skip
    """Measure candidates on what a policy asks, and decide about the best.

    The best is the one whose gates all pass at the smallest level. Every interval is at the attempt's level over the
    number of candidates. It counts as one attempt; the same once more is a replay.

    Args:
        session: where it happens.
        who: at least two candidates, adapters or whole models.
        policy: its name; None is that of harness.yaml.
        options: judge and roles.

    Raises:
        InputError: for fewer than two candidates, the same one twice, a policy that looks at rising sizes
            or hides what decides, or one whose attempts are all made; nothing is measured then.
        BrokenRunError: when a run breaks.
    """
    session.require_plugins()
    chosen, how = session.policy(policy), options or RunOptions()
    entered = entrants(session, chosen, who)
    session.declare_policies()
    design = Design(among=tuple(sorted(fingerprints(session, chosen, entered, how))))
    # The attempt is spent before anybody knows a number, so that a tournament that is broken off does not get it back.
    level = session.job("begin_attempt")(chosen, entered[0], how, design=design).level
    contenders = [_measured(session, chosen, candidate, how, level) for candidate in entered]
    contenders.sort(key=lambda one: (one.p, -one.passed))
    decided = session.job("decide_candidate")(chosen, contenders[0].candidate, how, design=design)
    return TournamentResult(contenders=tuple(contenders), level=decided.decision.level, decided=decided)


def entrants(
    session: Session, policy: Policy, who: Entered
) -> list[Candidate]:  # fmt: skip
    """Return the candidates; nothing is loaded.

    Raises:
        InputError: for fewer than two, the same one twice, or a policy that takes several looks or hides samples.
    """
    asked = who.candidates()
    _require(policy, len(asked))
    found = [session.candidate(one) for one in asked]
    if len({(one.model, *(spec.id for spec in one.adapters)) for one in found}) < len(found):
        raise InputError("two of the candidates are the same", hint="name each once")
    return found


def fingerprints(
    session: Session, policy: Policy, entered: Sequence[Candidate], options: RunOptions
) -> list[str]:  # fmt: skip
    """Return the candidates' fingerprints, without loading a model.

    Raises:
        InputError: where two are the same, one is what is promoted, or weights or adapters do not fit.
    """
    spec = session.spec([section.suite for section in policy.suites], entered[0], options)
    with (
        session.setting(spec, options) as setting,
        ModelPool(setting.plugins.registries, setting.context, None, setting.progress) as pool,
    ):
        found = [pool.fingerprint(candidate) for candidate in entered]
        live = pool.fingerprint(resolve_baseline("promoted", entered[0], setting.around))
    if live in found:
        same = entered[found.index(live)].label
        raise InputError(f"the candidate {same} is what is promoted already", hint="leave it out")
    if len(set(found)) < len(found):
        raise InputError("two of the candidates are the same", hint="name each once")
    return found


def _require(policy: Policy, count: int) -> None:
    if count < FEWEST:
        raise InputError(
            "a tournament needs two candidates or more", hint="repeat --adapter or --whole, or use harness decide"
        )
    if policy.looks or policy.fdr or len(schedule(policy)) > 1:
        raise InputError(
            f"the policy {policy.id} takes looks or has `fdr`, and a tournament takes one look at one level",
            hint="name a policy without `looks`, `samples` and `fdr` with --policy",
        )
    hidden = next((section.suite for section in policy.suites if section.deciding is not None), None)
    if hidden is not None:
        raise InputError(
            f"the policy {policy.id} hides what decides of {hidden}, and a tournament asks it of every candidate",
            hint="choose by `harness run`, which asks the open samples, and decide about one: harness decide",
        )


def _measured(session: Session, policy: Policy, candidate: Candidate, options: RunOptions, level: float) -> Contender:
    """Run a policy's suites on a candidate, with its gates at a level; stored replies are not asked for again."""
    judge = {} if policy.judge is None else {"judge": role_ref(policy.judge, by=f"the policy {policy.id}")}
    spec = session.spec([section.suite for section in policy.suites], candidate, options)
    spec = replace(spec, baseline="promoted", roles={**spec.roles, **judge})
    with session.setting(spec, options) as setting, setting.workspace.working():
        suites = prepare_policy(
            policy, candidate.adapters, setting.plugins.registries, setting.context, schedule(policy)[-1]
        )  # fmt: skip
        found = run_suites([_at(suite, level) for suite in suites], candidate, setting, baseline="promoted")
    checks = tuple((one.run.suite, check) for one in found for check in one.run.checks)
    return Contender(candidate=candidate, fingerprint=found[0].run.candidate_fingerprint, checks=checks)


def _at(suite: PreparedSuite, level: float) -> PreparedSuite:
    return replace(suite, gates=tuple(replace(gate, alpha=level) for gate in suite.gates))
