"""Intents: what ties a file that was put in place to its row in the ledger, even when the process dies in between.

Before a run or a decision is renamed into place, an intent file names it, its hash and the row's body. After the row is
in the ledger the intent is deleted. Whoever holds the lock next settles what is left: the thing is in place with that
hash and has no row yet → the row is appended; it is not in place → nothing had happened.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.errors import BrokenRunError
from harness.hashing import sha256_file
from harness.store.atomic import explained, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.store.ledger import Kind
    from harness.store.workspace import Workspace

PREFIX = ".intent-"
"""Of the intents' names, in the workspace's folder."""


def intend(workspace: Workspace, target: Path, sha256: str, kind: Kind, body: Mapping[str, Any]) -> Path:
    """Write down what is about to be put in place; the caller holds the lock and calls `settle` afterwards.

    Args:
        workspace: the workspace.
        target: a file within it, not in place yet.
        sha256: of its bytes once it is in place.
        kind: the kind of the ledger's row.
        body: the row's body; it names the hash, so that no two targets share one body.

    Raises:
        BrokenRunError: when the file system refuses.
    """
    intent = workspace.root / f"{PREFIX}{sha256[:32]}"
    name = str(target.relative_to(workspace.root))
    write_file(intent, json.dumps({"target": name, "sha256": sha256, "kind": kind, "body": dict(body)}))
    return intent


def settle(workspace: Workspace) -> None:
    """Append the rows that are owed for what is in place, and drop the intents; the caller holds the lock.

    Raises:
        BrokenRunError: when an intent cannot be read, or the file system refuses.
    """
    for intent in sorted(workspace.root.glob(f"{PREFIX}*")):
        try:
            owed = json.loads(intent.read_text())
            target, digest, kind, body = workspace.root / owed["target"], owed["sha256"], owed["kind"], owed["body"]
        except (ValueError, KeyError, TypeError) as error:
            raise BrokenRunError(f"{intent}: is damaged; delete it and run the command again") from error
        if target.is_file() and sha256_file(target) == digest:
            known = any(entry.body == body for entry in workspace.ledger.entries(kind))
            if not known:
                workspace.ledger.append(kind, body)
        with explained(intent):
            intent.unlink()
