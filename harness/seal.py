"""A keyed digest over what harness keeps for itself, with a key that only its owner may read.

HMAC-SHA-256 (RFC 2104, FIPS 198-1). It tells what harness wrote from what others put beside it. It proves nothing
against whoever can read the key: the same user, root, or a copy of the folder with the key in it.
"""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from harness.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 32
"""Bytes of a key and of a digest."""


class Seal:
    """Digests under one key.

    Args:
        path: the key's file, mode 0600; made on first use. Where none can be made, such as on a read-only mount, a key
            of this process takes its place, under which nothing that is kept holds.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, content: bytes) -> bytes:
        """Return the digest of a content, `SIZE` bytes.

        Raises:
            InputError: when the key's file is damaged.
        """
        return hmac.digest(self._key, content, "sha256")

    def holds(self, content: bytes, digest: bytes) -> bool:
        """Tell whether a digest is the content's; raises as `of`."""
        return hmac.compare_digest(self.of(content), digest)

    @property
    def private(self) -> bool:
        """Whether nobody else may read the key's file; True where there is none."""
        try:
            return self._path.stat().st_mode & 0o077 == 0
        except OSError:
            return True

    @cached_property
    def _key(self) -> bytes:
        with suppress(FileNotFoundError):
            return self._read()
        temporary = self._path.with_name(f".tmp-{os.getpid()}-{secrets.token_hex(6)}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(secrets.token_bytes(SIZE))
                stream.flush()
                os.fsync(stream.fileno())
            try:
                with suppress(FileExistsError):  # another process was quicker
                    os.link(temporary, self._path)
            finally:
                temporary.unlink()
            return self._read()
        except OSError:
            return secrets.token_bytes(SIZE)

    def _read(self) -> bytes:
        try:
            key = self._path.read_bytes()
        except PermissionError:
            return secrets.token_bytes(SIZE)
        if len(key) != SIZE:
            raise InputError(
                f"is no key: it has {len(key)} bytes, not {SIZE}", file=self._path,
                hint="delete it: what was kept under it is then asked or read once more",
            )  # fmt: skip
        return key
