"""Attempts: what each new try at a promotion may spend of a policy's alpha, kept in the ledger.

A candidate that is trained again every night until its gates pass would pass by luck in the end. So the levels of all
attempts under one version of a policy add up to its alpha: attempt j is checked at 6 · alpha / (π² · j²). An attempt is
what is new about a decision: the candidate, the suites with their samples, judge and seed, what the gates compare with,
and the policy. The same again is a replay, and spends nothing.

A promotion begins a new period, with the whole alpha again: what passed does not make the next one harder. A policy may
declare how many attempts a period has, each at an equal part. What was tried before stays a replay, at its old level.

A policy that looks at more and more samples declares the sizes beforehand; its looks together spend what one look would
(`harness.stats.sequential`). Under `fdr: saffron` what earlier attempts found decides about the level of the next, a
promotion begins no new period, and each attempt needs samples that no earlier one had.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.api import InputError, sha256_json
from harness.api.gates import correction_of
from harness.api.stats import Design, level_of_attempt, levels_of_looks
from harness.api.workspace import declared, versions
from harness_promotion.reconcile import require_known
from harness_promotion.saffron import saffron_level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import Gate, LedgerEntry, Policy, PolicySuite
    from harness.api.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One suite of an attempt, measured at the largest size that the policy looks at."""

    suite: str
    """Its id."""
    measured: str
    """Hash of what is measured: the suite's content, its samples, the judge and the seed."""
    arms: Mapping[str, str]
    """Fingerprint of everything that its gates compare with, by what they call it."""
    samples: str = ""
    """Hash of its samples alone."""
    questions: frozenset[str] = frozenset()
    """What they ask, as the ledger keeps it."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A try at a promotion."""

    key: str
    """Hash of all that makes it this attempt."""
    number: int
    """1 for the first under this version of the policy; 0 for an exploratory one, which spends nothing."""
    level: float
    """One-sided; for all looks of the attempt together."""
    levels: tuple[float, ...]
    """Of each look."""
    replay: bool
    """Whether the ledger has it already."""
    exploratory: str = ""
    """Why what comes of it can never be promoted; empty where it can."""
    next_step: str = "decide at a size that the policy declares: harness decide without --samples"
    """What can be done where it is exploratory."""
    drawn: tuple[str, ...] = ()
    """What is said of the samples that it decides by, where the policy hides some."""

    samples: tuple[str, ...] = ()
    """Hashes of the samples of its suites."""
    questions: frozenset[str] = frozenset()
    """What they ask, where the policy has `fdr`, which needs fresh ones."""
    contenders: tuple[str, ...] = ()
    """Fingerprints of the candidates that it was chosen from by these samples; `level` is its part."""

    @property
    def among(self) -> int:
        """How many candidates it was chosen from."""
        return max(1, len(self.contenders))

    @property
    def looks(self) -> int:
        """How many there may be."""
        return len(self.levels)

    def at_look(self, look: int) -> float:
        """Return the one-sided level of a look, 1 for the first."""
        return self.levels[min(look, len(self.levels)) - 1]


def plan_attempt(
    workspace: Workspace, policy: Policy, candidate: str, tested: Sequence[Trial], *, exploratory: str = "",
    design: Design | None = None,
) -> Attempt:  # fmt: skip
    """Say which attempt this is, and spend nothing yet. The caller holds the lock.

    Args:
        workspace: whose ledger counts.
        policy: a version that `declare` has put there.
        candidate: its fingerprint.
        tested: every suite of the policy, in its order.
        exploratory: a reason that the caller knows of, why nothing can come of it.
        design: how it is made, where that is not as the policy says.

    Raises:
        InputError: where all attempts that the policy declares are made, or samples are not fresh that `fdr` needs so.
    """
    how = design or Design()
    # Of several candidates it is one attempt, whoever wins: it is spent before any of them is measured.
    who = [] if how.among else candidate
    content = [policy.id, policy.fingerprint, who, [[t.suite, t.measured, dict(t.arms)] for t in tested]]
    if how.looks or how.among:
        content.append([[str(share) for share in how.looks], sorted(how.among)])
    key = sha256_json(content)
    counted = _counted(workspace, policy)
    among = max(1, len(how.among))

    def attempt(number: int, level: float, *, replay: bool) -> Attempt:
        return Attempt(
            key=key, number=number, level=level, levels=levels_of_looks(policy, level), replay=replay,
            contenders=tuple(sorted(how.among)), samples=tuple(t.samples for t in tested),
            questions=frozenset(item for t in tested for item in t.questions) if policy.fdr else frozenset(),
        )  # fmt: skip

    # A promotion in between makes nothing new of what was tried before: its numbers are known.
    ever = _since_reset(workspace, policy.id, policy.fingerprint)
    known = next((entry for entry in ever if entry.kind == "attempt" and entry.body["key"] == key), None)
    if known is not None and not exploratory:
        return attempt(int(known.body["attempt"]), float(known.body["level"]) / among, replay=True)
    suites = [t.suite for t in tested]
    known_before = (_seen(workspace, policy, one, suites) for one in how.among or (candidate,))
    reason = exploratory or next(filter(None, known_before), "")
    if reason:
        free = Attempt(
            key=key, number=0, level=policy.alpha, levels=(policy.alpha,), replay=False, exploratory=reason
        )  # fmt: skip
        return free if exploratory else replace(free, next_step=_FRESH)
    number = _next(policy, counted)
    if policy.fdr:
        _require_fresh(policy, tested, counted)
    bits = told(workspace, [t.suite for section, t in zip(policy.suites, tested, strict=False) if _hides(section)])
    return attempt(number, level_of(workspace, policy, number) / bits / among, replay=False)


def level_at(gate: Gate, attempt: Attempt, look: int) -> float:
    """Return the one-sided level of a gate at a look: its part, or the attempt's where it holds at all looks together.

    An attempt that is exploratory has no looks.
    """
    if gate.correction and correction_of(gate).at_any_look:
        return attempt.level
    return attempt.at_look(look)


def _next(policy: Policy, counted: Sequence[LedgerEntry]) -> int:
    """Return the number of the next attempt, or refuse where the policy declares no more."""
    number = len(counted) + 1
    if policy.attempts is not None and number > policy.attempts:
        made = f"all {policy.attempts} attempts that the policy {policy.id} declares between two promotions are made"
        raise InputError(made, hint=f'declare more, or begin anew: harness policy reset {policy.id} --reason "…"')
    return number


def number_among(workspace: Workspace, policy: Policy, contenders: Sequence[str]) -> int:
    """Return the number of the attempt that chooses among candidates: of the one that did before, else the next.

    Raises:
        InputError: where all attempts that the policy declares are made.
    """
    wanted = sorted(contenders)
    for entry in reversed(_since_reset(workspace, policy.id, policy.fingerprint)):
        if entry.kind == "attempt" and wanted and entry.body.get("contenders") == wanted:
            return int(entry.body["attempt"])
    return _next(policy, _counted(workspace, policy))


def _require_fresh(policy: Policy, tested: Sequence[Trial], before: Sequence[LedgerEntry]) -> None:
    """Refuse samples that an earlier attempt had: the rate that `fdr` promises is that of independent samples."""
    for trial in tested:
        for entry in before:
            same = len(trial.questions & set(entry.body.get("questions", ())))
            if not same and not (trial.samples and trial.samples in entry.body.get("samples", ())):
                continue
            some = f"{same} of the {len(trial.questions)}" if same else "these"
            raise InputError(
                f"the policy {policy.id} has `fdr: {policy.fdr}`, which holds on fresh samples alone, and attempt "
                f"{entry.body['attempt']} had {some} samples of {trial.suite}",
                hint="name a suite with other samples, or give the policy `attempts: K` instead of `fdr`",
            )


def level_of(workspace: Workspace, policy: Policy, number: int) -> float:
    """Return the one-sided level of an attempt, which under `fdr` follows from what the ones before it found."""
    if policy.fdr:
        return saffron_level(policy.alpha, _history(workspace, policy)[: number - 1])
    return level_of_attempt(policy.alpha, number, policy.attempts)


def told(workspace: Workspace, suites: Collection[str]) -> int:
    """Return how many answers ladders could have given about hidden samples of suites.

    A candidate that was made of them is one of so many that were fixed before, so that its level is divided by that.
    """
    looks = workspace.ledger.entries("look") if suites else ()
    return int(2 ** sum(bool({entry.body["suite"], entry.body["named"]} & set(suites)) for entry in looks))


def _hides(section: PolicySuite) -> bool:
    """Tell whether a suite's samples are hidden and used again."""
    return section.deciding is not None and not section.fresh


def _history(workspace: Workspace, policy: Policy) -> list[tuple[float, bool]]:
    """Return p and whether it passed of each attempt; one without a decision counts as p = 1."""
    found: dict[int, tuple[float, bool]] = {}
    decided: set[int] = set()
    version = policy.id, policy.fingerprint
    for entry in workspace.ledger.entries("attempt", "reset", "decision"):
        body = entry.body
        if (body.get("policy"), body.get("policy_fingerprint")) != version:
            continue
        if entry.kind == "reset":
            found, decided = {}, set()
        elif entry.kind == "attempt":
            found[int(body["attempt"])] = (1.0, False)
        elif (number := int(body["attempt"])) in found and number not in decided:  # the first word is what counts
            decided.add(number)
            p = body.get("p")
            found[number] = (1.0 if p is None else float(p), body["status"] == "passed")
    return [found[number] for number in sorted(found)]


_FRESH = (
    "this policy decides the next candidate with `harness decide --adapter REF`, or this one on fresh samples, in a "
    "suite of another id that the policy names instead; never on numbers that were seen before it was written"
)


def _seen(workspace: Workspace, policy: Policy, candidate: str, suites: Sequence[str]) -> str:
    """Say which numbers were known before the policy was as it is; empty where none were."""
    since = declared(workspace, policy)
    for entry in workspace.ledger.entries("run"):
        body = entry.body
        if body.get("candidate_fingerprint") != candidate or body.get("suite") not in suites:
            continue
        if since is None or entry.number < since:
            return (
                f"the candidate's numbers on {body['suite']} were known (run {body['run']}) before the policy "
                f"{policy.id} was as it is now"
            )
    return ""


def spend(workspace: Workspace, policy: Policy, candidate: str, attempt: Attempt) -> Attempt:
    """Put a new attempt into the ledger, before anything is measured; a replay and an exploratory one are not.

    Raises:
        InputError: when another attempt was counted since it was planned.
        BrokenRunError: when the ledger cannot be written.
    """
    if attempt.replay or attempt.exploratory:
        return attempt
    with workspace.ledger.transaction() as ledger:
        if len(_counted(workspace, policy)) + 1 != attempt.number:
            raise InputError("another attempt was made at the same time", hint="decide again")
        body: dict[str, Any] = {
            "policy": policy.id, "policy_fingerprint": policy.fingerprint, "attempt": attempt.number,
            "level": attempt.level * attempt.among, "key": attempt.key, "candidate_fingerprint": candidate,
            "samples": sorted({one for one in attempt.samples if one}), "among": attempt.among,
            "contenders": list(attempt.contenders), "questions": sorted(attempt.questions),
        }  # fmt: skip
        ledger.append("attempt", body)
    return replace(attempt, replay=True)


def attempts(workspace: Workspace, policy: str, fingerprint: str) -> list[LedgerEntry]:
    """Return the attempts that count under a version of a policy: those since its last reset or promotion, in order.

    Raises:
        BrokenRunError: where runs or decisions lie in the workspace that the ledger does not know.
    """
    counted: list[LedgerEntry] = []
    for entry in _since_reset(workspace, policy, fingerprint):
        counted = [*counted, entry] if entry.kind == "attempt" else []
    return counted


def _counted(workspace: Workspace, policy: Policy) -> list[LedgerEntry]:
    """Return the attempts that count under a policy as it is; under `fdr` a promotion begins no new period."""
    if not policy.fdr:
        return attempts(workspace, policy.id, policy.fingerprint)
    ever = _since_reset(workspace, policy.id, policy.fingerprint)
    return [entry for entry in ever if entry.kind == "attempt"]


def _since_reset(workspace: Workspace, policy: str, fingerprint: str) -> list[LedgerEntry]:
    """Return the attempts and promotions under a version of a policy since its last reset, in order."""
    require_known(workspace)
    version = policy, fingerprint
    found: list[LedgerEntry] = []
    decided: set[str] = set()
    for entry in workspace.ledger.entries("attempt", "reset", "decision", "promotion"):
        body = entry.body
        if entry.kind == "decision" and (body.get("policy"), body.get("policy_fingerprint")) == version:
            decided.add(body["decision"])
        elif entry.kind == "promotion" and body.get("decision") in decided:
            found.append(entry)
        elif (body.get("policy"), body.get("policy_fingerprint")) == version and entry.kind in {"attempt", "reset"}:
            found = [] if entry.kind == "reset" else [*found, entry]
    return found


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What is left to a version of a policy."""

    version: int
    """Which version of the policy it is, 1 for the first that the ledger knows; 0 where it is not there yet."""
    attempts: int
    """Since the last reset or promotion."""
    spent: float
    """Of alpha."""
    next_level: float
    """At which the next attempt will be checked."""
    resets: int


def budget(workspace: Workspace, policy: Policy) -> Budget:
    """Return what is left to this version of the policy."""
    known = versions(workspace, policy.id)
    made = len(_counted(workspace, policy))
    version = (policy.id, policy.fingerprint)
    resets = [
        entry for entry in workspace.ledger.entries("reset")
        if (entry.body.get("policy"), entry.body.get("policy_fingerprint")) == version
    ]  # fmt: skip
    return Budget(
        version=known.index(policy.fingerprint) + 1 if policy.fingerprint in known else 0, attempts=made,
        spent=_spent(workspace, policy, made), resets=len(resets),
        next_level=level_of(workspace, policy, min(made + 1, policy.attempts or made + 1))
        / told(workspace, [section.suite for section in policy.suites if _hides(section)]),
    )  # fmt: skip


def _spent(workspace: Workspace, policy: Policy, made: int) -> float:
    return sum(level_of(workspace, policy, number) for number in range(1, made + 1))


def reset(workspace: Workspace, policy: Policy, *, reason: str) -> LedgerEntry:
    """Begin to count the attempts under a policy anew; the reason stays in the ledger.

    Raises:
        InputError: without a reason, where there is nothing to reset, or when another process writes.
        BrokenRunError: when the ledger cannot be written.
    """
    if not reason.strip():
        raise InputError("a reset needs a reason", hint='give one with --reason "…"')
    with workspace.lock(), workspace.ledger.transaction() as ledger:
        made = len(_counted(workspace, policy))
        if not made:
            raise InputError(f"no attempt was made under the policy {policy.id} as it is now: nothing to reset")
        body = {
            "policy": policy.id, "policy_fingerprint": policy.fingerprint, "attempts": made,
            "spent": _spent(workspace, policy, made), "reason": reason.strip(),
        }  # fmt: skip
        return ledger.append("reset", body)
