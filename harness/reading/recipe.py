"""What a training stage reads of the recipe it stands in: its options, and the files that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import InputError
from harness.paths import data_dir
from harness.reading.strict import Document, StrictModel, read_document, validate

if TYPE_CHECKING:
    from harness.types import StageInput

M = TypeVar("M", bound=StrictModel)

BUNDLED = "bundled:"
"""Prefix of files that ship with harness, such as `bundled:suites/data/persona-train.jsonl`."""


def stage_options(inputs: StageInput, model: type[M], *, stage: str) -> tuple[M, Document]:
    """Return the options as `model`, and the document whose `line((*inputs.place, key))` says where a key stands.

    Raises:
        InputError: naming file, line, key and cause; a misspelt key comes with the nearest right spelling.
    """
    if not inputs.place:
        document = Document(inputs.recipe_path, dict(inputs.options), {})
        return validate(document, model, what=f"{stage} stage"), document
    document = read_document(inputs.recipe_path, what="recipe")
    section: Any = document.value
    for part in inputs.place:
        section = section[part]
    if section is None:  # `- sft:` with nothing under it
        return model(), document
    return validate(document, model, at=inputs.place, what=f"{stage} stage"), document


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
