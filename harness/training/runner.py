"""Runs recipes: each stage in a temporary folder, its outcome renamed into the workspace, unchanged stages reused."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import __version__
from harness.errors import BrokenRunError, HarnessError, InputError
from harness.hashing import sha256_file
from harness.store.atomic import explained, temporary_beside
from harness.store.planted import planted_in
from harness.training.models import Models
from harness.training.records import StageRecord, distinct, package_version, stage_key
from harness.training.resources import resolve_constitution, resolve_recipe_base, resolve_start
from harness.training.stage_store import StageStore
from harness.types import AdapterSpec, Candidate, ModelSpec, RoleRef, StageInput
from harness.weights import base_hash, materialise
from harness.weights.lora import base_shapes, check_lora, misfit

if TYPE_CHECKING:
    from harness.contracts import Progress, RunContext, Stage
    from harness.plugins import Plugins
    from harness.reading.recipe import Recipe
    from harness.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class TrainSetting:
    """Where and how a recipe is run."""

    plugins: Plugins
    workspace: Workspace
    surroundings: RunContext
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


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What became of one stage."""

    stage: str
    reused: bool
    trained: bool
    """Neither reused nor trained: a dry run."""
    adapter: AdapterSpec | None
    """The adapter as it stands after the stage; None where there is none yet, or it is not known in a dry run."""
    dataset: Path | None
    record: StageRecord | None
    """None in a dry run where the stage would be trained."""
    note: str = ""

    @property
    def word(self) -> str:
        """What became of it, in words."""
        return "trained" if self.trained else "reused" if self.reused else "would be trained"


@dataclass(frozen=True)
class _State:
    """What one stage hands to the next."""

    adapter: AdapterSpec | None
    dataset: Path | None
    known: bool = True
    """False in a dry run behind a stage that would be trained."""


def train(recipe: Recipe, setting: TrainSetting) -> tuple[StageResult, ...]:
    """Run a recipe's stages in order. The caller is `Workspace.working`, unless it is a dry run.

    Every stage is checked before the first one trains, except behind a stage that writes a dataset.

    Raises:
        InputError: naming file, line and key.
        BrokenRunError: when training breaks, memory or the disk runs out; no half-written adapter is left.
    """
    run = _Run(recipe, setting)
    state = _State(run.start, None)
    results: list[StageResult] = []
    run.check_all()
    for index in range(len(recipe.stages)):
        state, result = run.stage(index, state)
        results.append(result)
    return tuple(results)


class _Run:
    """One recipe on its way."""

    def __init__(self, recipe: Recipe, setting: TrainSetting) -> None:
        self.recipe, self.setting = recipe, setting
        registries = setting.plugins.registries
        self.seed = recipe.seed if setting.seed is None else setting.seed
        self.stages = [
            registries.stages.get(
                name, file=str(recipe.path), line=recipe.document.line(("stages", index)), key=f"stages[{index}]"
            )()
            for index, (name, _) in enumerate(recipe.stages)
        ]
        self.model: ModelSpec = resolve_recipe_base(recipe, registries, device=setting.device)
        self.base_hash = base_hash(self.model, setting.surroundings)
        self.start = resolve_start(recipe, self.base_hash, setting.workspace)
        self.constitution, self.critics = resolve_constitution(recipe, registries)
        self.store = StageStore(setting.workspace)
        self._base: Path | None = None

    def check_all(self) -> None:
        """Check the stages whose inputs are known before anything is trained."""
        state = _State(self.start, None)
        for index, stage in enumerate(self.stages):
            self._check(stage, self._inputs(index, state))
            if stage.writes_dataset:
                return
            state = _State(None, None)  # what a later stage continues is not there yet

    def stage(self, index: int, state: _State) -> tuple[_State, StageResult]:
        """Reuse or run one stage."""
        name, stage = self.recipe.stages[index][0], self.stages[index]
        if not state.known:
            result = StageResult(stage=name, reused=False, trained=False, adapter=None, dataset=None, record=None)
            return state, result
        inputs = self._inputs(index, state)
        self._check(stage, inputs)
        record = self._record(name, stage, inputs, state)
        note = ""
        if not self.setting.force:
            found, note = self.store.find(record.key)
            if found is not None:
                after = self._after(found, state)
                result = StageResult(
                    stage=name, reused=True, trained=False, adapter=after.adapter, dataset=after.dataset, record=found
                )
                return after, result
        if self.setting.dry_run:
            result = StageResult(
                stage=name, reused=False, trained=False, adapter=None, dataset=None, record=None, note=note
            )
            return replace(state, known=False), result
        after, record = self._train(stage, inputs, record, state)
        result = StageResult(
            stage=name, reused=False, trained=True, adapter=after.adapter, dataset=after.dataset, record=record,
            note=note,
        )  # fmt: skip
        return after, result

    def _inputs(self, index: int, state: _State, *, output: Path | None = None) -> StageInput:
        name, options = self.recipe.stages[index]
        setting = self.setting
        adapters = () if state.adapter is None else (state.adapter,)
        policy = Candidate(model=self.model, adapters=adapters)
        models = Models(name, self.stages[index], self.recipe, policy, self.constitution, setting)
        return StageInput(
            model=self.model,
            # The base is made only for a stage that trains: checking and reusing need none of it.
            base_path=self._base or Path(),
            adapter=None if state.adapter is None else Path(state.adapter.path),
            dataset=state.dataset,
            options=options,
            recipe_path=self.recipe.path,
            seed=self.seed,
            output=output or Path(),
            constitution=self.constitution,
            critics=self.critics,
            generate=models.generate,
            models=models,
            progress=setting.progress,
            offline=setting.surroundings.offline,
            device=setting.device,
            place=("stages", index, name),
        )

    def _record(self, name: str, stage: Stage, inputs: StageInput, state: _State) -> StageRecord:
        """Return the stage's record as far as it is known before it runs."""
        hashes = {role: _hash(path) for role, path in sorted(stage.inputs(inputs).items())}
        if state.dataset is not None:
            hashes.setdefault("dataset", _hash(state.dataset))
        if self.constitution is not None:
            hashes["constitution"] = self.constitution.fingerprint
            hashes |= {f"critic {critic}": value.fingerprint() for critic, value in sorted(self.critics.items())}
        if isinstance(inputs.models, Models):
            hashes |= inputs.models.fingerprints()
        owner = self.setting.plugins.registries.stages.entry(name).owner
        plugin = next((info.version for info in self.setting.plugins.infos if info.name == owner), "unknown")
        versions = {"harness": __version__, owner: plugin}
        versions |= {package: package_version(package) for package in stage.packages}
        parent = None if state.adapter is None else state.adapter.id
        # What a stage reads under `data` is what it learns from, whatever dataset the stage before wrote.
        learned = [hashes["data"]] if "data" in hashes else list(hashes.values())
        planted = distinct(
            () if state.adapter is None else planted_in([state.adapter]),
            *(self.store.planted(sha256) for sha256 in learned),
        )
        key = stage_key(
            stage=name, options=inputs.options, seed=self.seed, base_hash=self.base_hash, parent=parent,
            inputs=hashes, versions=versions,
        )  # fmt: skip
        return StageRecord(
            key=key, stage=name, recipe=self.recipe.id, options=dict(inputs.options), seed=self.seed,
            base=self.recipe.base, base_hash=self.base_hash, parent=parent, inputs=hashes, versions=versions,
            device=self.setting.device, planted=planted,
        )  # fmt: skip

    @staticmethod
    def _check(stage: Stage, inputs: StageInput) -> None:
        _explained(lambda: stage.check(inputs))

    def _after(self, record: StageRecord, before: _State) -> _State:
        adapter, dataset = before.adapter, before.dataset
        if record.adapter is not None:
            path = self.store.adapter(record.adapter)
            adapter = AdapterSpec(id=record.adapter, path=str(path), reference=record.adapter)
        if record.dataset is not None:
            dataset = self.store.dataset(record.dataset)
        return _State(adapter, dataset)

    def _train(
        self, stage: Stage, inputs: StageInput, record: StageRecord, before: _State
    ) -> tuple[_State, StageRecord]:
        if self._base is None:
            self._base = materialise(self.model, self.setting.surroundings)
        work = temporary_beside(self.setting.workspace.adapters / "stage")
        with explained(work):
            work.mkdir(mode=0o700)
            try:
                given = replace(inputs, base_path=self._base, output=work, threads=self.store.threads(record.key))
                output = _explained(lambda: stage.run(given))
                if output.adapter is not None:
                    self._check_written(output.adapter, self._base, record.stage)
                record = self.store.keep(output, record)
            finally:
                if isinstance(inputs.models, Models):
                    inputs.models.close()
                shutil.rmtree(work, ignore_errors=True)
        return self._after(record, before), record

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
        raise BrokenRunError(f"the stage broke ({type(error).__name__}: {reason}); no adapter was kept") from error


def plain_result(result: StageResult) -> Mapping[str, Any]:
    """Return a result as JSON values."""
    return {
        "stage": result.stage,
        "reused": result.reused,
        "trained": result.trained,
        "adapter": None if result.adapter is None else {"id": result.adapter.id, "path": result.adapter.path},
        "dataset": None if result.dataset is None else str(result.dataset),
        "figures": {} if result.record is None else dict(result.record.figures),
        "record": None if result.record is None else asdict(result.record),
        "note": result.note,
    }
