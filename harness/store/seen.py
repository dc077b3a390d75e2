"""Which samples have decided, and which of them anybody may see: by hash, in the ledger.

A row of kind `draw` says which samples an attempt decides by: from then on their replies and rows are hidden, in
whatever run they stand. A row of kind `reveal` says which samples a person looked at, or a run asked in the open: they
are shown, and never decide again under a policy that hides what decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.store.workspace import Workspace
    from harness.types import LedgerEntry

_DIGITS = 16
"""Of a content hash: 64 bits tell apart whatever a workspace will ever hold."""


def item_of(content_hash: str) -> str:
    """Return what the ledger keeps of a sample's content hash."""
    return content_hash[:_DIGITS]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the ledger says of samples."""

    drawn: Mapping[str, int]
    """Number of the newest row that drew it, by item: of a content, and of a question whatever stands beside it."""
    shown: frozenset[str]

    def hides(self, content_hash: str) -> bool:
        """Tell whether a sample's replies and rows are hidden."""
        item = item_of(content_hash)
        return item in self.drawn and item not in self.shown


def seen_items(workspace: Workspace) -> Seen:
    """Return what the ledger says of samples; raises as `Ledger.entries`."""
    drawn: dict[str, int] = {}
    shown: set[str] = set()
    for entry in workspace.ledger.entries("draw", "reveal"):
        if entry.kind == "draw":
            drawn.update(dict.fromkeys((*entry.body["items"], *entry.body.get("questions", ())), entry.number))
        else:
            shown.update(entry.body["items"])
    return Seen(drawn=drawn, shown=frozenset(shown))


def find_draw(workspace: Workspace, key: str) -> LedgerEntry | None:
    """Return the row of a draw, or None."""
    return next((entry for entry in workspace.ledger.entries("draw") if entry.body.get("key") == key), None)


def note_shown(workspace: Workspace, hashes: Iterable[str], *, reason: str, by: str = "") -> LedgerEntry | None:
    """Put into the ledger that samples were shown; None where all of them were before.

    Raises:
        InputError, BrokenRunError: as `Ledger.append`.
    """
    with workspace.lock(), workspace.ledger.transaction() as ledger:
        items = sorted({item_of(one) for one in hashes} - seen_items(workspace).shown)
        body = {"items": items, "reason": reason, **({"by": by} if by else {})}
        return ledger.append("reveal", body) if items else None
