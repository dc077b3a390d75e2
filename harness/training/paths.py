"""What a path in a recipe means."""

from __future__ import annotations

from pathlib import Path

from harness.errors import InputError
from harness.paths import data_dir

BUNDLED = "bundled:"
"""Prefix of files that ship with harness, such as `bundled:suites/data/persona-train.jsonl`."""


def resolve_path(reference: str, recipe_path: Path, *, line: int | None = None, key: str | None = None) -> Path:
    """Return the file or folder that a recipe's path names: absolute, bundled, or relative to the recipe's folder.

    Raises:
        InputError: where a `bundled:` path leaves the data that ships with harness, naming the recipe's line and key.
    """
    if not reference.startswith(BUNDLED):
        return (recipe_path.parent / Path(reference).expanduser()).resolve()
    parts = Path(reference.removeprefix(BUNDLED)).parts
    if len(parts) < 2 or parts[0] not in {"suites", "constitutions"} or ".." in parts:
        raise InputError(
            f"{reference!r} names no bundled file", file=recipe_path, line=line, key=key,
            hint="write it as bundled:suites/data/NAME.jsonl",
        )  # fmt: skip
    return data_dir(parts[0]).joinpath(*parts[1:])
