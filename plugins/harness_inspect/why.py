"""Why a candidate was promoted or refused: all that the ledger and a decision say of it, in one record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import AdapterSpec, Artifact, Decision, HarnessError, InputError, LedgerEntry, Policy
from harness.api.artifacts import artifacts, read_artifact, resolve_adapters, stored_adapter
from harness.api.workspace import find_decision, live, read_decision, reviews
from harness_inspect.lineage import Lineage, lineage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import Session
    from harness.api.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Why:
    """One decision, and what became of it."""

    decision: Decision
    reviews: tuple[LedgerEntry, ...]
    promotions: tuple[LedgerEntry, ...]
    """By this decision, and the rollbacks that went back to one of them, in order."""
    refusals: tuple[LedgerEntry, ...]
    """Of its promotion, by plugins."""
    live: bool
    """Whether its candidate is what is promoted now, by this decision."""
    policy: Any
    """What is left to the version of the policy that decided, as `session.budget` gives it."""
    others: tuple[LedgerEntry, ...]
    """Other decisions on the same candidate, the oldest first."""


def why(session: Session, name: str | None = None) -> tuple[Why | None, tuple[Lineage, ...]]:
    """Explain a decision, and say where its candidate's adapters, or the artifact that is meant, come from.

    Nothing stands for the decision where there is none about that artifact.

    Args:
        session: in whose workspace.
        name: a decision, or an adapter (its folder, id, or `promoted`) whose newest decision is meant; None is the one
            by which the present candidate was promoted, and while there is none, the newest of all. An artifact of
            another kind is meant by its id, or the beginning of one.

    Raises:
        InputError: when nothing is meant.
        BrokenRunError: when the decision's file is not what the ledger has.
    """
    workspace = session.workspace
    identity, specs, meant = _meant(workspace, name)
    decided = None if identity is None else _explained(session, identity)
    if decided is not None:
        specs = decided.decision.candidate.adapters
    meant += tuple(_record(workspace, spec) for spec in specs)
    return decided, tuple(lineage(workspace, artifact) for artifact in meant)


def _explained(session: Session, identity: str) -> Why:
    workspace = session.workspace
    decision = read_decision(workspace, identity)
    rows = workspace.ledger.entries("decision")
    same = [
        entry for entry in rows
        if entry.body["candidate_fingerprint"] == decision.candidate_fingerprint
        and entry.body["decision"] != decision.id
    ]  # fmt: skip
    changes = workspace.ledger.entries("promotion", "rollback")
    by = {entry.number for entry in changes if entry.kind == "promotion" and entry.body["decision"] == decision.id}
    now = live(workspace)
    policy = Policy(
        id=decision.policy, suites=(), fingerprint=decision.policy_fingerprint, alpha=_alpha(workspace, decision)
    )
    return Why(
        decision=decision, reviews=tuple(reviews(workspace, decision.id)),
        promotions=tuple(entry for entry in changes if entry.number in by or entry.body.get("to") in by),
        refusals=tuple(e for e in workspace.ledger.entries("refusal") if e.body.get("decision") == decision.id),
        live=now is not None and now.promotion in by, policy=session.job("budget")(policy), others=tuple(same),
    )  # fmt: skip


def _alpha(workspace: Workspace, decision: Decision) -> float:
    """Return the alpha of the version of the policy that decided, as it was declared."""
    for entry in workspace.ledger.entries("policy"):
        if entry.body["policy_fingerprint"] == decision.policy_fingerprint:
            return float(entry.body["content"]["alpha"])
    return 0.05


def _meant(workspace: Workspace, name: str | None) -> tuple[str | None, tuple[AdapterSpec, ...], tuple[Artifact, ...]]:
    """Return the decision, the adapters or the artifacts that a name means."""
    if name is None:
        now = live(workspace)
        by = [e for e in workspace.ledger.entries("promotion") if now is not None and e.number == now.promotion]
        return str(by[0].body["decision"]) if by else find_decision(workspace, "latest"), (), ()
    try:
        return find_decision(workspace, name), (), ()
    except InputError as error:
        try:
            specs = resolve_adapters([name], workspace)
        except HarnessError:
            found = [one for one, _ in artifacts(workspace) if len(name) >= 4 and one.id.startswith(name)]
            if len(found) != 1:
                raise error from None
            return None, (), tuple(found)
        return _on(workspace, [spec.id for spec in specs]), specs, ()


def _record(workspace: Workspace, spec: AdapterSpec) -> Artifact:
    """Return what is known of an adapter, here or in its own folder."""
    kept = Path(stored_adapter(workspace, spec.id).path)
    found = read_artifact(kept if kept.is_dir() else Path(spec.path))
    return replace(found or Artifact(kind="adapter"), id=spec.id)


def _on(workspace: Workspace, adapters: Sequence[str]) -> str | None:
    """Return the newest decision on a candidate that has all of the adapters."""
    for entry in reversed(workspace.ledger.entries("decision")):
        if adapters and set(adapters) <= set(entry.body.get("adapters", ())):
            return str(entry.body["decision"])
    return None
