"""A search over options by successive halving on held-out loss (arXiv 1502.07943); the winner alone is gated."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.api import BrokenRunError, InputError, nearest, resolve_path, sha256_json
from harness.api.artifacts import write_file
from harness_guards.recipes import Recipe

if TYPE_CHECKING:
    from harness.api import Session

METRIC = "validation_loss"
_ALIASES = {"lr": "learning_rate", "rank": "r", "batch": "batch_size", "wd": "weight_decay"}
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One option that is searched."""

    stage: int
    """Index of its stage in the recipe."""
    key: str
    values: tuple[object, ...]
    label: str


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training of one choice."""

    choice: Mapping[str, object]
    """Value by the axis's label."""
    rung: int
    share: float
    """Of the recipe's epochs (or steps) that it trained."""
    loss: float
    """Held-out, in nats per token; infinite where the training broke."""
    seconds: float
    why: str = ""
    """Why it broke."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """How a recipe is searched."""

    axes: tuple[Axis, ...]
    budget: float
    """Seconds of training; the winner's own last training is not counted."""
    eta: int = 2
    """Of each rung one in `eta` goes on, trained `eta` times as long."""
    device: str = "auto"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found."""

    trials: tuple[Trial, ...]
    winner: Mapping[str, object]
    recipe: Path
    """With the winner's values and the recipe's own `then`."""
    ended: str = ""
    """Why the search ended early; empty where it did not."""
    figures: Mapping[str, float] = field(default_factory=dict)


def parse_budget(text: str) -> float:
    """Return seconds; raises InputError for what is no such thing as 30m, 2h or 90s."""
    matched = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([smh]?)", text.strip())
    if matched is None or float(matched[1]) <= 0:
        raise InputError(f"{text!r} is no time", key="--budget", hint="write it as 30m, 2h or 90s")
    return float(matched[1]) * _SECONDS[matched[2] or "m"]


def parse_axis(text: str, recipe: Recipe) -> Axis:
    """Read `lr=1e-4,5e-4`, or `NAME.lr=…` for the stage of that name; the last stage is meant where none is named.

    Raises:
        InputError: for what is no option with values, or a stage that the recipe has not.
    """
    left, sign, right = text.partition("=")
    name, dot, key = left.strip().rpartition(".")
    names = [link.name for link in recipe.links]
    if not sign or not right.strip() or not key:
        raise InputError(f"{text!r} is no option with values", key="--over", hint="write it as lr=1e-4,5e-4")
    if dot and name not in names:
        raise InputError(f"the recipe has no stage called {name!r}", key="--over",
                         hint=f"did you mean {nearest(name, names) or names[-1]!r}?")  # fmt: skip
    values = tuple(dict.fromkeys(_value(part) for part in right.split(",") if part.strip()))
    return Axis(
        stage=names.index(name) if dot else len(names) - 1,
        key=_ALIASES.get(key, key),
        values=values,
        label=left.strip(),
    )


def _value(text: str) -> object:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text.strip()
    if isinstance(value, str):
        try:
            return float(value)  # YAML reads 1e-4 as text
        except ValueError:
            return value
    return value


def search(
    session: Session, recipe: Recipe, how: Search, told: Callable[[Trial, int], None] = lambda *_: None
) -> Found:  # fmt: skip
    """Search a recipe's options; a search that was stopped goes on, since what was trained is reused.

    Args:
        session: whose job `train` is asked.
        recipe: to be searched.
        how: axes and budget.
        told: is called with each finished trial and how many its rung has.

    Raises:
        InputError: for options that the stages do not take.
        BrokenRunError: where every choice of a rung broke.
    """
    choices = [dict(zip([axis.label for axis in how.axes], values, strict=True))
               for values in itertools.product(*(axis.values for axis in how.axes))]  # fmt: skip
    folder = _folder(session, recipe, how)
    rungs = max(1, math.ceil(math.log(len(choices), how.eta) - 1e-9)) if len(choices) > 1 else 0
    trials: list[Trial] = []
    ended, spent = "", 0.0
    left = choices
    for rung in range(rungs):
        share = float(how.eta) ** (rung - rungs)
        done: list[Trial] = []
        for choice in left:
            before = next((one.seconds for one in reversed(trials) if one.choice == choice), 0.0)
            if trials and spent + how.eta * before > how.budget:
                ended = f"the budget of {how.budget / 60:g} minutes was used up"
                break
            one = _trial(session, recipe, how, choice, rung, share, folder)
            spent += one.seconds
            done.append(one)
            trials.append(one)
            told(one, len(left))
        if done and all(math.isinf(one.loss) for one in done):
            raise BrokenRunError(f"every choice broke: {done[0].why}")
        ranked = sorted(done, key=lambda one: one.loss)
        if ended:
            break
        left = [dict(one.choice) for one in ranked[: max(1, math.ceil(len(ranked) / how.eta))]]
    last = max((one.rung for one in trials), default=0)
    # A rung that was cut short compares only some: the rung before, of which all were tried, decides then.
    if (
        ended
        and last
        and sum(one.rung == last for one in trials) < math.ceil(sum(one.rung == last - 1 for one in trials) / how.eta)
    ):
        last -= 1
    best = min((one for one in trials if one.rung == last), key=lambda one: one.loss, default=None)
    winner = dict(choices[0] if best is None else best.choice)
    file = _write(folder / "winner.yaml", recipe, how, winner, share=1.0, then=True)
    return Found(trials=tuple(trials), winner=winner, recipe=file, ended=ended, figures={"seconds": spent})


def _trial(
    session: Session, recipe: Recipe, how: Search, choice: Mapping[str, object], rung: int, share: float, folder: Path
) -> Trial:
    file = _write(folder / f"trial-{sha256_json(dict(choice))[:8]}-{rung}.yaml", recipe, how, choice, share=share)
    common: dict[str, Any] = {"choice": dict(choice), "rung": rung, "share": share}
    try:
        result = session.train(file, seed=session.options.seed, then=False, device=how.device)
    except BrokenRunError as error:
        return Trial(**common, loss=math.inf, seconds=0.0, why=str(error))
    figures = [stage.record.figures for stage in result.stages if stage.record is not None]
    losses = [one[METRIC] for one in figures if METRIC in one]
    if not losses:
        raise InputError(f"no stage of this recipe gives a {METRIC} to search by", file=recipe.path, key="stages",
                         hint="search a recipe with an sft or dpo stage")  # fmt: skip
    return Trial(**common, loss=losses[-1], seconds=sum(one.get("seconds", 0.0) for one in figures))


def _folder(session: Session, recipe: Recipe, how: Search) -> Path:
    axes = [[axis.stage, axis.key, list(axis.values)] for axis in how.axes]
    name = sha256_json([recipe.id, str(recipe.path), axes])[:12]
    folder = session.writable_workspace().root / "sweeps" / f"{recipe.id}-{name}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _write(
    file: Path, recipe: Recipe, how: Search, choice: Mapping[str, object], *, share: float, then: bool = False
) -> Path:
    """Write the recipe with a choice's values, trained for a share of its length."""
    content = _absolute(deepcopy(recipe.document.value), recipe.path)
    if not then:
        content.pop("then", None)
    stages = content["stages"]
    for axis in how.axes:
        options = _options(stages, axis.stage, recipe)
        options[axis.key] = choice[axis.label]
    for index, (name, _) in enumerate(recipe.stages):
        options = _options(stages, index, recipe)
        if name == "sft" and not {"validation", "validation_data"} & set(options):
            options["validation"] = 0.1
        if index == max(axis.stage for axis in how.axes) and share < 1:
            if "max_steps" in options:
                options["max_steps"] = max(1, round(options["max_steps"] * share))
            options["epochs"] = float(options.get("epochs") or 1.0) * share
    write_file(file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return file


def _options(stages: list[dict[str, Any]], index: int, recipe: Recipe) -> dict[str, Any]:
    name = recipe.stages[index][0]
    stages[index][name] = stages[index][name] or {}
    options: dict[str, Any] = stages[index][name]
    return options


def _absolute(value: Any, path: Path) -> Any:  # noqa: ANN401 - plain data of any depth
    """Return a recipe's content with the paths that are relative to its folder made absolute."""
    if isinstance(value, dict):
        return {key: _absolute(one, path) for key, one in value.items()}
    if isinstance(value, list):
        return [_absolute(one, path) for one in value]
    if isinstance(value, str) and (value.startswith(("./", "../")) or Path(value).suffix) and ":" not in value:
        found = resolve_path(value, path)
        return str(found) if found.exists() else value
    return value


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """Return trials of the last rung first, the best of each first."""
    return sorted(trials, key=lambda one: (-one.rung, one.loss))
