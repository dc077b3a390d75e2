"""Whether what lies in the workspace and what the ledger says are the same, in both directions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from harness.api import AdapterSpec, BrokenRunError, HarnessError, sha256_file
from harness.api.artifacts import (
    artifact_folder,
    check_kept,
    ids,
    is_whole,
    kinds,
    list_adapters,
    stored_adapter,
)
from harness.api.workspace import (
    NAME,
    RUN_FILE,
    alias_path,
    alias_text,
    check_run,
    current_alias,
    decision_path,
    intent_files,
    live,
    live_after,
    pending,
    read_intent,
)
from harness_promotion.model_files import check_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.api import LedgerEntry
    from harness.api.workspace import Workspace


def problems(workspace: Workspace, *, deep: bool = False) -> Iterator[str]:
    """Yield a sentence for each thing that is not what the ledger says of it. The ledger itself is `Ledger.verify`'s.

    Args:
        workspace: where.
        deep: hash every file of every run, adapter and dataset, and not only what names the others by hash.
    """
    for path in intent_files(workspace):
        try:
            read_intent(path)
        except BrokenRunError as error:
            yield f"{error}; the next command that writes sets it aside"
    yield from _unknown(workspace)
    yield from _decisions(workspace)
    yield from _runs(workspace, deep=deep)
    yield from promoted_problems(workspace)
    if deep:
        yield from _adapters(workspace)
        yield from _artifacts(workspace)


def promoted_problems(workspace: Workspace) -> Iterator[str]:
    """Yield what is wrong with the bytes of what is promoted, and with its alias."""
    state = live(workspace)
    for spec in () if state is None or state.candidate is None else state.candidate.adapters:
        yield from _complaint(partial(check_kept, workspace, spec))
    if state is not None:
        yield from _complaint(partial(check_model, state.model, state.files))
    if current_alias(workspace) != alias_text(workspace):
        yield (
            f"{alias_path(workspace)}: is not what the ledger says is promoted; any command that may write here puts it"
            " right"
        )


def require_known(workspace: Workspace) -> None:
    """Refuse to count attempts where runs or decisions lie here that the ledger does not know.

    They were made: so that the ledger was cut short or replaced by an older one, and attempts would come back.

    Raises:
        BrokenRunError: naming one of them.
    """
    for problem in _unknown(workspace):
        raise BrokenRunError(f"{problem}; attempts are not counted until then")


def _unknown(workspace: Workspace) -> Iterator[str]:
    """Yield what is in place without a row."""
    # In this order: what is put in place while this reads has an intent or already its row.
    decided = sorted(path.stem for path in workspace.decisions.glob("*.json"))
    made = sorted(path.name for path in workspace.runs.iterdir() if NAME.fullmatch(path.name) and path.is_dir())
    on_the_way = set(pending(workspace))
    rows = workspace.ledger.entries("run", "decision") if workspace.has_ledger else ()
    known = {(row.kind, row.body.get(row.kind)) for row in rows} | on_the_way
    for name in decided:
        if ("decision", name) not in known:
            yield (
                f"{decision_path(workspace, name)}: the ledger does not know this decision: the ledger was cut short, "
                "or the file was put here; restore ledger.db from a backup, or move the file away"
            )
    for name in made:
        if ("run", name) not in known:
            yield (
                f"{workspace.runs / name}: the ledger does not know this run: the ledger was cut short, or the folder "
                f"was put here; restore ledger.db from a backup, or remove it: harness runs rm {name}"
            )


def _decisions(workspace: Workspace) -> Iterator[str]:
    """Yield which decisions are not what the ledger has, and what they rest on and is not in it."""
    known = {row.body.get("run"): row.body.get("run_sha256") for row in workspace.ledger.entries("run")}
    for row in workspace.ledger.entries("decision"):
        path = decision_path(workspace, str(row.body.get("decision")))
        if not path.is_file():
            yield f"{path}: the ledger has this decision, but its file is gone; restore it from a backup"
        elif sha256_file(path) != row.body.get("decision_sha256"):
            yield f"{path}: is not what the ledger has; restore it from a backup, or decide again"
        for run, sha256 in _behind(row).items():
            if known.get(run) != sha256:
                yield f"entry {row.number}: the decision rests on the run {run}, which the ledger has not like that"


def _behind(decision: LedgerEntry) -> dict[str, str]:
    """Return the runs that a decision rests on, with their hashes."""
    parts = [decision.body.get(key) for key in ("runs", "baseline_runs")]
    return {str(run): str(sha256) for part in parts if isinstance(part, dict) for run, sha256 in part.items()}


def _runs(workspace: Workspace, *, deep: bool) -> Iterator[str]:
    removed = {row.body.get("run") for row in workspace.ledger.entries("removal")}
    behind = {run for row in workspace.ledger.entries("decision") for run in _behind(row)}
    for row in workspace.ledger.entries("run"):
        name = str(row.body.get("run"))
        folder = workspace.runs / name
        path = folder / RUN_FILE
        if not folder.is_dir() and name in behind:
            yield f"{folder}: a decision rests on this run, but its folder is gone; restore it from a backup"
        elif not folder.is_dir() and name not in removed:
            yield (
                f"{folder}: the ledger has this run, but its folder is gone; restore it from a backup, or say that it "
                f"was removed: harness runs rm {name}"
            )
        elif folder.is_dir() and name in removed:
            yield f"{folder}: the ledger says that this run was removed; remove it: harness runs rm {name}"
        elif folder.is_dir() and deep:
            yield from _complaint(partial(check_run, workspace, name))
        elif folder.is_dir() and (not path.is_file() or sha256_file(path) != row.body.get("run_sha256")):
            yield f"{path}: is not what the ledger has; restore it from a backup, or run its suite again"


def _adapters(workspace: Workspace) -> Iterator[str]:
    """Yield what is wrong with any adapter that is kept, and those of promotions that are gone."""
    kept = {name: stored_adapter(workspace, name).path for name in list_adapters(workspace)}
    for row in workspace.ledger.entries("promotion"):
        candidate = live_after(workspace, row).candidate
        kept |= {spec.id: spec.path for spec in (candidate.adapters if candidate else ())}
    for name, path in sorted(kept.items()):
        yield from _complaint(partial(check_kept, workspace, AdapterSpec(id=name, path=path, reference=name)))


def _complaint(check: Callable[[], object]) -> Iterator[str]:
    try:
        check()
    except HarnessError as error:
        yield str(error)


def _artifacts(workspace: Workspace) -> Iterator[str]:
    """Yield what is wrong with artifacts of other kinds than adapters."""
    for kind in set(kinds(workspace)) - {"adapter"}:
        for identity in ids(workspace, kind):
            folder = artifact_folder(workspace, kind, identity)
            if not is_whole(kind, folder):
                yield f"{folder}: has changed since it was stored; remove it, and make it again"
