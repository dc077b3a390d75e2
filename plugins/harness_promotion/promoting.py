"""Promote and rollback: every hash is checked again, and the ledger's one new row makes the change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import __version__
from harness.api import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    AdapterSpec,
    BrokenRunError,
    Candidate,
    Decision,
    HarnessError,
    InputError,
    LedgerEntry,
    ModelSpec,
    RunRecord,
    Veto,
    to_plain,
)
from harness.api.artifacts import (
    check_adapter,
    check_kept,
    file_hashes,
    store_adapter,
    stored_adapter,
)
from harness.api.commands import safe_text
from harness.api.weights import reading_anew
from harness.api.workspace import (
    Live,
    check_run,
    live,
    live_after,
    mend_alias,
    read_all_samples,
    read_decision,
    read_entered_decision,
)
from harness_promotion.deciding import Evidence, collect_vetoes
from harness_promotion.model_files import check_model, model_files
from harness_promotion.preflight import Preflight, check_preflight, read_weights
from harness_promotion.reviewing import PromotionRefusedError, check_review
from harness_promotion.touched import touched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api.workspace import Plugins, Workspace

__all__ = ["Preflight", "PromotionRefusedError", "promote", "rollback", "same_candidate", "target_of"]

Warn = Callable[[str], None]
BASE = "base"
"""What `rollback --to` takes for the bare base."""


def promote(
    workspace: Workspace, decision: str, plugins: Plugins, *, preflight: Preflight | None = None,
    warn: Warn = lambda _: None,
) -> LedgerEntry:  # fmt: skip
    """Make a decision's candidate the promoted one.

    In one step under the workspace's lock and the ledger's write transaction: the chain verifies, the decision passed,
    is the ledger's and has the review that its policy asks for, every file of every run holds, the adapters still are
    what was judged, the baseline still is what is promoted, the policy, the suites, their data and the base's weights
    are what they were, and no plugin objects. Adapters from elsewhere are copied into the workspace; a whole model
    stays where it lies, and its files are entered by hash.

    Args:
        workspace: where.
        decision: an id, the unique beginning of one, or `latest`.
        plugins: whose vetoes count, and who are told afterwards.
        preflight: where policy, suites and weights are read as they are now; None where who decided read them a moment
            ago.
        warn: takes a sentence for what went wrong after the promotion stood.

    Returns:
        The ledger's new row.

    Raises:
        PromotionRefusedError: when the decision did not pass, a person rejected it or has yet to approve it, or there
            is a veto.
        InputError: when there is no such decision, its policy or a suite has changed, something else was promoted
            since, the adapter is gone, or another process writes in the workspace.
        BrokenRunError: when a hash does not hold, or the file system refuses; nothing has changed then.

    A veto is put into the ledger before it is raised: no promotion comes of it, and `history` and `why` show it.
    """
    if preflight is not None:
        with suppress(HarnessError):  # whatever it is, the check under the lock says it
            read_weights(read_decision(workspace, decision), plugins, preflight)
    with workspace.lock():
        with workspace.ledger.transaction() as ledger:
            ledger.verify()
            found, row = read_entered_decision(workspace, decision)
            if found.status != "passed":
                raise PromotionRefusedError(f"the decision {found.id}: {found.sentence}")
            reviewed = check_review(workspace, found)
            before = live(workspace)
            _check_baseline(found, before)
            _check_untouched(workspace, found)
            runs, vetoes = _check_evidence(workspace, found, plugins)
            body: dict[str, Any] = {
                "decision": found.id, "decision_sha256": row.body["decision_sha256"], "policy": found.policy,
                "candidate": to_plain(found.candidate), "candidate_fingerprint": found.candidate_fingerprint,
                "harness_version": __version__,
            }  # fmt: skip
            if vetoes:
                entry = ledger.append("refusal", {**body, "vetoes": [to_plain(veto) for veto in vetoes]})
            else:
                candidate = _keep(workspace, found.candidate)
                if preflight is not None:
                    check_preflight(
                        replace(found, candidate=_within(workspace, candidate)), runs, plugins, preflight,
                        lambda run: {one.sample.id for one in read_all_samples(workspace, run.id)},
                    )  # fmt: skip
                body |= {
                    "candidate": to_plain(candidate), "base": to_plain(_base_of(found, before)),
                    "verifiable": found.verifiable, "model_weights": found.weights.get("base"),
                    "model_files": model_files(candidate.model),
                    "baseline_fingerprint": found.baseline_fingerprint,
                    "before": 0 if before is None else before.promotion,
                    "review": None if reviewed is None else reviewed.number,
                    "adapter_files": {
                        spec.id: file_hashes(Path(spec.path)) for spec in _within(workspace, candidate).adapters
                    },
                }  # fmt: skip
                entry = ledger.append("promotion", body)
        if vetoes:  # raised inside, it would take the row back
            said = "; ".join(f"{veto.owner}: {safe_text(veto.reason, one_line=True)}" for veto in vetoes)
            raise PromotionRefusedError(f"the decision {found.id} is vetoed by {said} (entry {entry.number})")
        _derive_alias(workspace, warn)
    _announce(entry, plugins, warn)
    return entry


def rollback(
    workspace: Workspace, plugins: Plugins, *, leaves: int | None = None, to: str | None = None, reason: str = "",
    warn: Warn = lambda _: None,
) -> LedgerEntry:  # fmt: skip
    """Go back to an earlier promotion, or to the bare base; the same once more, as after a kill, changes nothing.

    Args:
        workspace: where.
        plugins: who are told afterwards, again where nothing changed: a killed process may not have come to it.
        leaves: the number of the row that made live what is to be left. None is the newest promotion's; after a
            rollback it must be named to go further back.
        to: the number of a promotion's row in the ledger, a decision's id that was promoted, or `base`; None is what
            was promoted before the present candidate.
        reason: recorded in the ledger.
        warn: takes a sentence for what went wrong after the rollback stood.

    Returns:
        The ledger's new row, or the one that had done it already.

    Raises:
        InputError: when nothing is promoted, something else than `leaves` is, `to` names no promotion or the present
            one, or its adapter is damaged.
        BrokenRunError: when the ledger does not verify, or the adapter is not what was promoted.
    """
    with workspace.lock():
        with workspace.ledger.transaction() as ledger:
            ledger.verify()
            now = live(workspace)
            if now is None:
                raise InputError("nothing was ever promoted, so there is nothing to go back to")
            entry = now.entry
            if not _went_back(workspace, now, leaves, to):
                if leaves not in {None, entry.number}:
                    raise InputError(
                        f"what is promoted is so since entry {entry.number}, not {leaves}", hint="see harness history"
                    )
                target = target_of(workspace, now, to)
                if target == now.promotion:
                    what = "the bare base" if target == 0 else f"entry {target}"
                    raise InputError(f"{what} is what is promoted already", hint="see harness history")
                body: dict[str, Any] = {
                    "to": target, "from": now.promotion, "leaves": entry.number, "reason": reason,
                    **_restored(workspace, now, target),
                }  # fmt: skip
                entry = ledger.append("rollback", body)
        _derive_alias(workspace, warn)
    _announce(entry, plugins, warn)
    return entry


def _base_of(decision: Decision, before: Live | None) -> ModelSpec:
    """Return the bare base that a rollback comes to in the end: what the first promotion was compared with."""
    if before is None or before.candidate is None or before.base is None:
        return decision.baseline.model
    return before.base


def _went_back(workspace: Workspace, now: Live, leaves: int | None, to: str | None) -> bool:
    """Tell whether the newest change is the rollback that is asked for."""
    if now.entry.kind != "rollback" or leaves not in {None, now.entry.body.get("leaves")}:
        return False
    return to is None or target_of(workspace, now, to) == now.promotion


def same_candidate(first: Candidate, second: Candidate) -> bool:
    """Tell whether two candidates are made of the same parts, whatever they are called and wherever they lie."""
    return _parts(first) == _parts(second)


def _parts(candidate: Candidate) -> tuple[object, ...]:
    model = candidate.model
    return (
        model.scheme, model.name, model.revision, model.endpoint, model.dtype,
        tuple(spec.id for spec in candidate.adapters), candidate.system, candidate.template, candidate.decoding,
    )  # fmt: skip


def _check_baseline(decision: Decision, now: Live | None) -> None:
    """Refuse unless the decision's baseline is what is promoted.

    The fingerprint also holds the versions of the engine: after an upgrade the promoted candidate is measured under a
    new one. It is then the same candidate all the same, and the decision's runs are of its present state.
    """
    if now is None or now.candidate is None:
        # A promoted candidate may have no adapters either, but a system prompt: only a bare base is the bare base.
        if same_candidate(decision.baseline, Candidate(model=decision.baseline.model)):
            return
        present = "the bare base"
    else:
        if now.fingerprint == decision.candidate_fingerprint:
            raise InputError(
                f"the decision's candidate is promoted already (entry {now.entry.number})", hint="see harness status"
            )
        if now.fingerprint == decision.baseline_fingerprint or same_candidate(now.candidate, decision.baseline):
            return
        present = f"{now.candidate.label}, since entry {now.entry.number}"
    raise InputError(
        f"the decision {decision.id} compared with {decision.baseline.label}, but what is promoted is {present}",
        hint="decide again, on the same candidate: harness decide",
    )


def _check_untouched(workspace: Workspace, decision: Decision) -> None:
    if touched(workspace).by(decision):
        raise InputError(
            f"the decision {decision.id} rests on runs that an adapter which overwrites the shared base may have"
            " touched (harness doctor names them)", hint="decide again, with an adapter that holds LoRA weights alone",
        )  # fmt: skip


def _check_evidence(
    workspace: Workspace, decision: Decision, plugins: Plugins
) -> tuple[tuple[RunRecord, ...], tuple[Veto, ...]]:
    """Check every run's files, and return the candidate's runs in the policy's order with what plugins object now."""
    runs = _checked(workspace, decision.runs)
    others = {**runs, **_checked(workspace, decision.baseline_runs)}
    evidence = [
        Evidence(
            gates=tuple(check.gate for check in run.checks), run=run,
            baselines={name: others[other] for name, other in run.baseline_runs.items() if other in others},
        )
        for run in runs.values()
    ]  # fmt: skip
    return tuple(runs.values()), collect_vetoes(plugins, evidence)


def _checked(workspace: Workspace, runs: Mapping[str, str]) -> dict[str, RunRecord]:
    return {run: check_run(workspace, run, sha256=sha256) for run, sha256 in runs.items()}


def _keep(workspace: Workspace, candidate: Candidate) -> Candidate:
    """Copy the candidate's adapters into the workspace where they lie elsewhere, and check them all."""
    return replace(candidate, adapters=tuple(_keep_one(workspace, spec) for spec in candidate.adapters))


def _within(workspace: Workspace, candidate: Candidate) -> Candidate:
    """Return a kept candidate with the folders in which its adapters lie."""
    specs = tuple(replace(spec, path=str(workspace.root / spec.path)) for spec in candidate.adapters)
    return replace(candidate, adapters=specs)


def _keep_one(workspace: Workspace, spec: AdapterSpec) -> AdapterSpec:
    kept = Path(stored_adapter(workspace, spec.id).path)
    within = replace(spec, path=str(kept.relative_to(workspace.root)))
    for path in (kept, kept / CONFIG_FILE, kept / WEIGHTS_FILE):
        if path.is_symlink():  # what it leads to can change without a trace in the workspace
            raise BrokenRunError(f"{path}: is a link, and what is promoted must lie in the workspace; remove the link")
    if kept.is_dir():
        check_kept(workspace, replace(spec, path=str(kept)))
        return within
    check_adapter(spec)
    stored = store_adapter(workspace, Path(spec.path), reference=spec.reference)
    if stored.id != spec.id:
        raise InputError("the adapter changed while it was copied", file=spec.path, hint="promote again")
    return within


_LEAST_PREFIX = 8
"""Digits from which on a number means the beginning of a decision's id, which may have no letter, and not an entry."""


def target_of(workspace: Workspace, now: Live, to: str | None) -> int:
    """Return the number of the promotion that `to` means, as `rollback` takes it; 0 is the bare base.

    Raises:
        InputError: when it means none.
    """
    promotions = workspace.ledger.entries("promotion")
    if to is None:
        if now.promotion == 0:
            raise InputError("the bare base is promoted, and nothing was before it", hint="name an entry with --to")
        return next(int(entry.body["before"]) for entry in promotions if entry.number == now.promotion)
    if to == BASE:
        return 0
    known = ", ".join(str(entry.number) for entry in promotions) or "none"
    if to.isascii() and to.isdigit() and len(to) < _LEAST_PREFIX:
        if int(to) not in {entry.number for entry in promotions}:
            raise InputError(f"entry {to} is no promotion", hint=f"promotions: {known}; see harness history")
        return int(to)
    meant = [entry.number for entry in promotions if to and str(entry.body["decision"]).startswith(to)]
    if not meant:
        raise InputError(
            f"{to!r} is neither a promotion's entry nor a decision that was promoted",
            hint=f"promotions: {known}; see harness history",
        )
    return meant[-1]


def _restored(workspace: Workspace, now: Live, target: int) -> dict[str, Any]:
    """Return what the ledger says of the target's candidate, after checking its adapters."""
    if target == 0:
        base = None if now.base is None else to_plain(now.base)
        return {"candidate": None, "candidate_fingerprint": None, "base": base}
    entry = next(entry for entry in workspace.ledger.entries("promotion") if entry.number == target)
    there = live_after(workspace, entry)
    for spec in () if there.candidate is None else there.candidate.adapters:
        check_kept(workspace, spec)
    with reading_anew():
        check_model(there.model, there.files)
    kept = ("candidate", "candidate_fingerprint", "base", "verifiable", "model_weights", "model_files")
    return {key: entry.body[key] for key in kept if key in entry.body}


def _derive_alias(workspace: Workspace, warn: Warn) -> None:
    """Write the alias. The change stands already, so that nothing here can undo or fail it."""
    try:
        mend_alias(workspace)
    except HarnessError as error:
        warn(f"the change stands in the ledger, but its alias could not be written: {error}")


def _announce(entry: LedgerEntry, plugins: Plugins, warn: Warn) -> None:
    """Tell the plugins, who may take long: nobody waits for them."""
    warnings: Sequence[str] = plugins.notify("promotion_changed", entry=entry)
    for warning in warnings:
        warn(warning)
