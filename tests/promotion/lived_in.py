"""A workspace in which things happened, and what it says: the ground for the tampering table and the fuzzer."""

from __future__ import annotations

from pathlib import Path

from harness.errors import HarnessError
from harness.store.adapters import resolve_adapters
from harness.store.decisions import read_decision
from harness.store.promoted import live
from harness.store.workspace import Workspace
from harness_promotion.attempts import attempts
from harness_promotion.promoting import promote
from harness_promotion.reconcile import problems
from tests.store import builders


def live_in(root: Path) -> None:
    """Promote two adapters in turn, refuse a third, decide on a fourth, and leave a run that no decision rests on."""
    workspace = Workspace.open(root, create=True)
    for step, (name, status) in enumerate(
        {"one": "passed", "two": "passed", "three": "failed", "four": "passed"}.items(), start=1
    ):
        folder = builders.adapter(root.parent / name, float(step))
        who = builders.candidate(*resolve_adapters([str(folder)], workspace))
        now = live(workspace)
        found = builders.evidence(
            workspace, who, f"fp-{name}", baseline=None if now is None else now.candidate,
            baseline_fingerprint="base" if now is None else str(now.fingerprint), status=status,
        )  # fmt: skip
        decision = builders.decide(workspace, builders.policy(), found)
        if name in {"one", "two"}:
            promote(workspace, decision.id, builders.plugins())
    builders.stored_run(workspace, builders.run_record(fingerprint="loose"))
    workspace.cache.put_many({"a" * 64: b"a reply"})
    workspace.close()


def complaints(root: Path, *, deep: bool = True) -> list[str]:
    """Return what `harness ledger verify` complains of."""
    try:
        workspace = Workspace.open(root)
    except HarnessError as error:
        return [str(error)]
    try:
        workspace.ledger.verify()
        return list(problems(workspace, deep=deep))
    except HarnessError as error:
        return [str(error)]
    finally:
        workspace.close()


def verdicts(root: Path) -> dict[str, object]:
    """Return all that anybody would act on: what is live, each decision's status, and how many attempts were made."""
    workspace = Workspace.open(root)
    try:
        now = live(workspace)
        names = sorted(str(row.body["decision"]) for row in workspace.ledger.entries("decision"))
        policy = builders.policy()
        return {
            "live": None if now is None else (now.entry.hash, now.fingerprint),
            "decisions": {name: read_decision(workspace, name) for name in names},
            "attempts": len(attempts(workspace, policy.id, policy.fingerprint)),
            "reviews": [row.hash for row in workspace.ledger.entries("review", "reset", "refusal")],
            "runs": sorted(str(row.body["run"]) for row in workspace.ledger.entries("run")),
        }
    finally:
        workspace.close()
