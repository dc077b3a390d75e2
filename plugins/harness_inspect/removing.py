"""Removes runs' folders; what the ledger says of them stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api import InputError
from harness.api.artifacts import remove_folder
from harness.api.workspace import find_run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.api.workspace import Workspace


def remove_runs(workspace: Workspace, names: Iterable[str]) -> list[str]:
    """Remove runs' folders, all or none; their rows in the ledger stay, and another one says that they are gone.

    Args:
        workspace: where.
        names: as `find_run` takes them, or whole ids of runs whose folders are gone already.

    Returns:
        The ids of the removed runs.

    Raises:
        InputError: when no run or several are meant, or a decision rests on a run.
    """
    with workspace.lock():
        known = {str(entry.body.get("run")): entry.body for entry in workspace.ledger.entries("run")}
        removed = {entry.body.get("run") for entry in workspace.ledger.entries("removal")}
        meant = [name if name in known and name not in removed else find_run(workspace, name) for name in names]
        for entry in workspace.ledger.entries("decision"):
            for name in meant:
                if name in entry.body.get("runs", {}) or name in entry.body.get("baseline_runs", {}):
                    raise InputError(
                        f"the run {name} cannot be removed: the decision {entry.body.get('decision')} rests on it",
                        hint="runs behind decisions are kept as their evidence",
                    )
        for name in (meant := list(dict.fromkeys(meant))):
            if name in known and name not in removed:
                workspace.ledger.append("removal", {"run": name, "run_sha256": known[name].get("run_sha256")})
            if (workspace.runs / name).exists():
                remove_folder(workspace.runs / name)
    return meant
