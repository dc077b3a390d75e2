"""What a run would ask, without asking it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.engine.keys import reply_key
from harness.evaluation.arm import identify
from harness.evaluation.checks import require_attainable_gates
from harness.evaluation.judge import questions_of
from harness.evaluation.pool import ModelPool
from harness.evaluation.resolve import resolve_baseline, resolve_judge
from harness.evaluation.respond import plan_requests
from harness.progress import NoProgress
from harness.store.cache import Cache
from harness.types import Completion, Generate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.contracts import Surroundings
    from harness.evaluation.prepare import PreparedSuite
    from harness.plugins import Plugins
    from harness.store.workspace import Workspace
    from harness.types import Candidate


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Requests of one arm on one suite."""

    suite: str
    arm: str
    samples: int
    generate: int
    """Distinct completions."""
    score: int
    """Distinct log-likelihoods."""
    judge: int
    """The judge's requests if every sample gets a reply; what the judge is asked depends on the replies."""
    known: int
    """How many of `generate` and `score` are already in the cache."""

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def forecast(
    prepared: Sequence[PreparedSuite],
    candidate: Candidate,
    plugins: Plugins,
    workspace: Workspace,
    surroundings: Surroundings,
    *,
    baseline: str | None,
    judge: str | None,
) -> list[Forecast]:
    """Count what `run_suites` would ask, after the same refusals.

    Raises:
        InputError: for whatever `run_suites` would refuse before the first model loads.
    """
    rows = []
    cache = Cache(workspace.cache_path)
    try:
        with ModelPool(plugins.registries, surroundings, cache, NoProgress()) as pool:
            for suite in prepared:
                names = {name for gate in suite.gates for name in gate.arms} | ({"promoted"} if baseline else set())
                arms = {
                    name: resolve_baseline(baseline if baseline and name == "promoted" else name, candidate, workspace)
                    for name in sorted(names)
                }
                judged, _ = resolve_judge(judge, candidate, plugins.registries)
                require_attainable_gates(suite)
                for name, arm in {**arms, "candidate": candidate}.items():
                    identify(suite, arm, judged, pool)
                    rows.append(_count(suite, name, arm, pool, cache))
    finally:
        cache.close()
    return rows


def _count(suite: PreparedSuite, name: str, arm: Candidate, pool: ModelPool, cache: Cache) -> Forecast:
    plans = plan_requests(suite.samples, suite.metrics, arm, suite.suite.ask)
    distinct = list(dict.fromkeys(r for plan in plans for requests in plan.values() for r in requests))
    fingerprint = pool.core(arm.model).fingerprint(arm)
    generate = sum(isinstance(request, Generate) for request in distinct)
    stand_in = Completion(text="…", prompt_tokens=None, completion_tokens=None, finish="stop")
    judged = sum(
        len(questions_of(suite.critics[critic], critic, sample, stand_in, principle))
        for sample in suite.samples
        for principle in suite.principles
        if principle.applies_to(sample)
        for critic in principle.critics
    )
    return Forecast(
        suite=suite.suite.id, arm=name, samples=len(suite.samples), generate=generate, score=len(distinct) - generate,
        judge=judged, known=len(cache.get_many([reply_key(fingerprint, request) for request in distinct])),
    )  # fmt: skip
