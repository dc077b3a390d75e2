"""What became of a recipe, and the job `session.train`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.api import NoProgress, RunOptions, Shown, frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pandas as pd
    from rich.console import RenderableType
    from rich.table import Table

    from harness.api import AdapterSpec, Artifact, Session
    from harness_training.recipe import Recipe
    from harness_training.results import StageResult
    from harness_training.then import Outcome


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How a recipe is run."""

    then: bool = True
    """Whether what the recipe's `then` section asks for is done."""
    device: str = "auto"
    force: bool = False
    """Train even what did not change."""
    dry_run: bool = False
    """Check everything, train nothing."""
    limits: str | None = None
    """What the machine is spared, such as `minutes=30,battery`."""
    checkpoint_seconds: float = 60.0
    """Least seconds between two checkpoints."""
    roles: tuple[str, ...] = ()
    """Texts such as `judge=MODEL`."""
    observe: tuple[str, ...] = ()
    """Other tools that watch: `tensorboard`, `mlflow`, `wandb`, each with `=PLACE` where it shall write elsewhere."""


@dataclass(frozen=True, kw_only=True)
class TrainingResult(Shown):
    """What became of a recipe."""

    recipe: Recipe
    stages: tuple[StageResult, ...]
    outcome: Outcome | None
    """What followed the training; None where the recipe asks for nothing."""
    leads: bool = True
    """False in all but the first of several processes that train together."""

    @property
    def adapter(self) -> AdapterSpec | None:
        """What was trained last."""
        return next((stage.adapter for stage in reversed(self.stages) if stage.adapter is not None), None)

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """What the stages made and no other of them reads."""
        read = {(name, kind) for stage in self.stages for kind, name in stage.reads.items()}
        return tuple(
            kept.artifact
            for stage in self.stages
            for kind, kept in stage.kept.items()
            if (stage.name, kind) not in read
        )

    def to_pandas(self) -> pd.DataFrame:
        """Return one row for each stage, in the order in which they ran: stage, outcome, adapter and its figures."""
        return frame(
            {
                "stage": stage.name, "outcome": stage.word,
                "adapter": None if stage.adapter is None else stage.adapter.id,
                **({} if stage.record is None else stage.record.figures),
            }
            for stage in self.stages
        )  # fmt: skip

    def renderables(self) -> Iterator[RenderableType]:
        """Yield the stages."""
        yield _stages_table(self.recipe, self.stages)


def train(session: Session, recipe: str | Path, *, seed: int | None = None, **options: Any) -> TrainingResult:  # noqa: ANN401 - those of `train_recipe`
    """Run a recipe's stages, each trained or reused, and what its `then` section asks for.

    Args:
        session: where.
        recipe: a registered name, or the path of a YAML file.
        seed: replaces the recipe's.
        options: those of `TrainOptions`.

    Raises:
        InputError: naming file, line and key.
        BrokenRunError: when training breaks; no half-written adapter is left.
    """
    from harness_training.recipe import find_recipe, read_recipe

    found = read_recipe(find_recipe(session.reference(str(recipe)), session.plugins.registries))
    return train_recipe(session.bind(seed=found.seed if seed is None else seed), found, TrainOptions(**options))


def recipe(session: Session, reference: str | Path) -> Recipe:
    """Return a recipe, read and checked as far as it can be without its plugins.

    Args:
        session: in whose folder a path is looked for.
        reference: a registered name, or the path of a YAML file.

    Raises:
        InputError: naming file, line and key.
    """
    from harness_training.recipe import find_recipe, read_recipe

    return read_recipe(find_recipe(session.reference(str(reference)), session.plugins.registries))


def train_recipe(session: Session, recipe: Recipe, options: TrainOptions) -> TrainingResult:
    """Train a recipe that was read; errors as `train`."""
    from harness_training.limits import Limits, parse_limits
    from harness_training.observing import Observation
    from harness_training.results import cautions
    from harness_training.runner import TrainSetting
    from harness_training.runner import train as train_stages
    from harness_training.team import Team
    from harness_training.then import check_then, follow

    plugins = session.require_plugins()
    policy = check_then(recipe, session.config, plugins.registries) if options.then else None
    limits = None if options.limits is None else Limits(parse_limits(options.limits), session.warn)
    workspace = session.writable_workspace()
    outcome, team = None, Team() if options.dry_run else Team.of_environment()
    at_work = workspace.working(f"harness train {recipe.id}")
    with at_work, team.gathered(), session.setting(session.bare_spec()) as setting:
        if team.leads and not options.dry_run:
            session.declare_policies()
        keep_apart = getattr(session, "keep_apart", None)  # a job of harness_guards, unless it was turned off
        asked = TrainSetting(
            plugins=plugins, workspace=workspace, context=setting.context,
            progress=setting.progress if team.leads else NoProgress(),
            seed=session.options.seed, device=options.device, force=options.force, dry_run=options.dry_run,
            roles=session.roles(RunOptions(roles=options.roles)), limits=limits, team=team,
            checkpoint_seconds=options.checkpoint_seconds,
            observation=Observation(wanted=options.observe, root=workspace.root, warn=session.warn)
            if options.observe else None,
            guard=None if keep_apart is None else keep_apart(recipe, policy, setting),
        )  # fmt: skip
        result = TrainingResult(recipe=recipe, stages=train_stages(recipe, asked), outcome=None, leads=team.leads)
        for caution in () if options.dry_run or not team.leads else cautions(result.stages):
            session.warn(caution)
        if limits is not None and limits.note():
            session.warn(limits.note())
        if options.then and team.leads and not options.dry_run and result.adapter is not None:
            outcome = follow(recipe, result.adapter, policy, setting, session, device=options.device)
    return replace(result, outcome=outcome)


def _stages_table(recipe: Recipe, stages: Iterable[StageResult]) -> Table:
    """Return what became of each stage: loss, steps, seconds, memory, adapter."""
    from harness.api.commands import plain_table

    columns = ("stage", "reads", "outcome", "loss", "steps", "seconds", "threads", "memory", "made")
    rows = [_stage_row(stage) for stage in stages]
    shown = [at for at, name in enumerate(columns) if name == "stage" or any(row[at] != "—" for row in rows)]
    return plain_table(
        [columns[at] for at in shown], [[row[at] for at in shown] for row in rows],
        title=f"{recipe.id} on {recipe.base}", whole=("stage", "outcome", "loss", "made"),
    )  # fmt: skip


def _stage_row(stage: StageResult) -> tuple[str, ...]:
    figures = {} if stage.record is None else stage.record.figures

    def shown(name: str, form: str) -> str:
        return form.format(figures[name]) if name in figures else "—"

    loss = "—"
    if "loss_first" in figures and "loss_last" in figures:
        loss = f"{figures['loss_first']:.2f} → {figures['loss_last']:.2f}"
    memory = figures.get("peak_memory_bytes")
    return (
        stage.name, _reads(stage), stage.word, loss, shown("steps", "{:.0f}"), shown("seconds", "{:.0f}"),
        shown("threads", "{:.0f}"), "—" if memory is None else f"{memory / 2**30:.1f} GiB",
        "\n".join(f"{kind}\n{kept.artifact.id}" for kind, kept in stage.kept.items()) or "—",
    )  # fmt: skip


def _reads(stage: StageResult) -> str:
    """Say whose artifacts a stage reads, such as `adapter of upper`."""
    return "\n".join(f"{role} of {name}" for role, name in stage.reads.items()) or "—"
