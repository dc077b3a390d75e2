"""Recipes: a base, training stages in order, and what to run then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from harness.reading.roles import RolesSection, role_refs
from harness.reading.strict import Document, StrictModel, read_document, validate
from harness.types import RoleRef


class ThenSection(StrictModel):
    """What follows training."""

    run: list[str] = []
    policy: str | None = None
    promote: Literal["never", "if-passed"] = "never"


class RecipeFile(StrictModel):
    """The content of a recipe's YAML."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    about: str = ""
    base: str
    adapter: str | None = None
    """Adapter to start from."""
    constitution: str | None = None
    roles: RolesSection = {}
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    stages: Annotated[list[dict[str, dict[str, Any] | None]], Field(min_length=1)]
    then: ThenSection = ThenSection()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe, read and checked as far as it can be without plugins."""

    id: str
    about: str
    path: Path
    base: str
    adapter: str | None
    constitution: str | None
    roles: Mapping[str, RoleRef]
    seed: int
    stages: tuple[tuple[str, Mapping[str, Any]], ...]
    """(stage, options) in order."""
    then: ThenSection
    document: Document


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        InputError: naming file, line, key and cause.
    """
    document = read_document(path, what="recipe")
    file = validate(document, RecipeFile, what="recipe")
    stages: list[tuple[str, Mapping[str, Any]]] = []
    for index, entry in enumerate(file.stages):
        if len(entry) != 1:
            raise document.error(
                f"one entry names {len(entry)} stages", ("stages", index), hint="give each stage its own '- ' item"
            )
        ((name, options),) = entry.items()
        stages.append((name, options or {}))
    return Recipe(
        id=file.id, about=file.about.strip(), path=path, base=file.base, adapter=file.adapter,
        constitution=file.constitution, roles=role_refs(file.roles, by=f"the recipe {file.id}", folder=path.parent),
        seed=file.seed, stages=tuple(stages), then=file.then, document=document,
    )  # fmt: skip
