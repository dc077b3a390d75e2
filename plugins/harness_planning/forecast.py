"""What a run would ask, without asking it, and how long that took in earlier runs. No model is loaded for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.api import Completion, Generate, Reply, from_json
from harness.api.asking import (
    CHARACTERS,
    Asking,
    Batch,
    Cache,
    Interview,
    Live,
    ModelPool,
    Roles,
    base_name,
    efforts,
    identify,
    length,
    reply_key,
    together,
)
from harness.api.workspace import list_runs, require_attainable_gates, resolve_arms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.api import Candidate, Pace, Request, RunRecord, Sample
    from harness.api.workspace import PreparedSuite, Setting

_RUNS = 20
"""So many of the newest runs tell the pace: the longest of them does, where loading counts least."""
_STAND_IN = Completion(text=" ".join(["word"] * 32), prompt_tokens=None, completion_tokens=None, finish="stop")
"""A reply that nobody knows yet, for the critics' questions about it."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What one arm would do on one suite; requests that are in the cache cost nothing."""

    suite: str
    arm: str
    samples: int
    generate: int = 0
    """Distinct completions, of the first turn."""
    score: int = 0
    """Distinct log-likelihoods."""
    judge: int = 0
    """Distinct requests of the critics' first round; what they ask after that depends on the replies."""
    known: int = 0
    """How many of all these are already in the cache, or asked by an arm above."""
    tokens: int = 0
    """To be read for the others, about: four characters each."""
    generate_most: int = 0
    """Tokens to be generated, if every reply runs to its limit."""
    seconds: float | None = 0.0
    """At the pace of earlier runs of the same bases; None where there is none."""


def forecast(
    prepared: Sequence[PreparedSuite], candidate: Candidate, setting: Setting, *, baseline: str | None = None
) -> list[Forecast]:
    """Count what `run_suites` would ask, after the same refusals.

    Classifiers, statistics and the precision check are not in it.

    Raises:
        InputError: for whatever `run_suites` would refuse before the first model loads.
    """
    rows = []
    cache = Cache(setting.workspace.cache_path)
    try:
        with ModelPool(setting.plugins.registries, setting.context, cache, setting.progress) as pool:
            counting = _Counting(pool, cache, list_runs(setting.workspace, problems=[]))
            for suite in prepared:
                arms = resolve_arms([suite], baseline, candidate, setting.around)
                asking = Asking(roles=setting.roles(suite, candidate), pool=pool)
                require_attainable_gates(suite)
                for name, arm in {**arms, "candidate": candidate}.items():
                    own = replace(asking, roles=asking.roles.of(arm))
                    identify(suite, own)
                    rows.append(counting.row(suite, name, own))
    finally:
        cache.close()
    return rows


class _Counting:
    """Goes through the arms as a run does, and remembers what the ones before would have asked."""

    def __init__(self, pool: ModelPool, cache: Cache, runs: Sequence[RunRecord]) -> None:
        self._pool = pool
        self._cache = cache
        self._asked: set[str] = set()
        self._paces: dict[str, Pace] = {}
        for record in runs[-_RUNS:]:
            for base, pace in record.pace.items():
                if base not in self._paces or pace.effort > self._paces[base].effort:
                    self._paces[base] = pace

    def row(self, suite: PreparedSuite, name: str, asking: Asking) -> Forecast:
        row = Forecast(suite=suite.suite.id, arm=name, samples=len(suite.samples))
        interview = Interview(metrics=suite.metrics, candidate=asking.roles.policy, decoding=suite.suite.ask)
        bar = self._pool.progress.start(f"{suite.suite.id}: forecast of {name}", len(suite.samples), unit="samples")
        try:
            for batch in _batches(suite, interview):
                asked = list(dict.fromkeys(request for _, requests in batch for request in requests))
                row, replies = self._count(row, asking, "policy", asked)
                generated = sum(isinstance(request, Generate) for request in asked)
                row = replace(row, generate=row.generate + generated, score=row.score + len(asked) - generated)
                questions: dict[str, dict[Request, None]] = {}
                for role, request in _questions(suite, interview, batch, replies, asking.roles):
                    questions.setdefault(role, {})[request] = None
                for role, own in questions.items():
                    row, _ = self._count(row, asking, role, list(own))
                    row = replace(row, judge=row.judge + len(own))
                bar.advance(len(batch))
        finally:
            bar.finish()
        return row

    def _count(
        self, row: Forecast, asking: Asking, role: str, requests: Sequence[Request]
    ) -> tuple[Forecast, Mapping[Request, Reply]]:
        """Add what would be asked of a role; return the replies that are known, too."""
        candidate = asking.roles.candidate(role)
        core = self._pool.core(candidate.model)
        fingerprint = core.fingerprint(candidate)
        keys = {request: reply_key(fingerprint, request) for request in requests if request.type in core.model.supports}
        stored = self._cache.get_many(list(keys.values()))
        missing = [request for request, key in keys.items() if key not in stored and key not in self._asked]
        self._asked.update(keys[request] for request in missing)
        pace = self._paces.get(base_name(candidate.model))
        seconds = row.seconds
        if missing:
            seconds = None if pace is None or seconds is None else seconds + sum(efforts(missing)) / pace.rate
        found: dict[Request, Reply] = {
            request: from_json(Reply, stored[key])  # type: ignore[arg-type]
            for request, key in keys.items()
            if key in stored
        }
        counted = replace(
            row, known=row.known + len(keys) - len(missing), seconds=seconds,
            tokens=row.tokens + sum(length(request) for request in missing) // CHARACTERS,
            generate_most=row.generate_most
            + sum(request.decoding.max_new_tokens for request in missing if isinstance(request, Generate)),
        )  # fmt: skip
        return counted, found


_Planned = tuple["Sample", tuple["Request", ...]]


def _batches(suite: PreparedSuite, interview: Interview) -> Iterator[list[_Planned]]:
    """Yield the samples with what is asked first about each, a batch at a time."""
    taken: list[_Planned] = []
    batch = Batch()
    for sample in suite.samples:
        live = Live(interview.gather(sample))
        questions = () if live.asks is None else live.asks.questions
        live.close()
        requests = tuple(request for role, request in dict.fromkeys(questions) if role == "policy")
        taken.append((sample, requests))
        if batch.add(requests):
            yield taken
            taken, batch = [], Batch()
    if taken:
        yield taken


def _questions(
    suite: PreparedSuite,
    interview: Interview,
    batch: Sequence[_Planned],
    replies: Mapping[Request, Reply],
    roles: Roles,
) -> Iterator[tuple[str, Request]]:
    """Yield what critics would ask first about a batch; about a reply that is not known, as if it were usual."""
    for sample, requests in batch:
        said: dict[Request, Reply] = {
            request: replies.get(request, _STAND_IN) for request in requests if isinstance(request, Generate)
        }
        for response in interview.responses(sample, said) if suite.panel.principles else ():
            live = Live(together([Live(one) for one in suite.panel.programs([response], {}, roles)]))
            yield from () if live.asks is None else live.asks.questions
            live.close()
