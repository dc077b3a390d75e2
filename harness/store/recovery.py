"""Goes on from what a killed process left: each intent's row is appended, or there is a sentence why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import BrokenRunError, HarnessError
from harness.hashing import sha256_file
from harness.serial import from_json
from harness.store.atomic import explained, make_folder
from harness.store.decisions import NAME as DECISION_NAME
from harness.store.decisions import decision_path, decision_row
from harness.store.intents import Intent, commit, drop, intent_files, read_intent
from harness.store.ledger import GENESIS
from harness.store.runs import NAME as RUN_NAME
from harness.store.runs import RUN_FILE, row_of_folder
from harness.types import Decision

if TYPE_CHECKING:
    from pathlib import Path

    from harness.store.workspace import Workspace

QUARANTINE = "quarantine"
"""The folder to which intents go that cannot be believed."""


def recover(workspace: Workspace) -> None:
    """Settle every intent that is left; the caller holds the lock.

    What an intent names and is not in place never happened. What is in place gets its row, made anew from its files, if
    nothing was appended since the intent was written. An intent that cannot be believed is set aside.

    Raises:
        BrokenRunError: when one was set aside, or the file system refuses.
    """
    for path in intent_files(workspace):
        try:
            _settle(workspace, read_intent(path))
        except HarnessError as error:
            kept = _set_aside(workspace, path)
            reason = str(error).removeprefix(f"{path}: ")
            raise BrokenRunError(
                f"{path}: {reason}; nothing was put into the ledger for it, and it was moved to {kept}: run the command"
                " again, and `harness ledger verify` says what is in place without a row"
            ) from error


def _settle(workspace: Workspace, intent: Intent) -> None:
    target = _target(workspace, intent)
    if not target.is_file():
        drop(workspace, intent)
        return
    if sha256_file(target) != intent.sha256:
        raise BrokenRunError(f"{target.name} of {intent.name} is not what was to be put in place")
    body = _row(target, intent)
    rows = workspace.ledger.entries()
    number = next((row.number for row in rows if row.hash == intent.previous), 0)
    if not number and intent.previous != GENESIS:
        raise BrokenRunError(f"the ledger holds no row {intent.previous[:16]}, which it was to follow")
    if number == len(rows):
        commit(workspace, intent, body)
    elif (rows[number].kind, rows[number].body) == (intent.kind, body):
        drop(workspace, intent)
    else:
        raise BrokenRunError(f"the ledger went on after {intent.previous[:16]} without the {intent.kind} {intent.name}")


def _target(workspace: Workspace, intent: Intent) -> Path:
    """Return the file that an intent means; a name that is none leads nowhere."""
    if not (DECISION_NAME if intent.kind == "decision" else RUN_NAME).fullmatch(intent.name):
        raise BrokenRunError(f"{intent.name!r} is no name for a {intent.kind}")
    if intent.kind == "decision":
        return decision_path(workspace, intent.name)
    return workspace.runs / intent.name / RUN_FILE


def _row(target: Path, intent: Intent) -> dict[str, Any]:
    if intent.kind == "run":
        body = row_of_folder(target.parent)
    else:
        body = decision_row(from_json(Decision, target.read_bytes(), file=target), intent.sha256)
    if body[intent.kind] != intent.name:
        raise BrokenRunError(f"{target.name} of {intent.name} calls itself {body[intent.kind]}")
    return body


def _set_aside(workspace: Workspace, path: Path) -> Path:
    folder = workspace.root / QUARANTINE
    make_folder(folder)
    target = folder / path.name.removeprefix(".")
    with explained(target):
        path.replace(target)
    return target
