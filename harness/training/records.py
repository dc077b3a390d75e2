"""`stage.json`: everything that a stored adapter or dataset came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.hashing import sha256_json
from harness.serial import from_json

RECORD_FILE = "stage.json"


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """The content of `stage.json`."""

    key: str
    """SHA-256 over everything below that decides the outcome: a stage whose key is known is not run again."""
    stage: str
    recipe: str
    """Id of the recipe."""
    options: Mapping[str, Any]
    seed: int
    base: str
    """Reference of the base, as the recipe gives it."""
    base_hash: str
    parent: str | None
    """Id of the adapter that the stage started from."""
    inputs: Mapping[str, str]
    """SHA-256 of each file that decides the outcome, by role."""
    versions: Mapping[str, str]
    """Of harness, the plugin, and the packages that the stage names."""
    created: str = ""
    """ISO 8601, UTC."""
    device: str = "auto"
    """What was asked for."""
    figures: Mapping[str, float] = field(default_factory=dict)
    adapter: str | None = None
    """Id of the adapter it wrote."""
    dataset: str | None = None
    """SHA-256 of the dataset it wrote."""
    planted: tuple[Mapping[str, Any], ...] = ()
    """What stages planted in the data that the adapter, those that it continued, or the dataset come from."""


def distinct(*planted: tuple[Mapping[str, Any], ...]) -> tuple[Mapping[str, Any], ...]:
    """Return what several records say was planted, each thing once."""
    return tuple({sha256_json(dict(one)): one for some in planted for one in some}.values())


def stage_key(
    *, stage: str, options: Mapping[str, Any], seed: int, base_hash: str, parent: str | None,
    inputs: Mapping[str, str], versions: Mapping[str, str],
) -> str:  # fmt: skip
    """Return the SHA-256 that tells whether two stages are the same work.

    An option that names an input file counts by the file's content, so that a moved or renamed file changes nothing.
    The device does not count: it changes the last digits of the weights, not what was asked for.
    """
    told = {name: value for name, value in options.items() if name not in inputs}
    return sha256_json(
        {
            "stage": stage,
            "options": told,
            "seed": seed,
            "base": base_hash,
            "parent": parent,
            "inputs": dict(inputs),
            "versions": dict(versions),
        }
    )


def package_version(package: str) -> str:
    """Return an installed package's version without importing it; `absent` where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def read_record(folder: Path) -> StageRecord | None:
    """Return what a folder's stage.json says; None where it has none.

    Raises:
        InputError: where it is there and cannot be read.
    """
    file = folder / RECORD_FILE
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=file) from error
    return from_json(StageRecord, text, file=file)


def find_record(folders: Path, key: str) -> tuple[StageRecord, Path] | None:
    """Return the stored outcome of a stage with this key, and its folder; None where there is none.

    A folder whose stage.json is unreadable or of another kind of training is passed over: it is nobody's reuse.
    """
    if not folders.is_dir():
        return None
    for folder in sorted(folders.iterdir()):
        if folder.name.startswith("."):
            continue
        try:
            found = json.loads((folder / RECORD_FILE).read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and found.get("key") == key:
            record = read_record(folder)
            if record is not None:
                return record, folder
    return None
