"""The full audit: real adapters whose truth is known are trained, measured and decided as any other.

Everything is kept in a workspace of its own, since the audit promotes its house adapter there. What did not change is
reused by hash: trained adapters, runs and decisions; so an audit that was interrupted goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING

from harness.api import (
    AdapterSpec,
    BrokenRunError,
    Candidate,
    Check,
    CheckStatus,
    Decision,
    Gate,
    InputError,
    OverallStatus,
    Policy,
    PolicySuite,
    RunOptions,
    sha256_json,
    to_plain,
)
from harness.api.workspace import (
    declare,
    promoted,
    read_decision,
    read_run,
    resolve_base,
    resolve_candidate,
)
from harness_audit.known import ADAPTERS, HOUSE, Expected, Known, suites, write_recipe, write_suite
from harness_audit.noise import ruined

if TYPE_CHECKING:
    from pathlib import Path

    from harness.api import Session
    from harness.api.workspace import Workspace

BASE = "smollm2-135m"
IMPROVEMENT = ("audit-persona", Gate(metric="answer_match", kind="superior", to="promoted"))
"""What the second policy asks for on top: an improvement in what the persona knows."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A gate's outcome on an adapter."""

    suite: str
    gate: Gate
    status: CheckStatus
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was decided of an adapter, beside what is true of it."""

    adapter: str
    id: str
    truth: str
    policy: str
    """`keep`: not worse than the house adapter; `improve`: better than it, too; `leak`: the leak gate; `start`: of the
    house adapter itself, limits alone."""
    expected: Expected
    decided: OverallStatus
    sentence: str
    level: float
    caught_by: tuple[str, ...]
    """Suite and metric of the gates that its fault is about."""
    gates: tuple[Measured, ...]

    @property
    def refused_by(self) -> tuple[str, ...]:
        """Suite and metric of the gates that did not pass."""
        return tuple(dict.fromkeys(f"{g.suite} {g.gate.metric}" for g in self.gates if g.status != "passed"))

    @property
    def right(self) -> bool:
        """Whether the decision is what the truth asks for, and a fault was seen by a gate that is about it."""
        passed = self.decided == "passed"
        if self.expected == "promoted":
            return passed
        if self.expected == "refused":
            seen = not self.caught_by or bool(set(self.caught_by) & set(self.refused_by))
            return not passed and seen
        return True


@dataclass(frozen=True, kw_only=True)
class FullAudit:
    """All outcomes, and what they were made with."""

    outcomes: tuple[Outcome, ...]
    seconds: float
    environment: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the full audit works."""

    session: Session
    """In a workspace of its own."""
    say: Callable[[str], None]
    """Takes a line of what is being done."""

    @property
    def workspace(self) -> Workspace:
        """The session's, made where there is none."""
        return self.session.writable_workspace()


def policies(known: Known, folder: Path) -> list[tuple[str, Expected, Policy]]:
    """Return what an adapter is decided by: its own copies of the audit's policies, so that each is a first attempt.

    Args:
        known: the adapter.
        folder: where the suites' files are written.
    """
    if known.copies:
        return [("leak", known.expected, _policy(known, "leak", [PolicySuite(suite="leak")]))]
    sections = [
        PolicySuite(suite=str(write_suite(suite, folder)), limit=suite.limit, gates=suite.gates) for suite in suites()
    ]
    if known.name == HOUSE:  # the first one has nothing to be compared with but the bare base, which is not its task
        alone = [replace(s, gates=tuple(gate for gate in s.gates or () if not gate.arms)) for s in sections]
        return [("start", known.expected, _policy(known, "start", [s for s in alone if s.gates]))]
    found: list[tuple[str, Expected, Policy]] = [("keep", known.expected, _policy(known, "keep", sections))]
    if known.superior is not None:
        more = [
            replace(section, gates=(*(section.gates or ()), IMPROVEMENT[1]))
            if suite.name == IMPROVEMENT[0]
            else section
            for suite, section in zip(suites(), sections, strict=True)
        ]
        found.append(("improve", known.superior, _policy(known, "improve", more)))
    return found


def _policy(known: Known, name: str, sections: Sequence[PolicySuite]) -> Policy:
    content = [[section.suite.rpartition("/")[2], to_plain(section.gates)] for section in sections]
    return Policy(
        id=f"audit-{name}-{known.name}", suites=tuple(sections), about=f"The full audit: {known.truth}",
        fingerprint=sha256_json(content),
    )  # fmt: skip


def audit_adapters(place: Place, names: Sequence[str] = ()) -> FullAudit:
    """Train, measure and decide the adapters.

    Args:
        place: where.
        names: of the adapters to audit; empty is all. The house adapter is always made.

    Raises:
        InputError: where another process writes in the workspace.
        BrokenRunError: where training or a run breaks, or the house adapter does not pass.
    """
    begin = monotonic()
    chosen = [known for known in ADAPTERS if not names or known.name in names or known.name == HOUSE]
    folder = place.workspace.root / "audit"
    outcomes: list[Outcome] = []
    environment: Mapping[str, str] = {}
    with place.workspace.working("harness gate audit --full"):
        declare(place.workspace, [policy for known in chosen for _, _, policy in policies(known, folder)])
        made: dict[str, AdapterSpec] = {}
        for known in chosen:
            place.say(f"{known.name}: {known.truth}")
            made[known.name] = _make(known, made, place, folder)
            candidate = _candidate(made[known.name], place)
            for name, expected, policy in policies(known, folder):
                decision = _stored(policy, candidate, place.workspace)
                if decision is None:
                    decision = _decide(policy, candidate, place)
                outcomes.append(_outcome(known, made[known.name], name, expected, decision))
                if known.name == HOUSE and not _is_promoted(made[HOUSE], place.workspace):
                    _promote_house(decision, policy, place)
                environment = environment or read_run(place.workspace, next(iter(decision.runs))).environment
    return FullAudit(outcomes=tuple(outcomes), seconds=monotonic() - begin, environment=environment)


def _make(known: Known, made: Mapping[str, AdapterSpec], place: Place, folder: Path) -> AdapterSpec:
    start = None if known.start is None else made[known.start]
    if known.noise and start is not None:
        return ruined(place.workspace, start, known.noise, known.seed)
    path = write_recipe(known, folder / known.name, None if start is None else start.id)
    adapter: AdapterSpec | None = place.session.train(path, then=False, device="cpu").adapter
    if adapter is None:
        raise BrokenRunError(f"training {known.name} left no adapter; run the audit again")
    return adapter


def _candidate(adapter: AdapterSpec, place: Place) -> Candidate:
    base = resolve_base(BASE, place.session.plugins.registries, device="cpu")
    return resolve_candidate(base, [adapter.id], place.workspace)


def _is_promoted(adapter: AdapterSpec, workspace: Workspace) -> bool:
    now = promoted(workspace)
    return now is not None and [spec.id for spec in now.adapters] == [adapter.id]


def _stored(policy: Policy, candidate: Candidate, workspace: Workspace) -> Decision | None:
    """Return what an earlier audit decided of this very adapter under this version of the policy, or None.

    Only the house adapter needs it: once promoted, it cannot be compared with itself.

    Raises:
        InputError: where it was promoted under another version of the policy.
    """
    if not _is_promoted(candidate.adapters[0], workspace):
        return None
    for entry in workspace.ledger.entries("decision"):
        mine = entry.body["policy"] == policy.id and entry.body["adapters"] == [candidate.adapters[0].id]
        if mine and entry.body["policy_fingerprint"] == policy.fingerprint:
            return read_decision(workspace, str(entry.body["decision"]))
    raise InputError(
        f"{workspace.root} holds an audit by other gates than today's", hint="name an empty folder with --folder"
    )


def _decide(policy: Policy, candidate: Candidate, place: Place) -> Decision:
    decided: Decision = place.session.bind(seed=0).decide_candidate(policy, candidate, RunOptions()).decision
    return decided


def _promote_house(decision: Decision, policy: Policy, place: Place) -> None:
    if decision.status != "passed":
        raise BrokenRunError(
            f"the house adapter did not pass ({decision.sentence}), so that there is nothing to compare the others with"
        )
    place.session.promote(decision.id, policy=policy)


def _outcome(known: Known, adapter: AdapterSpec, name: str, expected: Expected, decision: Decision) -> Outcome:
    return Outcome(
        adapter=known.name, id=adapter.id, truth=known.truth, policy=name, expected=expected, decided=decision.status,
        sentence=decision.sentence, level=decision.level, caught_by=known.caught_by if expected == "refused" else (),
        gates=tuple(_measured(suite, check) for suite, check in decision.checks),
    )  # fmt: skip


def _measured(suite: str, check: Check) -> Measured:
    return Measured(suite=suite, gate=check.gate, status=check.status, sentence=check.sentence)
