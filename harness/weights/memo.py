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
from harness.hashing import canonical_json, open_regular, sha256_file, sha256_json, sha256_text
from harness.paths import weights_dir
from harness.seal import Seal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MODEL_FILES = (
    "*.safetensors", "*.json", "*.model", "*.jinja", "*.gguf", "vocab.txt", "merges.txt", "tokenizer.model.*",
    "*.tiktoken", "*.bpe", "*.codes", "additional_chat_templates/*.jinja",
)  # fmt: skip
"""Whatever transformers would load from a model's folder; `_refuse_elsewhere` refuses what it would load besides."""
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
    known = {} if _ANEW.get() else _read(note)
    if known.get("identity") == identity and _holds(seal, known):
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
    """Return the SHA-256 over a model folder's weights, configuration, tokenizer and chat templates.

    Raises:
        InputError: when the folder holds no such file, or names one that lies elsewhere than on its top level.
    """
    return sha256_json(file_hashes(folder, store=store))


def file_hashes(folder: Path, *, store: Path | None = None) -> dict[str, str]:
    """Return the SHA-256 of each file that `folder_hash` counts, by name; raises as it does."""
    return {name: memoised_sha256(file, store=store) for name, file in _model_files(folder).items()}


def folder_state(folder: Path) -> dict[str, tuple[str, list[int]]]:
    """Return where each file of a model folder lies, with size, times and inode: equal ones were not written between.

    Waits where a file is so new that a later change might bear the same times.

    Raises:
        InputError: as `folder_hash`.
    """
    files = _model_files(folder)
    try:
        while True:
            state = {name: (str(file.resolve(strict=True)), _identity(file)) for name, file in files.items()}
            ages = [time.time_ns() - file.stat().st_ctime_ns for file in files.values()]
            if all(not 0 <= age <= _TICK for age in ages):
                return state
            time.sleep(_TICK / 1e9)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=error.filename or folder) from error


def _model_files(folder: Path) -> dict[str, Path]:
    files = {file for pattern in _MODEL_FILES for file in folder.glob(pattern) if file.is_file()}
    if not files:
        raise InputError("holds no model files", file=folder, hint="give a folder with config.json and safetensors")
    for file in sorted(files):
        _refuse_elsewhere(file)
    return {file.relative_to(folder).as_posix(): file for file in sorted(files)}


def _refuse_elsewhere(file: Path) -> None:
    """Refuse what makes transformers load a file that is not on the folder's top level: its hash would leave it out."""
    if file.name.endswith(".safetensors.index.json"):
        weights = _read(file).get("weight_map")
        named = {"weight_map": list(weights.values()) if isinstance(weights, dict) else []}
    elif file.name == "config.json":
        named = {"transformers_weights": [_read(file).get("transformers_weights")]}
    elif file.name == "tokenizer_config.json":
        found = _read(file).get("fast_tokenizer_files")
        named = {"fast_tokenizer_files": found if isinstance(found, list) else []}
    elif file.name == "adapter_config.json" and (file.parent / "config.json").is_file():
        raise InputError(
            "an adapter lies in the folder of the base and would be put on it unseen", file=file,
            hint="move it to a folder of its own and give that with --adapter",
        )  # fmt: skip
    else:
        return
    for key, names in named.items():
        for name in names:
            beside = isinstance(name, str) and Path(name).name == name and name not in {"", ".."} and "\\" not in name
            if name is not None and not beside:
                raise InputError(
                    f"names {str(name)[:200]!r}, and only files beside it are loaded", file=file, key=key,
                    hint="put all files of the model into one folder",
                )  # fmt: skip


def _identity(path: Path) -> list[int]:
    facts = path.stat()
    return [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_dev]


def _read(file: Path) -> dict[str, object]:
    """Return the object that a JSON file holds; nothing where it holds none."""
    try:
        with open_regular(file) as stream:
            value = json.load(stream)
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _write(note: Path, value: dict[str, object]) -> None:
    """Best effort: the memory only saves time."""
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=note.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(value, stream)
        Path(name).replace(note)
