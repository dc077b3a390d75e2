"""A recipe's stages as a graph: whose artifacts each reads, and an order in which they can run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import unknown_name
from harness_training.recipe import START

if TYPE_CHECKING:
    from harness.api import Stage
    from harness_training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Node:
    """One stage with what it reads."""

    index: int
    """In the recipe's file."""
    name: str
    stage: Stage
    sources: Mapping[str, int | None]
    """By role, the index of the stage whose artifact it reads; None for what the recipe starts from."""


def in_order(recipe: Recipe, stages: Sequence[Stage]) -> tuple[Node, ...]:
    """Return the stages so that each comes behind those that it reads, otherwise as they stand in the file.

    A role that `from` does not name is played by what the nearest stage before it in the file wrote of that kind, and
    by what the recipe starts from where none did.

    Raises:
        InputError: for a role, a stage or a kind that does not fit, and for stages that read each other.
    """
    nodes = [
        Node(index=index, name=link.name, stage=stage, sources=_sources(recipe, stages, index))
        for index, (link, stage) in enumerate(zip(recipe.links, stages, strict=True))
    ]
    done: dict[int, Node] = {}
    while len(done) < len(nodes):
        free = next((node for node in nodes if node.index not in done and _reads(node) <= set(done)), None)
        if free is None:
            raise _circle(recipe, [node for node in nodes if node.index not in done])
        done[free.index] = free
    return tuple(done.values())


def _reads(node: Node) -> set[int]:
    return {source for source in node.sources.values() if source is not None}


def _sources(recipe: Recipe, stages: Sequence[Stage], index: int) -> dict[str, int | None]:
    document, stage, names = recipe.document, stages[index], [link.name for link in recipe.links]
    asked, place = recipe.links[index].reads, ("stages", index, "from")

    sources: dict[str, int | None] = {}
    for role, kind in stage.reads.items():
        before = (other for other in range(index - 1, -1, -1) if kind in stages[other].writes)
        sources[role] = next(before, None)
    for role, name in asked.items():
        if role not in stage.reads:
            error = unknown_name(f"artifact that the stage {recipe.stages[index][0]} reads", role, stage.reads)
            raise document.error(error.cause, (*place, role), hint=error.hint)
        if name == START:
            sources[role] = None
            continue
        if name not in names:
            error = unknown_name("stage of this recipe", name, [START, *names])
            raise document.error(error.cause, (*place, role), hint=error.hint)
        sources[role] = other = names.index(name)
        if stage.reads[role] not in stages[other].writes:
            written = " and ".join(stages[other].writes) or "nothing"
            raise document.error(
                f"the stage {name!r} writes {written}, and what is read here is of the kind {stage.reads[role]}",
                (*place, role), hint=f"name a stage that writes {stage.reads[role]}",
            )  # fmt: skip
    return sources


def _circle(recipe: Recipe, left: Sequence[Node]) -> Exception:
    """Return the error for stages that read each other; each of those left reads another of them."""
    by_index = {node.index: node for node in left}
    walk = [left[0]]
    while walk[-1] not in walk[:-1]:
        walk.append(by_index[min(_reads(walk[-1]) & set(by_index))])
    circle = walk[walk.index(walk[-1]) :]
    told = next(node for node in circle if recipe.links[node.index].reads)  # without `from`, all look back
    return recipe.document.error(
        f"the stages read each other: {' ← '.join(node.name for node in circle)}", ("stages", told.index, "from"),
        hint="let one of them read `start`, or another stage",
    )  # fmt: skip
