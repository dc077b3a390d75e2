"""Runs suites: baseline and candidate through the pass, gates, a run folder each, and the observers' hooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING

from harness import __version__
from harness.errors import InputError
from harness.evaluation.arm import Arm, Identity, evaluate, identify
from harness.evaluation.calibrated import Labellers, checks_as_calibrated, look_up
from harness.evaluation.checks import checks, gap_notes, require_attainable_gates
from harness.evaluation.environment import environment
from harness.evaluation.number_formats import precision_checker
from harness.evaluation.panel import roles_of
from harness.evaluation.pool import ModelPool
from harness.evaluation.reducing import said_of
from harness.evaluation.resolve import Around, resolve_arms
from harness.evaluation.roles import Asking, Roles, in_order, resolve_roles
from harness.evaluation.shared import shared_critics
from harness.gates.kinds import CORRECTIONS
from harness.reading.changes import written_changes
from harness.store.cache import Cache
from harness.store.runs import finish_run, is_whole, list_runs, read_samples
from harness.store.sample_writer import SampleWriter
from harness.store.seen import note_shown, seen_items
from harness.tables import counted
from harness.types import Candidate, Check, OverallStatus, PrecisionCheck, RunRecord, RunSpec

if TYPE_CHECKING:
    from harness.contracts import Progress, RunContext
    from harness.evaluation.prepare import PreparedSuite
    from harness.plugins import Plugins
    from harness.stats import MetricTable
    from harness.store.workspace import Workspace
    from harness.types import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where runs happen: what every suite of one invocation shares."""

    plugins: Plugins
    workspace: Workspace
    context: RunContext
    progress: Progress
    spec: RunSpec
    """What was asked, for the observers."""
    precision_check: int | None = None
    """Samples to compute again in float32 for each gate's metric: see `harness.evaluation.number_formats`."""
    base: ModelSpec | None = None
    """What `base` means, and `promoted` while nothing is; None is the candidate's own base."""

    @property
    def around(self) -> Around:
        """Where what a candidate is compared with is looked up."""
        return Around(workspace=self.workspace, registries=self.plugins.registries, base=self.base)

    def suite_name(self, prepared: PreparedSuite) -> str:
        """Return what a person writes to name the suite: its registered name, else its path."""
        suite, known = prepared.suite, self.plugins.registries.suites
        return suite.id if suite.id in known and known.get(suite.id) == suite.path else str(suite.path)

    def roles(self, prepared: PreparedSuite, candidate: Candidate) -> Roles:
        """Return who plays the roles that a suite asks: as the invocation says, else the suite, else the settings.

        Raises:
            InputError: as `resolve_roles`.
        """
        refs = in_order(self.spec.roles, prepared.suite.roles)
        # A full fine-tune does not judge itself: its judge stands on the base that it is compared with.
        base = candidate if self.base is None else Candidate(model=self.base)
        return resolve_roles(
            prepared.roles, refs, base, registries=self.plugins.registries, workspace=self.workspace
        ).of(candidate)


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
    prepared: Sequence[PreparedSuite], candidate: Candidate, setting: Setting, *, baseline: str | None = None
) -> tuple[SuiteRun, ...]:
    """Run suites on a candidate, and on the baselines that their gates compare with.

    The caller is `Workspace.working`. Everything that can be refused is refused before the first model loads.

    Args:
        prepared: the suites.
        candidate: who is judged.
        setting: where it happens, and who plays the other roles.
        baseline: stands for `promoted` in every gate where given: `base`, a model's reference or an adapter's.

    Raises:
        InputError: for gates that cannot be passed, adapters that do not fit, an adapter that would judge itself.
        BrokenRunError: when the run breaks; replies so far are kept.
    """
    arms = resolve_arms(prepared, baseline, candidate, setting.around)
    played = [setting.roles(suite, candidate) for suite in prepared]
    for suite in prepared:
        require_attainable_gates(suite)
    cache = Cache(setting.workspace.cache_path)
    try:
        with ModelPool(setting.plugins.registries, setting.context, cache, setting.progress) as pool:
            runs = [
                _Run(prepared=suite, setting=setting, asking=Asking(roles=roles, pool=pool), arms=arms, cache=cache)
                for suite, roles in zip(prepared, played, strict=True)
            ]
            for run in runs:
                for arm in (candidate, *arms.values()):
                    identify(run.prepared, run.of(arm))
            warnings = setting.plugins.notify("run_started", spec=setting.spec)
            return tuple(run.outcome(warnings) for run in runs)
    finally:
        cache.close()


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One suite on its way."""

    prepared: PreparedSuite
    setting: Setting
    asking: Asking
    """Around the candidate."""
    arms: Mapping[str, Candidate]
    cache: Cache

    def of(self, arm: Candidate) -> Asking:
        """Return the same around another arm: one judge serves all."""
        return replace(self.asking, roles=self.asking.roles.of(arm))

    def outcome(self, warnings: tuple[str, ...]) -> SuiteRun:
        """Run it: its baselines first, since the candidate's checks need them."""
        prepared, setting, arms, pool = self.prepared, self.setting, self.arms, self.asking.pool
        candidate, seed, refused = self.asking.roles.policy, setting.spec.seed, self.cache.refused
        with ExitStack() as writers:

            def through(who: Candidate, name: str) -> Arm:
                writer = writers.enter_context(SampleWriter(setting.workspace))
                return evaluate(prepared, self.of(who), writer=writer, seed=seed, name=name)

            needed = {name for gate in prepared.gates for name in gate.arms} | ({"promoted"} & set(arms))
            known: dict[str, Arm] = {}
            evaluated: dict[str, Arm] = {}
            wanted = pool.fingerprint(candidate)  # first, so that a base is loaded as one that takes its adapters
            for name in sorted(needed):
                fingerprint = pool.fingerprint(arms[name])
                if fingerprint not in known:
                    known[fingerprint] = through(arms[name], name)
                evaluated[name] = known[fingerprint]
            arm = known.get(wanted) or through(candidate, "candidate")
            _require_measured(prepared, arm)
            tables = {name: other.tables for name, other in evaluated.items()}
            rounding = precision_checker()
            precision = rounding.measure(
                prepared, {"": (candidate, arm.tables)} | {name: (arms[name], found) for name, found in tables.items()},
                self.asking, samples=setting.precision_check, seed=seed,
            )  # fmt: skip
            pool.check_bases()  # before anything of the suite is written
            written = {
                id(other): _stored(other, setting) or self._write(other, (), {}, self._notes(other))
                for other in known.values()
                if other is not arm
            }
            records = {name: written[id(other)] for name, other in evaluated.items() if other is not arm}
            labellers = Labellers(
                principles={principle.id: principle for principle in prepared.panel.principles}, critics=arm.critics,
                classifiers={status.name: status.fingerprint for status in prepared.panel.classifier_status},
                suite=setting.suite_name(prepared), admission=prepared.admission,
                shared=self._shared(arm), roles=arm.roles,
            )  # fmt: skip
            look_up(prepared.metrics, labellers, setting.workspace)
            own, *others = (self._with_evidence(found) for found in (arm.tables, *tables.values()))
            labelled, device = dict(zip(tables, others, strict=True)), arm.backend.get("device", "")
            verdicts = checks(prepared.gates, own, labelled, seed=seed, device=device)
            verdicts = rounding.verdicts(verdicts, precision, arm.tables, tables, seed=seed)
            verdicts = checks_as_calibrated(verdicts, {metric.name: metric for metric in prepared.metrics}, labellers)
            same = tuple(name for name, other in evaluated.items() if other is arm)
            ids = {name: record.id for name, record in records.items()}
            notes = (*self._notes(arm, same), *rounding.notes(prepared, candidate, pool))
            if refused := self.cache.refused - refused:
                notes += (f"{refused} cached rows were not what this workspace wrote, and were asked again",)
            run = self._write(arm, verdicts, ids, notes, precision)
        records |= dict.fromkeys(same, run)
        warnings += tuple(_observed(run, setting))
        return SuiteRun(run=run, baselines=records, warnings=tuple(dict.fromkeys(warnings)))

    def _with_evidence(self, tables: Mapping[str, MetricTable]) -> Mapping[str, MetricTable]:
        gates = self.prepared.gates
        for name in {gate.correction for gate in gates} - {""}:
            tables = CORRECTIONS[name].evidence(tables, gates, self.setting.workspace)
        return tables

    def _notes(self, arm: Arm, same: Sequence[str] = ()) -> tuple[str, ...]:
        prepared = self.prepared
        notes = list(self.asking.roles.notes())
        if same:
            names = " and ".join(f"`{name}`" for name in same)
            notes.append(f"the candidate is itself {names}: comparisons with that say nothing")
        suite = prepared.suite
        if suite.changes:
            notes.append(f"set for this run, which counts as no policy's: {written_changes(suite.changes)}")
        if suite.few_shot.n:
            where = prepared.samples.examples_from
            notes.append(f"{counted(suite.few_shot.n, 'solved example')} of {where} before each question")
        draws = prepared.samples.draws
        count, available = len(prepared.samples) // draws, prepared.samples.available // draws
        if draws > 1:
            notes.append(f"each sample was drawn {draws} times{said_of(prepared.suite, prepared.metrics)}")
        if prepared.note:
            notes.append(prepared.note)
        elif count < available:
            notes.append(f"a subset of {count} of {available} samples, whole clusters drawn by hash")
        statuses = prepared.panel.classifier_status
        notes += [f"the classifier {s.name} did not run: {s.reason}" for s in statuses if not s.ran]
        return (*notes, *arm.notes)

    def _shared(self, arm: Arm) -> dict[str, str]:
        """Return which critics had a part in training an arm."""
        asking = {name for name, critic in self.prepared.panel.critics.items() if roles_of(critic)}
        return shared_critics(self.setting.workspace, arm.candidate, arm.critics, arm.roles, asking=asking)

    def _write(
        self,
        arm: Arm,
        verdicts: tuple[Check, ...],
        baseline_runs: Mapping[str, str],
        notes: tuple[str, ...],
        precision: PrecisionCheck | None = None,
    ) -> RunRecord:
        prepared, setting, suite, now = self.prepared, self.setting, self.prepared.suite, datetime.now(UTC)
        # Two processes may end in the same microsecond, so that the time alone does not tell their runs apart.
        run_id = f"{now:%Y%m%d-%H%M%S}-{suite.id}-{token_hex(3)}"
        judge = arm.roles.get("judge")
        record = RunRecord(
            id=run_id, created=now.isoformat(timespec="seconds"), harness_version=__version__, suite=suite.id,
            suite_version=suite.version, suite_fingerprint=arm.identity.suite, candidate=arm.candidate,
            candidate_fingerprint=arm.identity.candidate, judge=None if judge is None else judge.candidate,
            judge_fingerprint=arm.identity.judge, roles=arm.roles,
            seed=setting.spec.seed, limit=prepared.limit, samples=len(prepared.samples),
            samples_fingerprint=arm.identity.samples,
            estimates=arm.estimates,
            checks=verdicts, classifiers=prepared.panel.classifier_status, critics=arm.critics,
            constitutions={constitution.id: constitution.fingerprint for constitution in prepared.constitutions},
            baseline_runs=baseline_runs, requests=arm.requests, model_calls=arm.model_calls, seconds=arm.seconds,
            pace=arm.pace,
            environment={**environment(setting.plugins.infos), **arm.backend}, notes=notes, precision=precision,
            settings=suite.changes, few_shot=suite.few_shot.n, admission=prepared.admission,
            shared_critics=self._shared(arm),
        )  # fmt: skip
        made = finish_run(
            setting.workspace, record, arm.writer, suite_text=suite.document.text,
            constitutions=prepared.constitutions,
        )  # fmt: skip
        if prepared.samples.in_bank:  # nothing that was asked in the open is fresh for a decision
            hidden = seen_items(setting.workspace)
            pairs = zip(prepared.samples.content_hashes, prepared.samples.question_hashes, strict=True)
            shown = [digest for pair in pairs if not hidden.hides(pair[0]) for digest in pair]
            note_shown(setting.workspace, shown, reason=f"asked in the open by the run {run_id}")
        return made


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
