"""The board: what was told of the hidden samples so far, and what the next candidate has to beat.

A. Blum and M. Hardt, The ladder: a reliable leaderboard for machine learning competitions, ICML 2015: a score is shown
only where it beats the best one by a step, so that candidates which are fitted to the board climb slowly. Here not even
the score is shown: each look tells one bit, *rose* or not. Whatever somebody makes of k looks, it is one of at most 2^k
candidates that were fixed before the samples were looked at. So a gate at its level divided by 2^k is wrong no more
often than its level says, by Bonferroni's inequality over them, and `decide` divides by that.

The ledger has who looked and what was told, a row of kind `look`. The best score, which nobody is told, stands in a
file beside it; its hash is in the row.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import BrokenRunError, sha256_json, sha256_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.api import LedgerEntry
    from harness.api.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Board:
    """What is compared, and on which samples."""

    suite: str
    metric: str
    against: str
    """Fingerprint of what candidates are compared with."""
    samples: str
    """Hash of the samples."""
    measured: str
    """Hash of the suite's content, its judge and the seed."""

    @property
    def key(self) -> str:
        """What tells it from others."""
        return sha256_json([self.suite, self.metric, self.against, self.samples, self.measured])

    def looks(self, workspace: Workspace) -> list[LedgerEntry]:
        """Return the looks at it, in order."""
        return [entry for entry in workspace.ledger.entries("look") if entry.body.get("board") == self.key]

    def best(self, workspace: Workspace, looks: Sequence[LedgerEntry]) -> float:
        """Return the best score so far, as a gain over what is compared with: 0 where none rose yet.

        Raises:
            BrokenRunError: where the file is gone, or is not what the last look left.
        """
        if not looks:
            return 0.0
        path = self._path(workspace, looks[-1].body["state"])
        try:
            text = path.read_text("utf-8")
            if sha256_text(text) == looks[-1].body["state"]:
                return float(json.loads(text)["best"])
        except (OSError, ValueError, KeyError) as error:
            raise BrokenRunError(f"{path}: the board cannot be read ({error}); put the file back") from error
        raise BrokenRunError(f"{path}: the board is not what its last look left; put the file back")

    def keep(self, workspace: Workspace, best: float) -> str:
        """Write the best score down, and return the hash of what was written; the caller holds the lock.

        What the last look left stays beside it until `tidy`, since the ledger may yet refuse the new one.
        """
        text = json.dumps({"best": best})
        state = sha256_text(text)
        path = self._path(workspace, state)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        return state

    def tidy(self, workspace: Workspace, state: str) -> None:
        """Remove what earlier looks left, once the ledger holds the new one."""
        path = self._path(workspace, state)
        for other in path.parent.glob(f"{self.key[:16]}-*.json"):
            if other != path:
                other.unlink(missing_ok=True)

    def _path(self, workspace: Workspace, state: str) -> Path:
        return workspace.root / "ladder" / f"{self.key[:16]}-{state[:16]}.json"


def rises(score: float | None, best: float, step: float) -> bool:
    """Tell whether a gain beats the best one by a step; one that could not be measured does not."""
    return score is not None and score >= best + step
