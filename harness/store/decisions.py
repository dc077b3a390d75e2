"""Decision files: one JSON file each, never changed again, each with its row in the ledger."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.errors import BrokenRunError, InputError, unknown_id
from harness.hashing import sha256_file, sha256_text
from harness.serial import from_json, to_json
from harness.store.atomic import write_file
from harness.store.intents import begin, commit
from harness.types import Decision, LedgerEntry

if TYPE_CHECKING:
    from pathlib import Path

    from harness.store.workspace import Workspace

LATEST = "latest"
"""Stands for the newest decision wherever one is named."""
NAME = re.compile(r"[0-9a-f]{12}")
"""What decisions are called."""


def store_decision(workspace: Workspace, decision: Decision) -> None:
    """Put a decision's file in place and its row into the ledger; the caller holds the lock.

    Raises:
        BrokenRunError: when the file system refuses.
    """
    text = to_json(decision, indent=1)
    digest = sha256_text(text)
    intent = begin(workspace, "decision", decision.id, digest)
    write_file(decision_path(workspace, decision.id), text)
    commit(workspace, intent, decision_row(decision, digest))


def decision_row(decision: Decision, sha256: str) -> dict[str, Any]:
    """Return the body of a decision's row in the ledger, given the hash of its file."""
    return {
        "decision": decision.id, "decision_sha256": sha256, "status": decision.status, "sentence": decision.sentence,
        "policy": decision.policy, "policy_fingerprint": decision.policy_fingerprint,
        "candidate_fingerprint": decision.candidate_fingerprint,
        "adapters": [spec.id for spec in decision.candidate.adapters],
        "baseline_fingerprint": decision.baseline_fingerprint,
        "runs": dict(decision.runs), "baseline_runs": dict(decision.baseline_runs),
        "attempt": decision.attempt, "level": decision.level, "exploratory": decision.exploratory,
        "review": decision.review, "p": decision.p,
    }  # fmt: skip


def decision_path(workspace: Workspace, decision: str) -> Path:
    """Return the file of a decision by its whole id."""
    return workspace.decisions / f"{decision}.json"


def find_decision(workspace: Workspace, name: str) -> str:
    """Return the id of the one decision that `name` means: an id, the unique beginning of one, or `latest`.

    Raises:
        InputError: when none or several are meant.
    """
    known = [
        path.stem for path in workspace.decisions.iterdir() if path.suffix == ".json" and NAME.fullmatch(path.stem)
    ]
    if name == LATEST:
        newest = workspace.ledger.last("decision")
        if newest is None:
            raise InputError("there are no decisions yet", hint="make one with: harness decide --adapter REF")
        return str(newest.body["decision"])
    meant = [decision for decision in known if name and decision.startswith(name)]
    if len(meant) > 1:
        raise InputError(f"{name!r} is the beginning of {len(meant)} decisions", hint="give more of the id")
    if not meant:
        made = [str(row.body["decision"]) for row in workspace.ledger.entries("decision")] if known else []
        raise unknown_id(
            "decision", name, list(dict.fromkeys(reversed(made))), listed="harness history --decisions",
            made="harness decide --adapter REF",
        )  # fmt: skip
    return meant[0]


def read_decision(workspace: Workspace, name: str) -> Decision:
    """Return a stored decision, after checking its file against the ledger.

    Raises:
        InputError: when none or several are meant, or the file cannot be read.
        BrokenRunError: when the file is not the decision that the ledger holds.
    """
    return read_entered_decision(workspace, name)[0]


def read_entered_decision(workspace: Workspace, name: str) -> tuple[Decision, LedgerEntry]:
    """Return a decision with its row in the ledger; raises as `read_decision`."""
    decision = find_decision(workspace, name)
    path = decision_path(workspace, decision)
    rows = [entry for entry in workspace.ledger.entries("decision") if entry.body.get("decision") == decision]
    if not path.is_file():
        raise BrokenRunError(f"{path}: the decision is in the ledger, but its file is gone; decide again")
    if not rows:
        raise BrokenRunError(f"{path}: the decision is not in the ledger; decide again")
    if sha256_file(path) != rows[-1].body.get("decision_sha256"):
        raise BrokenRunError(f"{path}: the file is not what the ledger has; decide again")
    return from_json(Decision, path.read_bytes(), file=path), rows[-1]


def reviews(workspace: Workspace, decision: str) -> list[LedgerEntry]:
    """Return what persons said of a decision, by its whole id, the oldest first."""
    return [entry for entry in workspace.ledger.entries("review") if entry.body.get("decision") == decision]
