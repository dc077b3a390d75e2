"""SHA-256 of large files, remembered by the file's identity so that a warm start reads no gigabytes."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path

from harness.errors import InputError
from harness.hashing import sha256_file, sha256_json, sha256_text
from harness.paths import weights_dir

_MODEL_FILES = ("*.safetensors", "*.json", "*.model", "*.jinja", "*.gguf", "vocab.txt", "merges.txt")


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
    note = (store or weights_dir()) / ".hashes" / f"{sha256_text(str(real))[:32]}.json"
    known = _read(note)
    if known is not None and known.get("identity") == identity and isinstance(known.get("sha256"), str):
        return str(known["sha256"])
    try:
        digest = sha256_file(real)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from error
    if _identity(real) == identity:  # a file that changed under the reader is not remembered
        _write(note, {"path": str(real), "identity": identity, "sha256": digest})
    return digest


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
