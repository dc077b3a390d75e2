"""From runs and a policy to a decision that names everything it rests on by hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.api import (
    AlreadyPromotedError,
    BrokenRunError,
    Candidate,
    Decision,
    Gate,
    InputError,
    Policy,
    PolicySuite,
    RunRecord,
    Veto,
    sha256_json,
    to_plain,
    worst_status,
)
from harness.api.stats import as_written, conditions, schedule
from harness.api.workspace import check_run, run_sha256, store_decision
from harness_promotion.attempts import Attempt, level_at
from harness_promotion.wording import sentence

if TYPE_CHECKING:
    from harness.api.workspace import Plugins, Workspace

PROMOTED = "promoted"
_LONGEST_REASON = 2000
"""Characters of a veto: it stays in the ledger for ever."""


_OTHERS = "name another: --adapter, --model, --system or --template; or what it is compared with: --baseline MODEL"


def refuse_same(candidate: Candidate, baseline: Candidate, *, promoted: bool) -> InputError:
    """Return why a candidate with the baseline's fingerprint cannot be decided: it is that one, or it acts like it.

    Args:
        candidate: who is judged.
        baseline: what it is compared with.
        promoted: whether that was promoted; else it is the bare base.
    """
    same = [adapter.id for adapter in candidate.adapters] == [adapter.id for adapter in baseline.adapters]
    if same:
        cause = "is what is promoted already" if promoted else "is the bare base, and nothing is promoted in its place"
        return AlreadyPromotedError(f"the candidate ({candidate.label}) {cause}", hint=_OTHERS)
    named = " and ".join(adapter.name for adapter in candidate.adapters) or "the absence of adapters"
    return InputError(
        f"the model {candidate.model.reference} ignores adapters: with {named} it is the same model as what is "
        f"promoted ({baseline.label}), so that there is nothing to decide",
        hint="name a base that adapters change with --model, such as smollm2-135m or a folder of weights",
    )


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What one suite of a policy says of the candidate."""

    gates: tuple[Gate, ...]
    """All that must be checked on it."""
    run: RunRecord
    """The candidate's, with its checks."""
    baselines: Mapping[str, RunRecord]
    """By what gates call them; `promoted` must be there."""


def collect_vetoes(plugins: Plugins, evidence: Sequence[Evidence]) -> tuple[Veto, ...]:
    """Ask every plugin about every run. What could not be checked, or makes no sense, is a veto too."""
    vetoes: list[Veto] = []
    for item in evidence:
        for owner, answer in plugins.collect("veto_promotion", run=item.run, baseline=item.baselines.get(PROMOTED)):
            if answer is None:
                continue
            vetoes.append(Veto(owner=owner, reason=_reason(answer)))
    return tuple(dict.fromkeys(vetoes))


def _reason(answer: object) -> str:
    """Return what a plugin said as text that every record can hold, whatever it is."""
    try:
        if isinstance(answer, str):
            text = str(answer).strip() or "it gave no reason"
        elif isinstance(answer, Exception):
            text = f"it could not check: {type(answer).__name__}: {answer}"
        else:
            text = f"it answered {answer!r}, which is neither a reason nor None"
    except Exception:  # noqa: BLE001 - an answer that cannot even be shown is a veto all the same
        text = f"it answered a {type(answer).__name__} that cannot be shown"
    text = text.encode("utf-8", "replace").decode()  # half a surrogate pair fits into no file
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 1] + "…"


def decide(
    workspace: Workspace, policy: Policy, evidence: Sequence[Evidence], *, attempt: Attempt, look: int = 1,
    vetoes: Sequence[Veto] = (), weights: Mapping[str, str] | None = None, verifiable: bool = True,
) -> Decision:  # fmt: skip
    """Decide whether a candidate may be promoted, and store the decision, refused ones too.

    Args:
        workspace: whose runs the evidence names.
        policy: what promotion needs.
        evidence: one for each suite of the policy, in its order.
        attempt: which attempt it is; its level is the most at which a gate may have been checked.
        look: which of the policy's looks it is, 1 for the first.
        vetoes: as `collect_vetoes` gave them.
        weights: what the model says of the candidate's bytes.
        verifiable: whether that pins them; False for a served model.

    Raises:
        AlreadyPromotedError: when the candidate is what it would be compared with.
        InputError: when the evidence is not what the policy asks for, or the runs do not belong together.
        BrokenRunError: when a run is not what it was when it was made.
    """
    _check_whole(policy, evidence, attempt, look)
    first, baseline = evidence[0].run, evidence[0].baselines[PROMOTED]
    _check_together(evidence, first, baseline)
    with workspace.lock():
        runs: dict[str, str] = {}
        baseline_runs: dict[str, str] = {}
        for item in evidence:
            _add_stored(workspace, item.run, runs)
            for record in item.baselines.values():
                if record.id not in runs:
                    _add_stored(workspace, record, baseline_runs)
        checks = tuple((item.run.suite, check) for item in evidence for check in item.run.checks)
        status = "failed" if vetoes else worst_status(check.status for _, check in checks)
        if attempt.exploratory and status == "passed":
            status = "inconclusive"  # nothing that reads a decision may take it for one that can be promoted
        decision = Decision(
            id="", created=datetime.now(UTC).isoformat(timespec="microseconds"), policy=policy.id,
            policy_fingerprint=policy.fingerprint, candidate=first.candidate,
            candidate_fingerprint=first.candidate_fingerprint, baseline=baseline.candidate,
            baseline_fingerprint=baseline.candidate_fingerprint, runs=runs, baseline_runs=baseline_runs, checks=checks,
            vetoes=tuple(vetoes), status=status, sentence=sentence(policy, checks, vetoes, status, attempt, look),
            attempt=attempt.number, level=attempt.at_look(look), look=look, looks=attempt.looks,
            exploratory=attempt.exploratory, review=policy.review, left_out=policy.left_out,
            weights=dict(weights or {}), verifiable=verifiable, drawn=attempt.drawn,
        )  # fmt: skip
        decision = replace(decision, id=sha256_json(to_plain(decision))[:12])
        store_decision(workspace, decision)
    return decision


def _check_whole(policy: Policy, evidence: Sequence[Evidence], attempt: Attempt, look: int) -> None:
    """Refuse evidence that leaves out a suite, a gate or samples that the policy asks for."""
    if len(policy.suites) != len(evidence):
        raise InputError(f"the policy {policy.id} names {len(policy.suites)} suites, and {len(evidence)} were run")
    limits = schedule(policy)[look - 1]
    for section, limit, item in zip(policy.suites, limits, evidence, strict=True):
        _check_suite(policy, section, item)
        if item.run.limit != limit and not attempt.exploratory:
            raise InputError(
                f"the run {item.run.id} has a limit of {item.run.limit} samples, and the policy {policy.id} of {limit}",
                hint=f"run it anew: harness decide --policy {policy.id}",
            )
        for gate in item.gates:
            if gate.alpha > level_at(gate, attempt, look) * (1 + 1e-9):
                raise InputError(
                    f"the run {item.run.id} was checked at the level {gate.alpha:.3g}, and attempt {attempt.number} "
                    f"under the policy {policy.id} allows {level_at(gate, attempt, look):.3g}",
                    hint=f"run it anew: harness decide --policy {policy.id}",
                )
    if not any(item.gates for item in evidence):
        raise InputError(
            f"the policy {policy.id} has no gates, so that nothing would be decided",
            hint="give its suites gates in harness.yaml",
        )


def _check_suite(policy: Policy, section: PolicySuite, item: Evidence) -> None:
    run = item.run
    if section.gates is not None and conditions(section.gates) != as_written(conditions(item.gates)):
        raise InputError(f"{run.suite} was checked by other gates than the policy {policy.id} has")
    if tuple(check.gate for check in run.checks) != item.gates:
        raise InputError(
            f"the run {run.id} was made under other gates than the policy {policy.id} has",
            hint=f"run it anew: harness decide --policy {policy.id}",
        )
    if PROMOTED not in item.baselines:
        raise InputError(f"{run.suite} was not run on what is promoted")


def _check_together(evidence: Sequence[Evidence], first: RunRecord, baseline: RunRecord) -> None:
    """Refuse runs of different candidates, or pairs that do not pair."""
    if first.candidate_fingerprint == baseline.candidate_fingerprint:
        promoted = baseline.candidate != Candidate(model=baseline.candidate.model)
        raise refuse_same(first.candidate, baseline.candidate, promoted=promoted)
    for item in evidence:
        if item.run.candidate_fingerprint != first.candidate_fingerprint:
            raise InputError(f"{item.run.id} and {first.id} are runs of different candidates")
        if item.baselines[PROMOTED].candidate_fingerprint != baseline.candidate_fingerprint:
            raise InputError(f"{item.run.id} and {first.id} were compared with different baselines")
        for name, other in item.baselines.items():
            for what in ("samples_fingerprint", "suite_fingerprint", "judge_fingerprint"):
                if getattr(item.run, what) != getattr(other, what):
                    raise InputError(
                        f"{item.run.id} and its baseline {other.id} ({name}) differ in {what.replace('_', ' ')}",
                        hint="run both again",
                    )


def _add_stored(workspace: Workspace, record: RunRecord, runs: dict[str, str]) -> None:
    """Note the run's hash, after checking that what is stored is what was handed over."""
    if record.id in runs:
        return
    if check_run(workspace, record.id) != record:
        raise BrokenRunError(f"the run {record.id} is not stored as it was judged; run its suite again")
    runs[record.id] = run_sha256(workspace, record.id)
