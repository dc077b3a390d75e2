"""The intent log: what ties a file that is put in place to its row in the ledger, even when its process dies between.

Before a run or a decision is renamed into place, an intent names it, its hash, and the ledger's head that its row will
follow. Then the row is appended, and the intent deleted. Whoever takes the lock next goes on from what is left
(`harness.store.recovery`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import BrokenRunError
from harness.hashing import sha256_json
from harness.store.atomic import explained, write_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.store.workspace import Workspace

PREFIX = ".intent-"
"""Of the intents' names, in the workspace's folder."""
IntentKind = Literal["run", "decision"]


@dataclass(frozen=True, kw_only=True)
class Intent:
    """One thing that is about to be put in place."""

    kind: IntentKind
    name: str
    """The run's or the decision's id."""
    sha256: str
    """Of its file (a run's run.json) once it is in place."""
    previous: str
    """The ledger's head, which its row will name as the hash of the row before."""

    @property
    def file_name(self) -> str:
        """What the intent's own file is called."""
        return f"{PREFIX}{self.sha256[:32]}"


def begin(workspace: Workspace, kind: IntentKind, name: str, sha256: str) -> Intent:
    """Write down what is about to be put in place; the caller holds the lock and calls `commit` afterwards.

    Raises:
        BrokenRunError: when the file system refuses.
    """
    intent = Intent(kind=kind, name=name, sha256=sha256, previous=workspace.ledger.head())
    content = asdict(intent)
    write_file(workspace.root / intent.file_name, json.dumps({**content, "digest": sha256_json(content)}))
    return intent


def commit(workspace: Workspace, intent: Intent, body: Mapping[str, Any]) -> None:
    """Append the row of what is in place now, and drop the intent."""
    workspace.ledger.append(intent.kind, body)
    drop(workspace, intent)


def drop(workspace: Workspace, intent: Intent) -> None:
    """Delete an intent's file."""
    path = workspace.root / intent.file_name
    with explained(path):
        path.unlink()


def intent_files(workspace: Workspace) -> list[Path]:
    """Return the files of the intents that are left, in a fixed order."""
    return sorted(workspace.root.glob(f"{PREFIX}*"))


def read_intent(path: Path) -> Intent:
    """Return an intent as it was written.

    Raises:
        BrokenRunError: when the file is no intent, or is not what was written.
    """
    try:
        content = json.loads(path.read_bytes())
        digest = content.pop("digest")
        intent = Intent(**content)
        whole = digest == sha256_json(content) and all(isinstance(value, str) for value in content.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BrokenRunError(f"{path}: is no intent that was written here, or is damaged") from error
    if not whole or intent.kind not in {"run", "decision"} or intent.file_name != path.name:
        raise BrokenRunError(f"{path}: is not what was written (its digest is another)")
    return intent


def pending(workspace: Workspace) -> Iterator[tuple[str, str]]:
    """Yield kind and name of what readers may see in place shortly before its row; bad intents name nothing."""
    for path in intent_files(workspace):
        try:
            intent = read_intent(path)
        except BrokenRunError:
            continue
        yield intent.kind, intent.name
