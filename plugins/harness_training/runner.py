"""Runs recipes: each stage in a temporary folder, its outcome renamed into the workspace, unchanged stages reused."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import __version__
from harness.api import (
    AdapterSpec,
    Artifact,
    BrokenRunError,
    Candidate,
    HarnessError,
    InputError,
    ModelSpec,
    RoleRef,
    StageInput,
    StageOutput,
    base_hash,
    base_shapes,
    base_shapes_folder,
    check_lora,
    materialise,
    misfit,
    sha256_file,
    sha256_json,
)
from harness.api.artifacts import (
    DIGITS,
    artifact_folder,
    content_of,
    content_path,
    distinct,
    explained,
    find_made,
    holding,
    identity_of,
    injected_with,
    keep_artifact,
    made_by,
    temporary_beside,
)
from harness_training.curves import keep_curves
from harness_training.forecast import PLANNED, forecast
from harness_training.graph import Node, in_order
from harness_training.models import Models
from harness_training.observing import Observation, Observed
from harness_training.resources import NONE, make_stages, resolve_constitution, resolve_recipe_base, resolve_start
from harness_training.results import Kept, StageResult
from harness_training.team import Team

if TYPE_CHECKING:
    from harness.api import Progress, RunContext, Stage
    from harness.api.workspace import Plugins, Workspace
    from harness_training.limits import Limits
    from harness_training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class TrainSetting:
    """Where and how a recipe is run."""

    plugins: Plugins
    workspace: Workspace
    context: RunContext
    progress: Progress
    seed: int | None = None
    """Replaces the recipe's seed."""
    device: str = "auto"
    force: bool = False
    """Train even where an unchanged stage could be reused."""
    roles: Mapping[str, RoleRef] = field(default_factory=dict)
    """Who plays which role, besides what the recipe says."""
    dry_run: bool = False
    """Check everything and say what would be trained; train nothing."""
    checkpoint_seconds: float = 60.0
    """Least seconds between two checkpoints of a stage."""
    limits: Limits | None = None
    """What the machine is spared."""
    observation: Observation | None = None
    """Which other tools watch."""
    team: Team = field(default_factory=Team)
    """The processes that train together."""
    guard: Callable[[Stage, StageInput], StageInput] | None = None
    """Looks at a stage's data before it runs: refuses it, or hands on what may be learned from; None checks nothing."""


def train(recipe: Recipe, setting: TrainSetting) -> tuple[StageResult, ...]:
    """Run a recipe's stages, each behind those that it reads. The caller is `Workspace.working`, but in a dry run.

    All stages are checked before the first one trains, but those that read more than an adapter of another.

    Raises:
        InputError: naming file, line and key.
        BrokenRunError: when training breaks, memory or the disk runs out; no half-written artifact is left.
    """
    run = _Run(recipe, setting)
    run.check_all()
    return tuple(run.stage(node) for node in run.nodes)


class _Run:
    """One recipe on its way."""

    def __init__(self, recipe: Recipe, setting: TrainSetting) -> None:
        self.recipe, self.setting = recipe, setting
        registries = setting.plugins.registries
        self.seed = recipe.seed if setting.seed is None else setting.seed
        self.nodes = in_order(recipe, make_stages(recipe, registries))
        self.model: ModelSpec = resolve_recipe_base(recipe, registries, device=setting.device)
        self.base_hash = NONE if self.model.name == NONE else base_hash(self.model, setting.context)
        start = resolve_start(recipe, self.base_hash, setting.workspace)
        self.start: Kept | None = None
        if start is not None:
            self.start = Kept(artifact=Artifact(kind="adapter", id=start.id), path=Path(start.path))
        self.constitution, self.critics = resolve_constitution(recipe, registries, setting.context)
        self._made: dict[int, Mapping[str, Kept]] = {}
        """By stage; nothing in a dry run where it would be made."""
        self._base: Path | None = None

    def check_all(self) -> None:
        """Check the stages whose data are known before anything is made; what they continue need not be there."""
        for node in self.nodes:
            behind = {node.stage.reads[role] for role, source in node.sources.items() if source is not None}
            if behind <= {"adapter"}:
                self._check(node, self._inputs(node, self._read(node)))

    def stage(self, node: Node) -> StageResult:
        """Reuse or run one stage."""
        names = [link.name for link in self.recipe.links]
        result = StageResult(
            stage=self.recipe.stages[node.index][0], name=node.name, writes=node.stage.writes,
            reads={role: names[source] for role, source in node.sources.items() if source is not None},
        )  # fmt: skip
        self._made[node.index] = {}
        sources = ((role, source) for role, source in node.sources.items() if source is not None)
        absent = {node.stage.reads[role] for role, source in sources if not self._made[source]}
        if absent:
            if absent != {"adapter"}:
                return result  # its data is not made yet
            read = self._read(node)
            inputs = self._inputs(node, read)
            return replace(result, note=self._forecast(node, inputs, self._draft(node, inputs, read)))
        read = self._read(node)
        inputs = self._inputs(node, read)
        self._check(node, inputs)
        draft = self._draft(node, inputs, read)
        note = ""
        if not self.setting.force:
            found, note = find_made(self.setting.workspace, draft.key)
            if self.setting.team.agreed(word=found is not None):
                self._made[node.index] = self._found(draft)
                return replace(result, reused=True, kept=self._made[node.index])
        if self.setting.dry_run:
            told = _explained(lambda: node.stage.forecast(inputs)) or self._forecast(node, inputs, draft)
            return replace(result, note="; ".join(filter(None, (note, told))))
        team, said = self.setting.team, ""
        if team.leads or node.stage.together:
            self._made[node.index], said = self._train(node.stage, inputs, draft)
        if team.agreed(word=True) and not team.leads:  # the first process has written it by now
            self._made[node.index] = self._found(draft)
        return replace(result, trained=True, kept=self._made[node.index], note="; ".join(filter(None, (note, said))))

    def _found(self, draft: Artifact) -> Mapping[str, Kept]:
        """Return what is there of a stage whose outcome was made before, or by the first process."""
        found, note = find_made(self.setting.workspace, draft.key)
        if found is None:
            raise BrokenRunError(f"what the stage {draft.stage} wrote is not there any more: {note}; run again")
        return {kind: self._kept(artifact) for kind, artifact in found.items()}

    def _forecast(self, node: Node, inputs: StageInput, draft: Artifact) -> str:
        """Say what a stage would take: rows, steps, tokens, memory and minutes, or what of it is unknown."""
        work = _explained(lambda: node.stage.workload(inputs))
        folder = base_shapes_folder(self.model, self.setting.context)
        told = forecast(self.setting.workspace, draft, work, folder).sentence()
        return told and f"{node.name} would take {told}"

    def _kept(self, artifact: Artifact) -> Kept:
        folder = artifact_folder(self.setting.workspace, artifact.kind, artifact.id)
        return Kept(artifact=artifact, path=content_path(artifact, folder))

    def _read(self, node: Node) -> dict[str, Kept]:
        """Return what the stage reads, by role, as far as it is there."""
        found: dict[str, Kept] = {}
        for role, source in node.sources.items():
            kind = node.stage.reads[role]
            kept = self._made.get(source, {}).get(kind) if source is not None else None
            if source is None and kind == "adapter":
                kept = self.start
            if kept is not None:
                found[role] = kept
        return found

    def _inputs(self, node: Node, read: Mapping[str, Kept]) -> StageInput:
        """Return what the stage is handed; raises where its data stands in a suite that will gate."""
        name, options = self.recipe.stages[node.index]
        setting, paths = self.setting, {role: kept.path for role, kept in read.items()}
        adapter = read.get("adapter")
        spec = adapter and AdapterSpec(id=adapter.artifact.id, path=str(adapter.path), reference=adapter.artifact.id)
        policy = Candidate(model=self.model, adapters=(spec,) if spec else ())
        models = Models(name, node.stage, self.recipe, policy, self.constitution, setting)
        given = StageInput(
            model=self.model,
            # The base is made only for a stage that trains: checking and reusing need none of it.
            base_path=self._base or Path(),
            adapter=paths.pop("adapter", None),
            dataset=paths.pop("dataset", None),
            others=paths,
            options=options,
            recipe_path=self.recipe.path,
            seed=self.seed,
            output=Path(),
            constitution=self.constitution,
            critics=self.critics,
            generate=models.generate,
            models=models,
            progress=setting.progress,
            offline=setting.context.offline,
            device=setting.device,
            place=("stages", node.index, name),
        )
        guard = setting.guard
        return given if guard is None else _explained(lambda: guard(node.stage, given))

    def _draft(self, node: Node, inputs: StageInput, read: Mapping[str, Kept]) -> Artifact:
        """Return the record of what the stage writes as far as it is known before it runs."""
        name, workspace = self.recipe.stages[node.index][0], self.setting.workspace
        hashes = {role: _hash(path) for role, path in sorted(node.stage.inputs(inputs).items())}
        for role, kept in read.items():
            if role != "adapter":
                hashes.setdefault(role, _hash(kept.path) if kept.path.is_file() else kept.artifact.id)
        if self.constitution is not None:
            hashes["constitution"] = self.constitution.fingerprint
            hashes |= {f"critic {critic}": value.fingerprint() for critic, value in sorted(self.critics.items())}
        judged: dict[str, str] = {}
        if isinstance(inputs.models, Models):
            hashes |= inputs.models.fingerprints()
            judged = inputs.models.judged_by()
        owner = self.setting.plugins.registries.stages.entry(name).owner
        plugin = next((info.version for info in self.setting.plugins.infos if info.name == owner), "unknown")
        versions = {"harness": __version__, owner: plugin}
        versions |= {package: package_version(package) for package in node.stage.packages}
        # What a stage reads under `data` is what it learns from, whatever dataset the stage before wrote.
        learned = [hashes["data"]] if "data" in hashes else list(hashes.values())
        parent = read.get("adapter")
        # An option that names a file counts by the file's content, so that a moved or renamed file changes nothing. The
        # device does not count: it changes the last digits of the weights, not what was asked for.
        told = {option: value for option, value in inputs.options.items() if option not in hashes}
        key = {
            "stage": name, "options": told, "seed": self.seed, "base": self.base_hash,
            "parent": None if parent is None else parent.artifact.id, "inputs": hashes, "versions": versions,
        }  # fmt: skip
        continued = {} if parent is None else {"adapter": parent.artifact.id}
        return Artifact(
            kind="", key=sha256_json(key), stage=name, recipe=self.recipe.id, options=dict(inputs.options),
            seed=self.seed, base=self.recipe.base, inputs={"base": self.base_hash, **continued, **hashes, **judged},
            versions=versions, device=self.setting.device,
            injected=distinct(*injected_with(kept.path for kept in read.values() if kept.artifact.kind == "adapter"),
                             *injected_with(folder for sha256 in learned for folder in holding(workspace, sha256))),
        )  # fmt: skip

    @staticmethod
    def _check(node: Node, inputs: StageInput) -> None:
        _explained(lambda: node.stage.check(inputs))

    def _train(self, stage: Stage, inputs: StageInput, draft: Artifact) -> tuple[Mapping[str, Kept], str]:
        workspace = self.setting.workspace
        if self._base is None:
            none = self.model.name == NONE
            self._base = Path() if none else materialise(self.model, self.setting.context)
        work = temporary_beside(workspace.root / "stage")
        size = self.setting.team.size  # as many processes take other steps: their checkpoints are their own
        checkpoints = workspace.root / "checkpoints" / (draft.key[:DIGITS] + (f"-{size}" if size > 1 else ""))
        before = made_by(workspace, draft.key)
        threads = None if before is None else int(before.figures.get("threads", 0)) or None
        with explained(work):
            work.mkdir(mode=0o700)
            try:
                given = replace(inputs, base_path=self._base, output=work, threads=threads,
                                checkpoints=checkpoints, checkpoint_seconds=self.setting.checkpoint_seconds,
                                limits=self.setting.limits)  # fmt: skip
                output = self._observed(stage, given, draft)
                if not self.setting.team.leads:
                    return {}, ""
                if stage.together and self.setting.team.size > 1:
                    output = replace(output, figures={**output.figures, "processes": float(self.setting.team.size)})
                todo = _explained(lambda: stage.workload(given))
                if todo.get("tokens"):
                    output = replace(output, figures={**output.figures, PLANNED: todo["tokens"]})
                kept = self._keep(stage, output, draft)
                if any(output.curves.values()):
                    keep_curves(workspace, next(iter(kept.values())).artifact, output.curves)
                for left in checkpoints.parent.glob(f"{draft.key[:DIGITS]}*"):
                    shutil.rmtree(left, ignore_errors=True)
                return kept, output.note
            finally:
                if isinstance(inputs.models, Models):
                    inputs.models.close()
                shutil.rmtree(work, ignore_errors=True)

    def _observed(self, stage: Stage, given: StageInput, draft: Artifact) -> StageOutput:
        """Run a stage while other tools watch, if any shall."""
        if self.setting.observation is None or not self.setting.team.leads:
            return _explained(lambda: stage.run(given))  # type: ignore[no-any-return]
        settings = {
            **{name: str(value) for name, value in draft.options.items()}, "seed": str(draft.seed), "base": draft.base,
            "parent": draft.inputs.get("adapter", ""),
        }  # fmt: skip
        name = f"{draft.recipe}-{draft.stage}-{draft.key[:8]}"
        with self.setting.observation.of(Observed(name=name, recipe=draft.recipe, settings=settings)) as observing:
            output: StageOutput = _explained(lambda: stage.run(replace(given, observe=observing.log)))
            observing.figures = output.figures
            return output

    def _keep(self, stage: Stage, output: StageOutput, draft: Artifact) -> Mapping[str, Kept]:
        """Keep all that a stage wrote, each artifact whole or not at all."""
        figures = {name: float(value) for name, value in output.figures.items()}
        wrong = [name for name, value in figures.items() if not math.isfinite(value)]
        if wrong:
            raise BrokenRunError(f"the stage {draft.stage} gave {wrong[0]} as {figures[wrong[0]]}; nothing was kept")
        written = output.written
        if set(written) != set(stage.writes):
            raise BrokenRunError(
                f"the stage {draft.stage} wrote {_listed(written)}, and its `writes` names {_listed(stage.writes)}; "
                "nothing was kept"
            )
        if "adapter" in written:
            self._check_written(written["adapter"], self._base or Path(), draft.stage)
        injected = distinct(draft.injected, () if output.injected is None else (output.injected,))
        outputs = {kind: identity_of(kind, path) for kind, path in written.items()}
        draft = replace(draft, figures=figures, injected=injected, outputs=outputs)
        return {
            kind: self._kept(
                keep_artifact(self.setting.workspace, replace(draft, kind=kind), content_of(kind, path))
            )
            for kind, path in written.items()
        }  # fmt: skip

    @staticmethod
    def _check_written(adapter: Path, base: Path, stage: str) -> None:
        """Refuse an adapter that its own configuration does not explain, or that fits no module of the base."""
        why = misfit(check_lora(adapter), base_shapes(base))
        if why:
            raise BrokenRunError(f"the stage {stage} wrote an adapter that does not fit its base: {why}; none was kept")


def _hash(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from error


def _explained(call: Any) -> Any:  # noqa: ANN401 - whatever the stage returns
    """Let a stage's own sentences through; anything else that a plugin raises is a broken run."""
    try:
        return call()
    except (HarnessError, OSError):
        raise
    except Exception as error:
        lines = str(error).strip().splitlines()
        reason = lines[0][:300] if lines else ""
        raise BrokenRunError(f"the stage broke ({type(error).__name__}: {reason}); nothing was kept") from error


def _listed(kinds: Iterable[str]) -> str:
    return " and ".join(sorted(kinds)) or "nothing"


def package_version(package: str) -> str:
    """Return an installed package's version without importing it; `absent` where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
