"""The files of a promoted model, where it lies in a folder of this machine: a full fine-tune, or one's own base."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import BrokenRunError, InputError, memoised_sha256
from harness.api.weights import file_hashes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.api import ModelSpec


def model_files(model: ModelSpec) -> dict[str, str]:
    """Return the SHA-256 of a model's files by absolute path; none for names of the catalog, the hub and servers.

    Raises:
        InputError: when they are gone or cannot be read.
    """
    path = Path(model.name)
    if not path.is_absolute():
        return {}
    if path.is_file():
        return {str(path): memoised_sha256(path)}
    if model.scheme != "hf":
        return {}
    return {str(path / name): digest for name, digest in file_hashes(path).items()}


def check_model(model: ModelSpec | None, files: Mapping[str, str]) -> None:
    """Check that a model's files still are those that were promoted.

    Args:
        model: what was promoted.
        files: as `model_files` gave them then; none where it has none here, or an earlier version promoted it.

    Raises:
        BrokenRunError: naming the first that is not.
    """
    if model is None or not files:
        return
    try:
        found = model_files(model)
    except InputError as error:
        raise BrokenRunError(f"the promoted model {model.reference} is not whole: {error}") from error
    for file in sorted({*found, *files}):
        if found.get(file) != files.get(file):
            what = "is gone" if file not in found else "was not there" if file not in files else "has changed"
            raise BrokenRunError(
                f"{file}: {what} since the model {model.reference} was promoted; restore the folder from a copy"
            )
