"""Recipes: a base, training stages and what each reads of the others, and what to run then."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from harness.api import Document, RoleRef, StrictModel, read_document, validate
from harness.api.workspace import RolesSection, role_refs

if TYPE_CHECKING:
    from harness.api.workspace import Registries

START = "start"
"""In `from`: what the recipe itself starts from, an adapter or none."""


class ThenSection(StrictModel):
    """What follows training."""

    run: list[str] = Field(default_factory=list)
    policy: str | None = None
    promote: Literal["never", "if-passed"] = "never"


class SeparationSection(StrictModel):
    """What becomes of training data that stands in a suite which will gate what is trained."""

    mode: Literal["refuse", "drop", "off"] = "refuse"
    near: Annotated[float, Field(gt=0, le=1)] = 0.75
    """Cosine of embeddings from which on two prompts ask the same."""
    exempt: list[str] = Field(default_factory=list)
    """Ids of suites that ask on purpose for what is trained, such as a person's facts."""
    suites: list[str] = Field(default_factory=list)
    """Suites to keep apart from besides those that will gate, such as what the recipe's figures are measured on."""


def _mode(given: object) -> object:
    """Let the mode alone stand for the section; YAML reads a bare `off` as false."""
    return {"mode": "off" if given is False else given} if isinstance(given, str | bool) else given


class RecipeFile(StrictModel):
    """The content of a recipe's YAML."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    about: str = ""
    base: str
    adapter: str | None = None
    """Adapter to start from."""
    constitution: str | None = None
    roles: RolesSection = Field(default_factory=dict)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    separation: Annotated[SeparationSection, BeforeValidator(_mode)] = SeparationSection()
    stages: Annotated[list[dict[str, dict[str, Any] | str | None]], Field(min_length=1)]
    then: ThenSection = ThenSection()


@dataclass(frozen=True, kw_only=True)
class StageLink:
    """Where a stage stands among the others."""

    name: str
    """As the recipe gives it, else the stage's own, with its number where several would have the same."""
    reads: Mapping[str, str] = field(default_factory=dict)
    """`from`: the name of the stage whose artifact it reads, by role."""


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
    """(stage, options), as they stand in the file."""
    links: tuple[StageLink, ...]
    """Of each of the stages."""
    then: ThenSection
    separation: SeparationSection
    document: Document


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        InputError: naming file, line, key and cause.
    """
    document = read_document(path, what="recipe")
    file = validate(document, RecipeFile, what="recipe")
    stages: list[tuple[str, Mapping[str, Any]]] = []
    links: list[StageLink] = []
    for index, entry in enumerate(file.stages):
        named = [key for key in entry if key not in {"name", "from"}]
        if len(named) != 1:
            raise document.error(
                f"one entry names {len(named)} stages", ("stages", index), hint="give each stage its own '- ' item"
            )
        options = entry[named[0]]
        if isinstance(options, str):
            raise document.error("is text, and a stage has a mapping of options", ("stages", index, named[0]),
                                 hint=f"write {named[0]}: {{}} where it has none")  # fmt: skip
        stages.append((named[0], options or {}))
        links.append(_link(document, index, entry, named[0], [link.name for link in links]))
    return Recipe(
        id=file.id, about=file.about.strip(), path=path, base=file.base, adapter=file.adapter,
        constitution=file.constitution, roles=role_refs(file.roles, by=f"the recipe {file.id}", folder=path.parent),
        seed=file.seed, stages=tuple(stages), links=tuple(links), then=file.then,
        separation=file.separation, document=document,
    )  # fmt: skip


def _link(document: Document, index: int, entry: Mapping[str, Any], stage: str, taken: Sequence[str]) -> StageLink:
    """Return where a stage stands; names are checked, whom they mean is not."""
    name, reads = entry.get("name"), entry.get("from") or {}
    if name is None:
        name = stage if stage not in taken else f"{stage}-{index + 1}"
    if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9_-]*", name):
        raise document.error("a stage's name has small letters, digits, - and _", ("stages", index, "name"),
                             hint="write name: upper")  # fmt: skip
    if name in {*taken, START}:
        cause = f"the name {name!r} stands for where the recipe starts" if name == START else f"{name!r} stands twice"
        raise document.error(cause, ("stages", index, "name"), hint="give the stage a name of its own")
    if not isinstance(reads, dict) or not all(isinstance(other, str) for other in reads.values()):
        raise document.error("must say of each role whose artifact it is", ("stages", index, "from"),
                             hint="write from: {adapter: NAME}")  # fmt: skip
    return StageLink(name=name, reads=reads)


def find_recipe(reference: str, registries: Registries) -> Path:
    """Return the file of a recipe: a registered name, or a path.

    Raises:
        InputError: with the nearest registered name.
    """
    path = Path(reference).expanduser()
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        return path.resolve()
    return registries.recipes.get(reference)
