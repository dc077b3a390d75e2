"""SHA-256 of large files, remembered by the file's identity so that a warm start reads no gigabytes.

A note says which size, times and inode had which hash, under a keyed digest (`harness.seal`): a note that somebody else
wrote vouches for nothing. Where a promotion depends on weights they are read whole (`reading_anew`).
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.hashing import canonical_json, sha256_file, sha256_json, sha256_text
from harness.paths import weights_dir
from harness.seal import Seal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MODEL_FILES = ("*.safetensors", "*.json", "*.model", "*.jinja", "*.gguf", "vocab.txt", "merges.txt")
_ANEW: ContextVar[bool] = ContextVar("reading_anew", default=False)
_TICK = 50_000_000
"""Nanoseconds: more than the clocks of file systems take from one time to the next."""


def memoised_sha256(path: Path, *, store: Path | None = None) -> str:
    """Return the SHA-256 of a file, read only where its path, size, times or inode are new.

    Args:
        path: the file; links are followed.
        store: where the memory lives; the weights' store by default. A store that cannot be written is no error.

    Raises:
        InputError: when the file is absent or cannot be read.
    """
    try:
        real = path.resolve(strict=True)
        identity = _identity(real)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from error
    root = store or weights_dir()
    note = root / ".hashes" / f"{sha256_text(str(real))[:32]}.json"
    seal = Seal(root / ".hashes.key")
    known = None if _ANEW.get() else _read(note)
    if known is not None and known.get("identity") == identity and _holds(seal, known):
        return str(known["sha256"])
    try:
        digest = sha256_file(real)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from error
    # A file that changed under the reader is not remembered; nor one so new that a change may bear the same times.
    if _identity(real) == identity and time.time_ns() - max(identity[1:3]) > _TICK:
        content = {"path": str(real), "identity": identity, "sha256": digest}
        _write(note, {**content, "seal": seal.of(canonical_json(content).encode()).hex()})
    return digest


@contextlib.contextmanager
def reading_anew() -> Iterator[None]:
    """Read every file inside the block whole, whatever is remembered of it."""
    token = _ANEW.set(True)
    try:
        yield
    finally:
        _ANEW.reset(token)


def _holds(seal: Seal, note: Mapping[str, object]) -> bool:
    content = {key: value for key, value in note.items() if key != "seal"}
    try:
        return seal.holds(canonical_json(content).encode(), bytes.fromhex(str(note.get("seal"))))
    except ValueError:
        return False


def folder_hash(folder: Path, *, store: Path | None = None) -> str:
    """Return the SHA-256 over a model folder's weights, configuration and tokenizer (the files of its top level).

    Raises:
        InputError: when the folder holds no such file.
    """
    files = sorted({file for pattern in _MODEL_FILES for file in folder.glob(pattern) if file.is_file()})
    if not files:
        raise InputError("holds no model files", file=folder, hint="give a folder with config.json and safetensors")
    return sha256_json({file.name: memoised_sha256(file, store=store) for file in files})


def _identity(path: Path) -> list[int]:
    facts = path.stat()
    return [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_dev]


def _read(note: Path) -> dict[str, object] | None:
    try:
        value = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _write(note: Path, value: dict[str, object]) -> None:
    """Best effort: the memory only saves time."""
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=note.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(value, stream)
        Path(name).replace(note)
