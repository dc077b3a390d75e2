"""What is promoted: derived from the ledger alone, and written to `adapters/promoted` for other programs.

That file is JSON: `entry` and `head` (number and hash of the ledger's row that made it so), `candidate` (null for the
bare base), `candidate_fingerprint`, `adapters` (absolute folders, in the order in which they apply) and `model`: what
they stand on, with the hash of its weights, the SHA-256 of its files where it lies in a folder of this machine, and
whether its weights can be verified (null where an earlier version did not say). It is replaced atomically, and made
anew from the ledger whenever a workspace is opened and it differs.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import BrokenRunError, HarnessError, InputError
from harness.hashing import open_regular
from harness.serial import from_json, to_plain
from harness.store.artifacts import artifact_folder
from harness.store.atomic import explained, write_file
from harness.types import Candidate, LedgerEntry, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.store.workspace import Workspace

ALIAS = "promoted"
"""Name of the alias file in the adapters' folder."""
_MOST_ALIAS = 16 * 2**20
"""Bytes."""


@dataclass(frozen=True, kw_only=True)
class Live:
    """What is promoted now."""

    entry: LedgerEntry
    """The promotion or rollback that made it so."""
    promotion: int
    """Number of the promotion whose candidate is live; 0 for the bare base."""
    candidate: Candidate | None
    """None for the bare base."""
    fingerprint: str | None
    """The candidate's, as it was decided upon; None for the bare base."""
    base: ModelSpec | None
    """The bare base below all promotions; None where an earlier version rolled back to it and did not say which."""
    weights: str | None
    """Hash of the model's weights; None for the bare base, and where an earlier version promoted."""
    files: Mapping[str, str]
    """SHA-256 of the model's files by absolute path, where it lies on this machine outside the weights' store."""
    verifiable: bool | None
    """Whether the weights can be verified: not a served model's. None where an earlier version promoted."""

    @property
    def model(self) -> ModelSpec | None:
        """What is to be loaded: the candidate's model, else the bare base."""
        return self.base if self.candidate is None else self.candidate.model


def live(workspace: Workspace) -> Live | None:
    """Return what is promoted, or None while nothing ever was.

    Raises:
        BrokenRunError: when the ledger's row cannot be read.
    """
    if not workspace.has_ledger:
        return None
    entry = workspace.ledger.last("promotion", "rollback")
    return None if entry is None else live_after(workspace, entry)


def live_after(workspace: Workspace, entry: LedgerEntry) -> Live:
    """Return what a promotion or a rollback made live."""
    body = entry.body
    try:
        promotion = entry.number if entry.kind == "promotion" else int(body["to"])
        stored = body["candidate"]
        candidate = None if stored is None else from_json(Candidate, json.dumps(stored))
        fingerprint = body["candidate_fingerprint"]
        base = None if body.get("base") is None else from_json(ModelSpec, json.dumps(body["base"]))
        files = {str(file): str(digest) for file, digest in body.get("model_files", {}).items()}
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
        raise BrokenRunError(f"{workspace.ledger_path}: row {entry.number} of the ledger is malformed") from error
    if candidate is not None:
        adapters = tuple(
            # The workspace may have been moved: what is promoted always lies within it.
            replace(spec, path=str(artifact_folder(workspace, "adapter", spec.id)))
            for spec in candidate.adapters
        )
        candidate = replace(candidate, adapters=adapters)
    return Live(
        entry=entry, promotion=promotion, candidate=candidate, fingerprint=fingerprint,
        base=candidate.model if base is None and candidate is not None else base,
        weights=body.get("model_weights"), files=files, verifiable=body.get("verifiable"),
    )  # fmt: skip


def entered_files(workspace: Workspace) -> dict[str, Mapping[str, str]]:
    """Return the SHA-256 of the kept adapters' files by adapter and name, as the newest promotion of each entered them.

    Promotions of earlier versions entered none.
    """
    rows = workspace.ledger.entries("promotion") if workspace.has_ledger else ()
    entered = [row.body.get("adapter_files") for row in rows]
    return {name: files for found in entered if isinstance(found, dict) for name, files in found.items()}


def promoted(workspace: Workspace) -> Candidate | None:
    """Return the promoted candidate; None while that is the bare base."""
    state = live(workspace)
    return None if state is None else state.candidate


def first_promoted(workspace: Workspace) -> Candidate | None:
    """Return what was promoted first, whatever was promoted since; None while nothing ever was."""
    if not workspace.has_ledger:
        return None
    entries = workspace.ledger.entries("promotion")
    return live_after(workspace, entries[0]).candidate if entries else None


def alias_path(workspace: Workspace) -> Path:
    """Return the path of the alias file."""
    return workspace.adapters / ALIAS


def alias_text(workspace: Workspace) -> str | None:
    """Return what the alias file must say; None where there must be none."""
    state = live(workspace)
    if state is None:
        return None
    candidate = state.candidate
    content = {
        "entry": state.entry.number,
        "head": state.entry.hash,
        "promoted": state.entry.created,
        "candidate": None if candidate is None else to_plain(candidate),
        "candidate_fingerprint": state.fingerprint,
        "adapters": [] if candidate is None else [spec.path for spec in candidate.adapters],
        "model": None if state.model is None else {
            **to_plain(state.model), "weights": state.weights, "files": dict(state.files),
            "verifiable": state.verifiable,
        },
    }  # fmt: skip
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def current_alias(workspace: Workspace) -> str | None:
    """Return what the alias file says; None where it cannot be read or is no regular file."""
    try:
        with open_regular(alias_path(workspace)) as stream:
            return stream.read(_MOST_ALIAS).decode()
    except (OSError, UnicodeDecodeError):
        return None


def mend_alias(workspace: Workspace) -> None:
    """Make the alias file say what the ledger says. Without the lock it is left to whoever holds it.

    An alias is written after its row, so that its head is always in the ledger. One that names another head is left as
    it is: it shows that the ledger was lost, cut short or built anew.

    Raises:
        BrokenRunError: when the alias names a row that the ledger does not hold, or when the file system refuses and
            the caller holds the lock.
    """
    path = alias_path(workspace)
    wanted = alias_text(workspace)
    current = current_alias(workspace)
    if current == wanted:
        return
    _check_head(workspace, path, current)
    if workspace.locked:
        _put(path, wanted)
    elif workspace.try_lock():
        try:
            with suppress(HarnessError):  # a reader that may not write still reads the truth, from the ledger
                _put(path, alias_text(workspace))
        finally:
            workspace.release()


def _check_head(workspace: Workspace, path: Path, text: str | None) -> None:
    """Refuse to go on where the alias, if that is one, names a row that the ledger does not hold."""
    try:
        found = json.loads(text or "")
        number, head = found["entry"], found["head"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return
    if not (type(number) is int and 0 < number < 2**63 and isinstance(head, str)):
        return
    if not workspace.has_ledger or not workspace.ledger.holds(number, head):
        raise BrokenRunError(
            f"{path}: names the head {head[:16]!r} of entry {number}, which {workspace.ledger_path.name} does not "
            "hold: the ledger was lost, cut short or built anew; restore it from a backup (or delete the alias, if the "
            "ledger as it is now shall count)"
        )


def _put(path: Path, text: str | None) -> None:
    if text is not None:
        write_file(path, text)
        return
    with explained(path):
        path.unlink(missing_ok=True)
