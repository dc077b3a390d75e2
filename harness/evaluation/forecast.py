"""What a run would ask and how long that takes, without asking it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from harness.engine.keys import reply_key
from harness.errors import InputError
from harness.evaluation.arm import identify
from harness.evaluation.checks import require_attainable_gates
from harness.evaluation.judge import questions_of
from harness.evaluation.pool import ModelPool
from harness.evaluation.resolve import resolve_arms, resolve_judge
from harness.evaluation.respond import windows
from harness.plugin_code import plugin_code
from harness.serial import from_json
from harness.store.cache import Cache
from harness.store.runs import list_runs, read_samples
from harness.types import Completion, Generate, Reply, Workload

if TYPE_CHECKING:
    from harness.contracts import Progress, Surroundings
    from harness.engine.core import ModelCore
    from harness.evaluation.prepare import PreparedSuite
    from harness.evaluation.respond import Window
    from harness.plugins import Plugins
    from harness.store.workspace import Workspace
    from harness.types import Candidate, Request, RunRecord, Sample

_READ = 500
"""Samples of an earlier run whose replies are measured."""
_STAND_IN = 32
"""Tokens of a reply that nobody knows yet, for the judge's questions about it."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What one arm would do on one suite; requests that are in the cache cost nothing."""

    suite: str
    arm: str
    samples: int
    generate: int
    """Distinct completions."""
    score: int
    """Distinct log-likelihoods."""
    judge: int
    """The judge's distinct requests if every sample gets a reply; what the judge is asked depends on the replies."""
    known: int
    """How many of all these are already in the cache, or asked by an arm above."""
    work: Workload | None
    """Of the others, the judge's included; None where a model cannot tell."""

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values; `start_seconds` stands in the first row that loads a model."""
        row = asdict(self)
        work = row.pop("work")
        return {**row, **(dict.fromkeys(asdict(_NOTHING)) if work is None else work)}


_NOTHING = Workload(tokens=0, generate_expected=0, generate_most=0, seconds_expected=0.0, seconds_most=0.0, memory=0)


def forecast(
    prepared: Sequence[PreparedSuite],
    candidate: Candidate,
    plugins: Plugins,
    workspace: Workspace,
    surroundings: Surroundings,
    *,
    baseline: str | None,
    judge: str | None,
    progress: Progress,
) -> list[Forecast]:
    """Count what `run_suites` would ask, after the same refusals, and ask the models how long they would take.

    Classifiers, statistics and the drift check are not in it.

    Raises:
        InputError: for whatever `run_suites` would refuse before the first model loads.
    """
    rows = []
    cache = Cache(workspace.cache_path)
    try:
        with ModelPool(plugins.registries, surroundings, cache, progress) as pool:
            counting = _Counting(pool, cache, list_runs(workspace, problems=[]), workspace, progress)
            for suite in prepared:
                arms = resolve_arms([suite], baseline, candidate, workspace)
                judged, _ = resolve_judge(judge, candidate, plugins.registries)
                require_attainable_gates(suite)
                for name, arm in {**arms, "candidate": candidate}.items():
                    identify(suite, arm, judged, pool)
                    rows.append(counting.row(suite, name, arm, judged))
    finally:
        cache.close()
    return rows


class _Counting:
    """Goes through the arms as a run does, and remembers what the ones before would have asked."""

    def __init__(
        self, pool: ModelPool, cache: Cache, runs: Sequence[RunRecord], workspace: Workspace, progress: Progress
    ) -> None:
        self._pool = pool
        self._cache = cache
        self._runs = runs
        self._workspace = workspace
        self._progress = progress
        self._asked: set[str] = set()
        self._started: set[int] = set()

    def row(self, suite: PreparedSuite, name: str, arm: Candidate, judge: Candidate) -> Forecast:
        core, judge_core = self._pool.core(arm.model), self._pool.core(judge.model)
        length = self._mean_length(suite, arm)
        generate = score = judged = known = 0
        works: list[Workload | None] = []
        bar = self._progress.start(f"{suite.suite.id}: forecast of {name}", len(suite.samples), unit="samples")
        try:
            for window in windows(suite.samples, suite.metrics, arm, suite.suite.ask):
                distinct = list(dict.fromkeys(r for plan in window.plans for own in plan.values() for r in own))
                missing, replies, before = self._split(core, arm, distinct)
                generate += sum(isinstance(request, Generate) for request in distinct)
                score += sum(not isinstance(request, Generate) for request in distinct)
                known += before
                works.append(self._work(core, arm, missing, length))
                if suite.critics:
                    questions = list(dict.fromkeys(_questions(suite, window, replies, length)))
                    unasked, _, before = self._split(judge_core, judge, questions)
                    judged += len(questions)
                    known += before
                    works.append(self._work(judge_core, judge, unasked, None))
                bar.advance(len(window.samples))
        finally:
            bar.finish()
        return Forecast(
            suite=suite.suite.id, arm=name, samples=len(suite.samples), generate=generate, score=score, judge=judged,
            known=known, work=_together(works),
        )  # fmt: skip

    def _split(
        self, core: ModelCore, candidate: Candidate, requests: Sequence[Request]
    ) -> tuple[list[Request], Mapping[Request, Reply], int]:
        """Return what would be asked, the replies that are known, and how many would not be asked again."""
        fingerprint = core.fingerprint(candidate)
        able = [request for request in requests if request.type in core.model.supports]
        keys = {request: reply_key(fingerprint, request) for request in able}
        stored = self._cache.get_many(list(keys.values()))
        missing = [
            request for request, key in keys.items()
            if key not in stored and key not in self._asked
        ]  # fmt: skip
        self._asked.update(keys[request] for request in missing)
        replies = {request: _reply(stored[key]) for request, key in keys.items() if key in stored}
        return missing, replies, len(able) - len(missing)

    def _work(
        self, core: ModelCore, candidate: Candidate, requests: Sequence[Request], length: float | None
    ) -> Workload | None:
        """Return the work of what would be asked; loading a model counts once."""
        if not requests:
            return _NOTHING
        with plugin_code(f"the forecast of the model scheme {core.model.spec.scheme!r}", core.model):
            found = core.model.forecast(candidate, requests, completion=length)
        if found is None or id(core) not in self._started:
            self._started.add(id(core))
            return found
        return replace(found, start_seconds=0.0)

    def _mean_length(self, suite: PreparedSuite, arm: Candidate) -> float | None:
        """Return the mean length of the replies of this base's newest run of the suite, in tokens."""
        own = (arm.model.scheme, arm.model.name)
        for record in reversed(self._runs):
            model = record.candidate.model
            if record.suite != suite.suite.id or (model.scheme, model.name) != own:
                continue
            try:
                some = list(islice(read_samples(self._workspace, record.id), _READ))
            except InputError:
                continue
            lengths = [
                reply.completion_tokens for sample in some for _, reply in sample.replies
                if isinstance(reply, Completion) and reply.completion_tokens is not None
            ]  # fmt: skip
            if lengths:
                return sum(lengths) / len(lengths)
        return None


def _reply(stored: bytes) -> Reply:
    reply: Reply = from_json(Reply, stored)  # type: ignore[arg-type]
    return reply


def _questions(
    suite: PreparedSuite, window: Window, replies: Mapping[Request, Reply], length: float | None
) -> list[Request]:
    """Return what the judge would be asked about a window; about a reply that is not known, as if it were usual."""
    stand_in = Completion(
        text=" ".join(["word"] * round(length or _STAND_IN)), prompt_tokens=None, completion_tokens=None, finish="stop"
    )
    return [
        request
        for sample, plan in zip(window.samples, window.plans, strict=True)
        for request in _about(suite, sample, _first(plan, replies) or stand_in)
    ]


def _first(plan: Mapping[str, tuple[Request, ...]], replies: Mapping[Request, Reply]) -> Completion | None:
    said = (replies.get(request) for requests in plan.values() for request in requests)
    return next((reply for reply in said if isinstance(reply, Completion)), None)


def _about(suite: PreparedSuite, sample: Sample, reply: Completion) -> list[Request]:
    return [
        request
        for principle in suite.principles
        if principle.applies_to(sample)
        for critic in principle.critics
        for request in questions_of(suite.critics[critic], critic, sample, reply, principle)
    ]


def _together(works: Sequence[Workload | None]) -> Workload | None:
    whole = _NOTHING
    for work in works:
        if work is None:
            return None
        # Two models in one run are loaded after each other.
        whole = replace(whole.plus(work), start_seconds=whole.start_seconds + work.start_seconds)
    return whole
