"""Which file of training rows a stage reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.api import InputError, StageInput, resolve_path


def find_data(inputs: StageInput, reference: str | None, error_at: Callable[[str], dict[str, Any]]) -> Path:
    """Return the file that the option `data` names, or the dataset of the stage before where it names none.

    Args:
        inputs: of the stage.
        reference: the option.
        error_at: gives file, line and key of an option, for errors.

    Raises:
        InputError: where there is neither, or no such file.
    """
    if reference is None:
        if inputs.dataset is None:
            raise InputError(
                "the key 'data' is missing, and no stage before wrote a dataset",
                **error_at(""), hint="add data: FILE.jsonl",
            )  # fmt: skip
        return inputs.dataset
    where = error_at("data")
    path = resolve_path(reference, inputs.recipe_path, line=where["line"], key=where["key"])
    if not path.is_file():
        cause = "is a folder, not a file of training rows" if path.is_dir() else f"there is no file {path}"
        raise InputError(cause, **where, hint="write the path relative to the recipe's folder, or absolute")
    return inputs.instead.get(path, path)
