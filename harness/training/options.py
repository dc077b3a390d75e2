"""A stage's options, validated where they stand in the recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from harness.reading.strict import Document, StrictModel, read_document, validate

if TYPE_CHECKING:
    from harness.types import StageInput

M = TypeVar("M", bound=StrictModel)


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
