"""Identity by content: canonical JSON and SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 1 << 20
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
"""Made once: a run of hundreds of thousands of samples makes millions of these texts."""


def canonical_json(value: object) -> str:
    """Return `value` as JSON with sorted keys and no spaces, so that equal values give equal text.

    Raises:
        ValueError: for NaN and infinities, which JSON cannot carry.
    """
    return _CANONICAL.encode(value)


def sha256_text(text: str) -> str:
    """Return the SHA-256 of the text's UTF-8 bytes, 64 hexadecimal digits. Lone surrogates hash as their escapes."""
    return hashlib.sha256(_bytes(text)).hexdigest()


def short_digest(value: object) -> bytes:
    """Return 16 bytes that tell plain values apart by their `repr`, within one process: nothing is stored of them."""
    return hashlib.blake2b(_bytes(repr(value)), digest_size=16).digest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def sha256_json(value: object) -> str:
    """Return the SHA-256 of `canonical_json(value)`."""
    return sha256_text(canonical_json(value))


class ListHash:
    """The SHA-256 that `sha256_json` gives of a list, from its items one at a time."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256(b"[")
        self._begun = False

    def add(self, item: object) -> None:
        """Take the next item."""
        text = canonical_json(item)
        self._digest.update(_bytes(f",{text}" if self._begun else text))
        self._begun = True

    def hexdigest(self) -> str:
        """Return the hash of the list of all items so far, 64 hexadecimal digits."""
        whole = self._digest.copy()
        whole.update(b"]")
        return whole.hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a regular file's bytes, read in chunks of 1 MiB; raises as `open_regular`."""
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read bytes: a pipe or device would keep the reader waiting.

    Raises:
        OSError: where it cannot be opened, or is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no regular file")
    return os.fdopen(descriptor, "rb")
