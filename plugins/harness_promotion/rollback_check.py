"""Checks a rollback: loads what it would go back to, and sees whether it still gives the answers stored of it.

Nothing is changed: no row in the ledger, no alias, no cached reply.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from harness.api import Candidate, Completion, InputError, LogProb, NoReply, Reply, Request
from harness.api.artifacts import check_kept
from harness.api.asking import ModelPool
from harness.api.workspace import (
    check_run,
    live,
    live_after,
    read_all_samples,
    read_decision,
)
from harness_promotion.preflight import check_weights, differences_of_machine
from harness_promotion.promoting import target_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.api import Decision, Progress, RunContext
    from harness.api.workspace import Plugins, Workspace

TOLERANCE = 1e-3
"""Relative, for log-probabilities: what another order of summing may change."""


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """One stored request, asked again."""

    run: str
    sample: str
    stored: Reply
    now: Reply

    @property
    def same(self) -> bool:
        """Whether the answer is the stored one: the same text, or the same log-probability within `TOLERANCE`."""
        if isinstance(self.stored, Completion) and isinstance(self.now, Completion):
            return self.stored.text == self.now.text
        if isinstance(self.stored, LogProb) and isinstance(self.now, LogProb):
            room = TOLERANCE * max(1.0, abs(self.stored.logprob))
            return self.stored.tokens == self.now.tokens and abs(self.stored.logprob - self.now.logprob) <= room
        return False


@dataclass(frozen=True, kw_only=True)
class RollbackCheck:
    """What a check of the way back found."""

    target: int
    """Number of the promotion's row; 0 for the bare base."""
    candidate: Candidate
    repeated: tuple[Repeated, ...]
    notes: tuple[str, ...]
    """Where machine or packages are others than when the answers were stored."""

    @property
    def works(self) -> bool:
        """Whether every answer was reproduced."""
        return all(answer.same for answer in self.repeated)


def check_rollback(
    workspace: Workspace, plugins: Plugins, context: RunContext, progress: Progress, *, to: str | None = None,
    samples: int = 8,
) -> RollbackCheck:  # fmt: skip
    """Ask what a rollback would go back to for answers that are stored of it, without the cache.

    Args:
        workspace: where.
        plugins: that make the model.
        context: where it runs.
        progress: where a bar is drawn.
        to: as `rollback` takes it; the present promotion too.
        samples: how many to ask, spread over the runs of its decision.

    Raises:
        InputError: when nothing was ever promoted, `to` names no promotion, or no answers are stored.
        BrokenRunError: when adapter, weights or runs are not what they were, or the model breaks.
    """
    workspace.ledger.verify()
    now = live(workspace)
    if now is None:
        raise InputError("nothing was ever promoted, so there is nothing to go back to")
    target = target_of(workspace, now, to)
    decision, candidate, runs = _evidence(workspace, target)
    for spec in candidate.adapters:
        check_kept(workspace, spec)
    chosen = [answer for run in runs for answer in _stored(workspace, run, -(-samples // len(runs)))][:samples]
    if not chosen:
        raise InputError("the runs behind it hold no answer that could be asked for again")
    requests = list(dict.fromkeys(request for _, _, request, _ in chosen))
    with ModelPool(plugins.registries, context, None, progress) as pool:
        core = pool.core(candidate.model)
        found = core.fingerprint(candidate)
        if target or candidate.model == decision.candidate.model:
            check_weights(decision, found, only=None if target else ("base",))
        answers = dict(zip(requests, core.answer(candidate, requests, label="check"), strict=True))
    repeated = tuple(
        Repeated(run=run, sample=sample, stored=stored, now=answers[request]) for run, sample, request, stored in chosen
    )
    return RollbackCheck(
        target=target, candidate=candidate, repeated=repeated, notes=differences_of_machine(decision, found)
    )


def _evidence(workspace: Workspace, target: int) -> tuple[Decision, Candidate, Sequence[str]]:
    """Return the decision whose runs hold answers of the target, the target's candidate, and those runs."""
    promotions = workspace.ledger.entries("promotion")
    if target:
        entry = next(entry for entry in promotions if entry.number == target)
        decision = read_decision(workspace, str(entry.body["decision"]))
        candidate = live_after(workspace, entry).candidate
        return decision, candidate or decision.candidate, list(decision.runs)
    for entry in promotions:
        if entry.body["before"] == 0:
            decision = read_decision(workspace, str(entry.body["decision"]))
            runs = [
                run for run, sha256 in decision.baseline_runs.items()
                if check_run(workspace, run, sha256=sha256).candidate_fingerprint == decision.baseline_fingerprint
            ]  # fmt: skip
            if runs:
                return decision, Candidate(model=decision.baseline.model), runs
    raise InputError("no answers of the bare base are stored", hint="name a promotion with --to")


def _stored(workspace: Workspace, run: str, most: int) -> Iterator[tuple[str, str, Request, Reply]]:
    """Yield run, sample, request and reply of at most so many samples, evenly spread; the run's files are checked."""
    record = check_run(workspace, run)
    step = max(1, record.samples // most)
    taken = 0
    for sample in islice(read_all_samples(workspace, run), 0, None, step):
        answer = next((pair for pair in sample.replies if not isinstance(pair[1], NoReply)), None)
        if answer is None:
            continue
        yield run, sample.sample.id, *answer
        taken += 1
        if taken == most:
            return
