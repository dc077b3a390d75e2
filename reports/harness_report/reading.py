"""What the report reads from a workspace: records as they are stored, and a sentence for each that cannot be read."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import BrokenRunError, HarnessError, InputError
from harness.store.decisions import read_decision
from harness.store.promoted import live
from harness.store.runs import (
    RUN_FILE,
    check_run,
    list_runs,
    read_constitutions,
    run_folder,
)
from harness.store.sample_writer import SAMPLES_FILE
from harness.store.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.store.promoted import Live
    from harness.types import Constitution, Decision, LedgerEntry, RunRecord


@dataclass(frozen=True, kw_only=True)
class EnteredDecision:
    """A decision as the ledger has it; `record` is None where its file cannot be trusted, and `problem` says why."""

    id: str
    created: str
    status: str
    sentence: str
    record: Decision | None
    problem: str | None
    promoted: tuple[str, ...]
    """When it was promoted: times of the ledger's rows."""


@dataclass(frozen=True, kw_only=True)
class Overview:
    """All that the first page shows."""

    runs: tuple[RunRecord, ...]
    """The oldest first."""
    problems: tuple[str, ...]
    """One sentence for each run that cannot be read."""
    live: Live | None
    """What is promoted; None while nothing ever was."""
    decision: str | None
    """The decision by which it was."""
    history: tuple[LedgerEntry, ...]
    decisions: tuple[EnteredDecision, ...]
    """The newest first."""

    @property
    def suites(self) -> list[str]:
        """The suites of the runs, those with the most runs first."""
        return [name for name, _ in Counter(run.suite for run in self.runs).most_common()]

    def run(self, name: str) -> RunRecord | None:
        """Return the run of that id; None where it is not here any more."""
        return next((run for run in self.runs if run.id == name), None)


@contextmanager
def opened(root: Path) -> Iterator[Workspace]:
    """Open the workspace for the length of a block.

    Raises:
        InputError: when there is none.
        BrokenRunError: when its ledger is damaged.
    """
    workspace = Workspace.open(root)
    try:
        yield workspace
    finally:
        workspace.close()


def stamp(root: Path) -> tuple[object, ...]:
    """Return a value that changes whenever the workspace's records do, without reading them."""
    found: list[object] = []
    for folder in (root / "runs", root / "decisions"):
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                file = path / RUN_FILE if path.is_dir() else path
                found.append((path.name, *_identity(file)))
    found.extend((name, *_identity(root / name)) for name in ("ledger.db", "ledger.db-wal"))
    return tuple(found)


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


def samples_stamp(root: Path, run: str) -> tuple[object, ...]:
    """Return a value that changes whenever the run's samples do."""
    return _identity(root / "runs" / run / SAMPLES_FILE)


def files_stamp(root: Path, run: str) -> tuple[object, ...]:
    """Return a value that changes whenever any file of the run does."""
    folder = root / "runs" / run
    return tuple((path.name, *_identity(path)) for path in sorted(folder.iterdir())) if folder.is_dir() else ()


def read_overview(root: Path) -> Overview:
    """Read all records of a workspace; raises as `opened`."""
    with opened(root) as workspace:
        problems: list[str] = []
        runs = list_runs(workspace, problems=problems)
        state = live(workspace)
        changes = workspace.ledger.entries("promotion", "refusal", "rollback")
        promotions = [entry for entry in changes if entry.kind == "promotion"]
        decisions = [_entered(workspace, entry, promotions) for entry in reversed(workspace.ledger.entries("decision"))]
    by = None
    if state is not None:
        by = next((str(e.body.get("decision")) for e in promotions if e.number == state.promotion), None)
    return Overview(
        runs=tuple(runs), problems=tuple(problems), live=state, decision=by, history=changes,
        decisions=tuple(decisions),
    )  # fmt: skip


def _entered(workspace: Workspace, entry: LedgerEntry, promotions: list[LedgerEntry]) -> EnteredDecision:
    name = str(entry.body.get("decision"))
    record, problem = None, None
    try:
        record = read_decision(workspace, name)
    except HarnessError as error:
        problem = str(error)
    return EnteredDecision(
        id=name, created=entry.created, status=str(entry.body.get("status")),
        sentence=str(entry.body.get("sentence")), record=record, problem=problem,
        promoted=tuple(change.created for change in promotions if change.body.get("decision") == name),
    )  # fmt: skip


def integrity(root: Path, run: str) -> str | None:
    """Return what is wrong with a run's files, as the ledger has them; None where they are what they were."""
    with opened(root) as workspace:
        try:
            check_run(workspace, run)
        except (BrokenRunError, InputError) as error:
            return str(error)
    return None


def verify_ledger(root: Path) -> tuple[int, str]:
    """Return the number of rows and the head of the verified ledger; raises BrokenRunError where it is bad."""
    with opened(root) as workspace:
        found = workspace.ledger.verify()
    return found.entries, found.head


def constitutions(root: Path, run: str) -> tuple[Constitution, ...]:
    """Return the constitutions that judged a run; raises InputError where they cannot be read."""
    with opened(root) as workspace:
        return read_constitutions(workspace, run)


def folder_of(root: Path, run: str) -> Path:
    """Return a run's folder; raises InputError where there is none."""
    with opened(root) as workspace:
        return run_folder(workspace, run)
