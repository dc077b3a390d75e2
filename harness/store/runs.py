"""Run folders: run.json, samples.parquet, suite.yaml and constitutions.json; immutable once in place.

Samples are streamed in both directions, so that a run of hundreds of thousands never stands in memory whole.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.errors import BrokenRunError, HarnessError, InputError, unknown_id
from harness.hashing import sha256_file
from harness.serial import from_json, to_json
from harness.store.atomic import explained, put_in_place, write_into
from harness.store.intents import begin, commit
from harness.store.promoted import promoted
from harness.store.sample_writer import BATCH, SAMPLES_FILE
from harness.store.seen import item_of, seen_items
from harness.types import Candidate, Constitution, ModelSpec, RunRecord, SampleRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from harness.store.sample_writer import SampleWriter
    from harness.store.workspace import Workspace

RUN_FILE, SUITE_FILE, CONSTITUTIONS_FILE = "run.json", "suite.yaml", "constitutions.json"
_FILES = {
    RUN_FILE: "run_sha256", SAMPLES_FILE: "samples_sha256", SUITE_FILE: "suite_sha256",
    CONSTITUTIONS_FILE: "constitutions_sha256",
}  # fmt: skip
"""The files of a run, and the keys of their hashes in its row in the ledger."""
LATEST = "latest"
"""Stands for the newest run wherever a run is named."""
PROMOTED = "promoted"
_CANDIDATES = frozenset({PROMOTED, "base"})
"""Stand for the newest run of that candidate."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")
"""What runs are called."""


def finish_run(
    workspace: Workspace,
    record: RunRecord,
    writer: SampleWriter,
    suite_text: str,
    constitutions: tuple[Constitution, ...],
) -> RunRecord:
    """Put a run's folder in place, whole, and its row into the ledger.

    Args:
        workspace: where to.
        record: all but `samples_sha256`, which is filled in.
        writer: that holds the run's samples; its folder becomes the run's.
        suite_text: the suite's YAML as it was read.
        constitutions: those that judged.

    Returns:
        The record as it stands in run.json.

    Raises:
        BrokenRunError: when the disk is full or the place may not be written, when the number of samples is not the
            record's, or when a row holds NaN or an infinity; nothing is left.
        InputError: when a text holds half a surrogate pair, or another process writes in the workspace.
    """
    _check_name(record.id)
    folder = workspace.runs / record.id
    with workspace.lock(), writer, explained(folder):
        samples = writer.close()
        if writer.count != record.samples:
            raise BrokenRunError(
                f"run {record.id} speaks of {record.samples} samples, but {writer.count} were to be stored"
            )
        stored = replace(record, samples_sha256=sha256_file(samples))
        text = to_json(stored, indent=1)
        write_into(writer.folder, SUITE_FILE, suite_text)
        write_into(writer.folder, CONSTITUTIONS_FILE, to_json(constitutions, tuple[Constitution, ...]))
        write_into(writer.folder, RUN_FILE, text)
        row = row_of_folder(writer.folder)
        intent = begin(workspace, "run", stored.id, row["run_sha256"])
        put_in_place(writer.folder, folder)
        commit(workspace, intent, row)
    return stored


def _check_name(run: str) -> None:
    if not NAME.fullmatch(run) or run in {LATEST, *_CANDIDATES}:
        raise ValueError(f"{run!r} is no name for a run")


def row_of_folder(folder: Path) -> dict[str, Any]:
    """Return the body of a run's row in the ledger, made from its files: every one of them by hash.

    Raises:
        InputError: when a file cannot be read.
        BrokenRunError: when the samples are not those that run.json names.
    """
    record = from_json(RunRecord, _text(folder / RUN_FILE), file=folder / RUN_FILE)
    found = {name: sha256_file(folder / name) if (folder / name).is_file() else "absent" for name in _FILES}
    for name, digest in found.items():
        if digest == "absent" or (name == SAMPLES_FILE and digest != record.samples_sha256):
            raise BrokenRunError(f"{folder / name}: is not what was put in place")
    return {
        "run": record.id, **{key: found[name] for name, key in _FILES.items()}, "suite": record.suite,
        "candidate_fingerprint": record.candidate_fingerprint, "status": record.status,
    }  # fmt: skip


def find_run(workspace: Workspace, name: str, *, like: RunRecord | None = None) -> str:
    """Return the id of the one run that `name` means: an id, the unique beginning of one, or a word.

    `latest` is the newest run; `promoted` and `base` are the newest of what is promoted and of the bare base.

    Args:
        workspace: where.
        name: what the person wrote.
        like: a run on whose suite, samples and base a run by word must be; None is any.

    Raises:
        InputError: when no run or several are meant; the nearest id is suggested.
    """
    known = sorted(path.name for path in workspace.runs.iterdir() if _is_run(path))
    if name in {LATEST, *_CANDIDATES}:
        records = list_runs(workspace, problems=[])
        if not records:
            raise InputError("there are no runs yet", hint="start one with: harness run SUITE")
        return records[-1].id if name == LATEST else _newest_of(workspace, name, records, like)
    if name in known:
        return name
    meant = [run for run in known if name and run.startswith(name)]
    if len(meant) > 1:
        shown = ", ".join(meant[:5]) + (", …" if len(meant) > 5 else "")
        raise InputError(f"{name!r} is the beginning of {len(meant)} runs: {shown}", hint="give more of the id")
    if not meant:
        raise unknown_id("run", name, known[::-1], listed="harness runs list", made="harness run SUITE")
    return meant[0]


def _newest_of(workspace: Workspace, name: str, records: Sequence[RunRecord], like: RunRecord | None) -> str:
    """Return the newest run of what is promoted, or of the bare base; what shares most with `like` comes first."""
    wanted = promoted(workspace) if name == PROMOTED else None
    base = None if like is None else _base_of(like, records)

    def fits(record: RunRecord) -> bool:
        candidate = record.candidate
        if like is not None and record.suite != like.suite:
            return False
        if wanted is None:
            return candidate == Candidate(model=candidate.model) and base in {None, _named(candidate.model)}
        ids = [[adapter.id for adapter in one.adapters] for one in (candidate, wanted)]
        if ids[0] != ids[1] or _named(candidate.model) != _named(wanted.model):
            return False
        return replace(candidate, adapters=(), model=wanted.model) == replace(wanted, adapters=())

    found = [record for record in records if fits(record)]
    if not found:
        who = "the bare base" if wanted is None else wanted.label
        of = "" if like is None else f" on {like.suite}"
        asked = "" if wanted is None else " --adapter promoted"
        raise InputError(
            f"there is no run of {who}{of}, which {name!r} would name",
            hint=f"run it: harness run {'SUITE' if like is None else like.suite}{asked}",
        )
    return max(enumerate(found), key=lambda one: (*_shared(one[1], like), one[0]))[1].id


def _shared(record: RunRecord, like: RunRecord | None) -> tuple[bool, ...]:
    """Tell how near a run is to another, what matters most first: its samples, its settings, its model's settings."""
    if like is None:
        return ()
    return (
        record.samples_fingerprint == like.samples_fingerprint,
        (record.settings, record.few_shot, record.seed) == (like.settings, like.few_shot, like.seed),
        record.candidate.model == like.candidate.model,
    )


def _named(model: ModelSpec) -> tuple[str | None, ...]:
    return (model.scheme, model.name, model.revision, model.endpoint)


def _base_of(run: RunRecord, records: Sequence[RunRecord]) -> tuple[str | None, ...]:
    """Return the base that a run's candidate stands on; of a whole model the one that it was compared with."""
    whole = run.candidate == Candidate(model=run.candidate.model)
    beside = {run.baseline_runs.get(name) for name in ("base", PROMOTED)} if whole else set()
    bare = [record.candidate.model for record in records if record.id in beside
            and record.candidate == Candidate(model=record.candidate.model)]  # fmt: skip
    return _named(bare[0] if bare else run.candidate.model)


def _is_run(path: Path) -> bool:
    return NAME.fullmatch(path.name) is not None and path.is_dir()


def run_folder(workspace: Workspace, run: str) -> Path:
    """Return the folder of the run that `run` means; raises as `find_run`."""
    return workspace.runs / find_run(workspace, run)


def read_run(workspace: Workspace, run: str, *, like: RunRecord | None = None) -> RunRecord:
    """Return a run's record; `like` as for `find_run`.

    Raises:
        InputError: when no run or several are meant, or run.json cannot be read.
    """
    path = workspace.runs / find_run(workspace, run, like=like) / RUN_FILE
    return from_json(RunRecord, _text(path), file=path)


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", file=path, hint="restore it, or remove the run"
        ) from error


def read_constitutions(workspace: Workspace, run: str) -> tuple[Constitution, ...]:
    """Return the constitutions that judged the run."""
    path = run_folder(workspace, run) / CONSTITUTIONS_FILE
    return from_json(tuple[Constitution, ...], _text(path), file=path)


def read_samples(workspace: Workspace, run: str) -> Iterator[SampleRecord]:
    """Yield a run's samples in order, a batch in memory at a time, without those that decide and are hidden.

    Everything that shows samples to people or to training reads them here.

    Raises:
        InputError: when no run or several are meant, or the file cannot be read.
    """
    seen = seen_items(workspace)
    path = run_folder(workspace, run) / SAMPLES_FILE
    if not seen.drawn:
        return (from_json(SampleRecord, text, file=path) for (text,) in _rows(path, "record"))
    return (
        from_json(SampleRecord, text, file=path)
        for text, digest in _rows(path, "record", "content_hash")
        if not seen.hides(digest)
    )


def read_all_samples(workspace: Workspace, run: str) -> Iterator[SampleRecord]:
    """Yield a run's samples, those that are hidden too: for gates and checks, which show aggregates only."""
    path = run_folder(workspace, run) / SAMPLES_FILE
    return (from_json(SampleRecord, text, file=path) for (text,) in _rows(path, "record"))


def hidden_count(workspace: Workspace, run: str) -> int:
    """Return how many of a run's samples `read_samples` leaves out."""
    seen = seen_items(workspace)
    if not seen.drawn:
        return 0
    return sum(seen.hides(digest) for (digest,) in _rows(run_folder(workspace, run) / SAMPLES_FILE, "content_hash"))


def asked_before(workspace: Workspace) -> dict[str, int]:
    """Return what runs asked before any attempt drew it, in the open, and the ledger's number of the newest such run.

    By item of content and of question; runs of earlier versions hold no questions, and removed ones nothing.
    """
    first: dict[str, int] = {}
    found: dict[str, int] = {}
    for entry in workspace.ledger.entries("draw"):
        for item in (*entry.body["items"], *entry.body.get("questions", ())):
            first.setdefault(item, entry.number)
    for entry in workspace.ledger.entries("run"):
        path = workspace.runs / str(entry.body["run"]) / SAMPLES_FILE
        if path.is_file():
            for row in _rows(path, "content_hash", "question_hash"):
                items = [item_of(digest) for digest in row if digest]
                if all(entry.number < first.get(item, entry.number + 1) for item in items):
                    found.update(dict.fromkeys(items, entry.number))
    return found


def read_prompts(workspace: Workspace, run: str, ids: Collection[str]) -> dict[str, str]:
    """Return the prompts of some of a run's samples by id, hidden ones left out; errors as `read_samples`."""
    seen = seen_items(workspace)
    path = run_folder(workspace, run) / SAMPLES_FILE
    return {
        name: prompt
        for name, prompt, digest in _rows(path, "id", "prompt", "content_hash")
        if name in ids and not seen.hides(digest)
    }


def read_samples_at(workspace: Workspace, run: str, positions: Iterable[int]) -> dict[int, SampleRecord]:
    """Return whole records at some positions among those that `read_samples` yields; errors as it."""
    seen, path = seen_items(workspace), run_folder(workspace, run) / SAMPLES_FILE
    wanted = sorted(set(positions))
    if seen.drawn:
        rows = (at for at, (digest,) in enumerate(_rows(path, "content_hash")) if not seen.hides(digest))
        shown = dict(enumerate(rows))
        places = {shown[at]: at for at in wanted if at in shown}
    else:
        places = {at: at for at in wanted}
    return {places[at]: from_json(SampleRecord, text, file=path) for at, text in _texts_at(path, sorted(places))}


def _texts_at(path: Path, places: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Yield the records at some places, reading no more than the row groups that hold them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            start = 0
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                inside = [place for place in places if start <= place < start + size]
                column = file.read_row_group(group, columns=["record"]).column(0) if inside else ()
                yield from ((place, column[place - start].as_py()) for place in inside)
                start += size
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"cannot be read ({str(error).splitlines()[0]})", file=path) from error


def _rows(path: Path, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of some columns, a batch in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            known = [name for name in columns if name in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=BATCH, columns=known):
                rows = {name: batch.column(name).to_pylist() for name in known}
                yield from zip(*(rows.get(name, [None] * batch.num_rows) for name in columns), strict=True)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"cannot be read ({reason})", file=path, hint="`harness runs rm` removes the run; then run the suite again"
        ) from error


def list_runs(workspace: Workspace, *, problems: list[str] | None = None) -> list[RunRecord]:
    """Return the runs' records, the oldest first.

    Args:
        workspace: the workspace.
        problems: where given, one sentence for each run that cannot be read is added to it, and the run left out.

    Raises:
        InputError: for the first run that cannot be read, where `problems` is None.
    """
    records = []
    for path in workspace.runs.iterdir():
        if not _is_run(path):
            continue
        try:
            records.append(from_json(RunRecord, _text(path / RUN_FILE), file=path / RUN_FILE))
        except InputError as error:
            if problems is None:
                raise
            problems.append(str(error))
    # The ledger's order is the true one: two runs may be of one second, and clocks are set back.
    order = {entry.body.get("run"): entry.number for entry in workspace.ledger.entries("run")}
    return sorted(records, key=lambda record: (order.get(record.id, 0), record.created, record.id))


def run_sha256(workspace: Workspace, run: str) -> str:
    """Return the SHA-256 of the run's run.json, which itself names the hash of samples.parquet."""
    return sha256_file(run_folder(workspace, run) / RUN_FILE)


def check_run(workspace: Workspace, run: str, *, sha256: str | None = None) -> RunRecord:
    """Check a run's files against the ledger, and return its record.

    Args:
        workspace: the workspace.
        run: the run.
        sha256: what run.json must hash to, besides what the ledger says.

    Raises:
        BrokenRunError: naming the file that is not what it was when the run was made.
    """
    folder = run_folder(workspace, run)
    rows = [entry for entry in workspace.ledger.entries("run") if entry.body.get("run") == folder.name]
    if not rows:
        raise BrokenRunError(f"the run {folder.name} is not in the ledger; run its suite again")
    row = rows[-1].body
    for name, key in _FILES.items():
        path = folder / name
        found = sha256_file(path) if path.is_file() else "absent"
        if found != row.get(key) or (name == RUN_FILE and sha256 not in {None, found}):
            raise BrokenRunError(
                f"{path}: is not what it was when the run was made (SHA-256 is {found[:16]}, the ledger has "
                f"{str(sha256 or row.get(key))[:16]}); run the suite again, and decide again"
            )
    return read_run(workspace, folder.name)


def is_whole(workspace: Workspace, record: RunRecord) -> bool:
    """Tell whether a run's files still are what the ledger has, so that something new may rest on them."""
    try:
        return check_run(workspace, record.id) == record
    except HarnessError:
        return False
