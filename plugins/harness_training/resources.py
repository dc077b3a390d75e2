"""What a recipe names besides its stages: the base, the adapter to start from, a constitution with its critics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import AdapterSpec, Constitution, InputError, ModelSpec, resolve_model, resolve_path
from harness.api.artifacts import read_artifact, resolve_adapters
from harness.api.asking import make_critic

if TYPE_CHECKING:
    from harness.api import Critic, RunContext, Stage
    from harness.api.workspace import Registries, Workspace
    from harness_training.recipe import Recipe

NONE = "none"
"""What a recipe says under `base` where all begins from nothing."""
TRAINABLE = "hf"
"""The model scheme whose bases can be trained: weights on this machine, in transformers' layout."""


def make_stages(recipe: Recipe, registries: Registries) -> list[Stage]:
    """Make the recipe's stages, in the order of its file.

    Raises:
        InputError: naming the line of one that is not registered, with the nearest name.
    """
    line = recipe.document.line
    return [
        registries.stages.get(
            name, file=str(recipe.path), line=line(("stages", index)), key=f"stages[{index}]"
        )()
        for index, (name, _) in enumerate(recipe.stages)
    ]  # fmt: skip


def resolve_recipe_base(recipe: Recipe, registries: Registries, *, device: str) -> ModelSpec:
    """Return the base that the recipe trains on; a path in it is relative to the recipe.

    Raises:
        InputError: naming the recipe's line, where nothing answers to it or it cannot be trained.
    """
    reference = _beside(recipe.base, recipe.path)
    where = {"file": recipe.path, "line": recipe.document.line(("base",)), "key": "base"}
    if reference == NONE:
        for stage, (name, _) in zip(make_stages(recipe, registries), recipe.stages, strict=True):
            if "adapter" in stage.writes or set(stage.reads) == {"adapter"}:
                raise InputError(f"is none, and the stage {name} needs one", hint="name a base", **where)  # type: ignore[arg-type]
        return ModelSpec(reference=NONE, scheme=TRAINABLE, name=NONE, device=device)
    try:
        spec = resolve_model(reference, device=device, schemes=[entry.name for entry in registries.models])
    except InputError as error:
        raise InputError(error.cause, hint=error.hint, **where) from error  # type: ignore[arg-type]
    if spec.scheme != TRAINABLE:
        raise InputError(
            f"a {spec.scheme}: model cannot be trained here",
            hint="name a model of `harness models list`, hf:org/name or a folder",
            **where,  # type: ignore[arg-type]
        )
    return spec


def resolve_start(recipe: Recipe, base_hash: str, workspace: Workspace) -> AdapterSpec | None:
    """Return the adapter that the first stage continues; None starts a new one.

    Raises:
        InputError: where there is no such adapter, it is several, or it was trained on another base.
    """
    if recipe.adapter is None:
        return None
    where = {"file": recipe.path, "line": recipe.document.line(("adapter",)), "key": "adapter"}
    try:
        found = resolve_adapters([_beside(recipe.adapter, recipe.path)], workspace)
    except InputError as error:
        raise InputError(str(error), **where) from error  # type: ignore[arg-type]
    if len(found) > 1:
        raise InputError(
            f"{recipe.adapter!r} is composed of {len(found)} adapters, and training continues one",
            hint="name the one",
            **where,  # type: ignore[arg-type]
        )
    if not found:
        return None
    record = read_artifact(Path(found[0].path))
    if record is not None and record.inputs.get("base", base_hash) != base_hash:
        raise InputError(
            f"the adapter {found[0].id} was trained on another base ({record.base})",
            hint=f"set base: {record.base}, or start a new adapter",
            **where,  # type: ignore[arg-type]
        )
    return found[0]


def _beside(reference: str, recipe_path: Path) -> str:
    """Make a relative path absolute from the recipe's folder; leave names, ids and schemes alone."""
    path = reference.removeprefix("hf:")
    if path.startswith(("./", "../", "~", "/")):
        return str(resolve_path(path, recipe_path))
    return reference


def resolve_constitution(
    recipe: Recipe, registries: Registries, context: RunContext
) -> tuple[Constitution | None, Mapping[str, Critic]]:
    """Return the recipe's constitution and the critics that it names.

    Raises:
        InputError: naming file, line and key.
    """
    if recipe.constitution is None:
        return None, {}
    from harness.api.workspace import read_constitution

    line = recipe.document.line(("constitution",))
    if recipe.constitution.endswith((".yaml", ".yml")):
        path = resolve_path(recipe.constitution, recipe.path, line=line, key="constitution")
    else:
        path = registries.constitutions.get(recipe.constitution, file=str(recipe.path), line=line, key="constitution")
    constitution = read_constitution(path, registries.principles)
    names = sorted({critic for principle in constitution.principles for critic in principle.critics})
    for name in names:
        registries.critics.get(name, file=str(path))
    return constitution, {name: make_critic(name, {}, registries, context) for name in names}
