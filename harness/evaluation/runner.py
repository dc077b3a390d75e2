"""Runs suites: baseline and candidate through the pass, gates, a run folder each, and the observers' hooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness import __version__
from harness.errors import InputError
from harness.evaluation.arm import Arm, Identity, evaluate, identify
from harness.evaluation.calibrated import Labellers, checks_as_calibrated
from harness.evaluation.checks import checks, require_attainable_gates
from harness.evaluation.drift import DriftArm, check_drift, checks_with_drift, drift_notes
from harness.evaluation.environment import environment
from harness.evaluation.gaps import gap_notes
from harness.evaluation.pool import ModelPool
from harness.evaluation.resolve import resolve_arms, resolve_judge
from harness.hashing import sha256_json
from harness.store.cache import Cache
from harness.store.runs import finish_run, is_whole, list_runs, read_samples
from harness.store.sample_writer import SampleWriter
from harness.types import Candidate, Check, DriftCheck, OverallStatus, RunRecord, RunSpec

if TYPE_CHECKING:
    from harness.contracts import Progress, Surroundings
    from harness.evaluation.prepare import PreparedSuite
    from harness.plugins import Plugins
    from harness.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where runs happen: what every suite of one invocation shares."""

    plugins: Plugins
    workspace: Workspace
    surroundings: Surroundings
    progress: Progress
    spec: RunSpec
    """What was asked, for the observers."""
    drift_check: int | None = None
    """Samples to compute again in float32 for each gate's metric: see `harness.evaluation.drift`."""


@dataclass(frozen=True, kw_only=True)
class SuiteRun:
    """The outcome of one suite."""

    run: RunRecord
    baselines: Mapping[str, RunRecord]
    """By what the gates call them."""
    warnings: tuple[str, ...] = ()

    @property
    def status(self) -> OverallStatus:
        """The candidate's."""
        return self.run.status


def run_suites(
    prepared: Sequence[PreparedSuite],
    candidate: Candidate,
    setting: Setting,
    *,
    baseline: str | None = None,
    judge: str | None = None,
) -> tuple[SuiteRun, ...]:
    """Run suites on a candidate, and on the baselines that their gates compare with.

    The caller is `Workspace.working`. Everything that can be refused is refused before the first model loads.

    Args:
        prepared: the suites.
        candidate: who is judged.
        setting: where it happens.
        baseline: stands for `promoted` in every gate where given: `base`, or an adapter's reference.
        judge: reference of the judge's model; None is the candidate's bare base.

    Raises:
        InputError: for gates that cannot be passed, adapters that do not fit, a judge that would judge itself.
        BrokenRunError: when the run breaks; replies so far are kept.
    """
    arms = resolve_arms(prepared, baseline, candidate, setting.workspace)
    judge_candidate, judge_note = resolve_judge(judge, candidate, setting.plugins.registries)
    for suite in prepared:
        require_attainable_gates(suite)
    cache = Cache(setting.workspace.cache_path)
    try:
        with ModelPool(setting.plugins.registries, setting.surroundings, cache, setting.progress) as pool:
            for suite in prepared:
                for arm in (candidate, *arms.values()):
                    identify(suite, arm, judge_candidate, pool)
            warnings = setting.plugins.notify("run_started", spec=setting.spec)
            return tuple(
                _run_one(suite, candidate, arms, judge_candidate, judge_note, pool, cache, setting, warnings)
                for suite in prepared
            )
    finally:
        cache.close()


def _run_one(
    prepared: PreparedSuite,
    candidate: Candidate,
    arms: Mapping[str, Candidate],
    judge: Candidate,
    judge_note: str | None,
    pool: ModelPool,
    cache: Cache,
    setting: Setting,
    warnings: tuple[str, ...],
) -> SuiteRun:
    """Run one suite: its baselines first, since the candidate's checks need them."""
    refused = cache.refused
    with ExitStack() as writers:

        def through(arm: Candidate, name: str) -> Arm:
            writer = writers.enter_context(SampleWriter(setting.workspace))
            return evaluate(
                prepared, arm, judge, pool, cache=cache, progress=setting.progress, writer=writer,
                seed=setting.spec.seed, name=name,
            )  # fmt: skip

        needed = {name for gate in prepared.gates for name in gate.arms} | ({"promoted"} & set(arms))
        known: dict[str, Arm] = {}
        evaluated: dict[str, Arm] = {}
        for name in sorted(needed):
            identity = identify(prepared, arms[name], judge, pool)
            if identity.candidate not in known:
                known[identity.candidate] = through(arms[name], name)
            evaluated[name] = known[identity.candidate]
        own = identify(prepared, candidate, judge, pool)
        arm = known.get(own.candidate) or through(candidate, "candidate")
        _require_measured(prepared, arm)
        tables = {name: other.tables for name, other in evaluated.items()}
        drift = check_drift(
            prepared, DriftArm(candidate=candidate, tables=arm.tables),
            {name: DriftArm(candidate=arms[name], tables=other.tables) for name, other in evaluated.items()}, judge,
            pool, samples=setting.drift_check, cache=cache, progress=setting.progress, seed=setting.spec.seed,
        )  # fmt: skip
        pool.check_bases()  # before anything of the suite is written
        written = {
            id(other): _stored(other, setting)
            or _write(other, prepared, (), {}, _notes(prepared, other, judge_note), setting)
            for other in known.values()
            if other is not arm
        }
        records = {name: written[id(other)] for name, other in evaluated.items() if other is not arm}
        verdicts = checks(
            prepared.gates, arm.tables, tables, seed=setting.spec.seed, device=arm.backend.get("device", "")
        )
        verdicts = checks_with_drift(verdicts, drift, arm.tables, tables, seed=setting.spec.seed)
        labellers = Labellers(
            principles={principle.id: principle for principle in prepared.principles}, critics=arm.critics,
            classifiers={status.name: status.fingerprint for status in prepared.classifier_status},
        )  # fmt: skip
        verdicts = checks_as_calibrated(verdicts, {metric.name: metric for metric in prepared.metrics}, labellers)
        same = tuple(name for name, other in evaluated.items() if other is arm)
        ids = {name: record.id for name, record in records.items()}
        notes = (*_notes(prepared, arm, judge_note, same), *drift_notes(prepared, candidate, pool))
        if cache.refused > refused:
            notes += (
                f"{cache.refused - refused} cached rows were not what this workspace wrote, and were asked again",
            )
        run = _write(arm, prepared, verdicts, ids, notes, setting, drift)
    records |= dict.fromkeys(same, run)
    warnings += tuple(_observed(run, setting))
    return SuiteRun(run=run, baselines=records, warnings=tuple(dict.fromkeys(warnings)))


def _require_measured(prepared: PreparedSuite, arm: Arm) -> None:
    """Refuse a run whose every metric applies to no sample: its table would be empty, and no gate could hold."""
    seen = [estimate for estimate in arm.estimates if len(arm.tables[estimate.metric].rows)]
    if seen and not any(estimate.n for estimate in seen):
        raise InputError(
            f"nothing was measured: {'; '.join(gap_notes(arm.tables, seen))}", file=prepared.suite.path,
            hint="look at the samples' fields and at samples.columns, or measure something else",
        )  # fmt: skip


def _observed(run: RunRecord, setting: Setting) -> Iterator[str]:
    """Tell the observers of a run that is in place; yield what they failed at."""
    if setting.plugins.observed("sample_finished"):  # reading hundreds of thousands of records for nobody takes long
        said = (
            warning
            for record in read_samples(setting.workspace, run.id)
            for warning in setting.plugins.notify("sample_finished", record=record)
        )
        yield from dict.fromkeys(said)
    yield from setting.plugins.notify("run_finished", run=run, folder=setting.workspace.runs / run.id)


def _stored(arm: Arm, setting: Setting) -> RunRecord | None:
    """Return the newest stored run that is this very run, so that a baseline is not written again and again.

    It must be whole and say what was just measured: times differ from run to run, and a plugin may have changed.
    """
    for record in reversed(list_runs(setting.workspace, problems=[])):
        if identity_of(record) != arm.identity or record.harness_version != __version__:
            continue
        if record.estimates == arm.estimates and is_whole(setting.workspace, record):
            return record
    return None


def identity_of(record: RunRecord) -> Identity:
    """Return a stored run's identity."""
    return Identity(
        candidate=record.candidate_fingerprint, judge=record.judge_fingerprint, suite=record.suite_fingerprint,
        samples=record.samples_fingerprint,
        seed=record.seed,
    )  # fmt: skip


def _notes(prepared: PreparedSuite, arm: Arm, judge_note: str | None, same: Sequence[str] = ()) -> tuple[str, ...]:
    notes = []
    if judge_note is not None and arm.judge is not None:
        notes.append(judge_note)
    if same:
        names = " and ".join(f"`{name}`" for name in same)
        notes.append(f"the candidate is itself {names}: comparisons with that say nothing")
    count, available = len(prepared.samples), prepared.samples.available
    if count < available:
        notes.append(f"a subset of {count} of {available} samples, whole clusters drawn by hash")
    notes += [f"the classifier {s.name} did not run: {s.reason}" for s in prepared.classifier_status if not s.ran]
    return (*notes, *arm.notes)


def _write(
    arm: Arm,
    prepared: PreparedSuite,
    verdicts: tuple[Check, ...],
    baseline_runs: Mapping[str, str],
    notes: tuple[str, ...],
    setting: Setting,
    drift: DriftCheck | None = None,
) -> RunRecord:
    now = datetime.now(UTC)
    suite = prepared.suite
    content = [now.isoformat(), suite.id, arm.identity.candidate, arm.identity.suite]
    run_id = f"{now:%Y%m%d-%H%M%S}-{suite.id}-{sha256_json(content)[:6]}"
    record = RunRecord(
        id=run_id, created=now.isoformat(timespec="seconds"), harness_version=__version__, suite=suite.id,
        suite_version=suite.version, suite_fingerprint=arm.identity.suite, candidate=arm.candidate,
        candidate_fingerprint=arm.identity.candidate, judge=arm.judge, judge_fingerprint=arm.identity.judge,
        seed=setting.spec.seed, limit=prepared.limit, samples=len(prepared.samples),
        samples_fingerprint=arm.identity.samples,
        estimates=arm.estimates,
        checks=verdicts, classifiers=prepared.classifier_status, critics=arm.critics,
        constitutions={constitution.id: constitution.fingerprint for constitution in prepared.constitutions},
        baseline_runs=baseline_runs, requests=arm.requests, model_calls=arm.model_calls, seconds=arm.seconds,
        environment={**environment(setting.plugins.infos), **arm.backend}, notes=notes, drift=drift,
    )  # fmt: skip
    return finish_run(
        setting.workspace, record, arm.writer, suite_text=suite.document.text,
        constitutions=prepared.constitutions,
    )  # fmt: skip
