"""The store on disk: one folder for each catalog name, whole or absent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.hashing import sha256_json
from harness.paths import weights_dir
from harness.weights.catalog import CatalogEntry, catalog_entry
from harness.weights.memo import memoised_sha256

if TYPE_CHECKING:
    from filelock import BaseFileLock


def is_present(name: str, *, store: Path | None = None) -> bool:
    """Tell whether the weights are in the store, every file with its pinned size. Reads no contents.

    Raises:
        InputError: for a name that the catalog does not have.
    """
    return _missing(catalog_entry(name), store or weights_dir()) is None


def weights_path(name: str, *, store: Path | None = None) -> Path:
    """Return the weights: the folder, or the one file that matters where the entry has one.

    Raises:
        InputError: for an unknown name, or when the weights are not here; the message says how to fetch them.
    """
    entry = catalog_entry(name)
    folder = _require(entry, store or weights_dir())
    return folder if entry.main is None else folder / entry.main


def weights_folder(name: str, *, store: Path | None = None) -> Path:
    """Return the folder that holds all files of the entry; raises as `weights_path` does."""
    return _require(catalog_entry(name), store or weights_dir())


def weights_hash(name: str, *, store: Path | None = None) -> str:
    """Return the SHA-256 over all files of the entry, after checking each against its pin (memoised).

    Raises:
        InputError: when the weights are absent, or a file's bytes are not the pinned ones.
    """
    root = store or weights_dir()
    entry = catalog_entry(name)
    folder = _require(entry, root)
    found = {}
    for path, pin in entry.files.items():
        digest = memoised_sha256(folder / path, store=root)
        if digest != pin.sha256:
            raise InputError(
                f"is not the file that the catalog pins for {name}: its SHA-256 is {digest[:12]}…, not"
                f" {pin.sha256[:12]}…",
                file=folder / path,
                hint=f"fetch it again with: harness models rm {name} && harness models pull {name}",
            )
        found[path] = digest
    return sha256_json(found)


def lock(name: str, *, store: Path) -> BaseFileLock:
    """Return the lock that makes two processes fetch or build `name` one after the other.

    Raises:
        InputError: when the store cannot be written.
    """
    from filelock import FileLock

    folder = store / ".locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the weights' store cannot be written ({error.strerror})",
            file=folder,
            hint="set HARNESS_WEIGHTS to a folder that can",
        ) from error
    return FileLock(folder / f"{name}.lock")


def _require(entry: CatalogEntry, store: Path) -> Path:
    reason = _missing(entry, store)
    if reason is not None:
        raise InputError(reason, hint=f"run: harness models pull {entry.name}")
    return store / entry.name


def _missing(entry: CatalogEntry, store: Path) -> str | None:
    """Why the weights cannot be used, judged by names and sizes; None when all is there."""
    folder = store / entry.name
    if not folder.is_dir():
        return f"the weights {entry.name} are not here"
    for path, pin in entry.files.items():
        try:
            size = (folder / path).stat().st_size
        except OSError:
            return f"the weights {entry.name} lack the file {path}"
        if size != pin.size:
            return f"the weights {entry.name} are damaged: {path} has {size} bytes, not {pin.size}"
    return None
