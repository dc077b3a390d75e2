"""What adapters that overwrite the shared base may have touched, from before they were refused.

Their file held tensors that their configuration does not explain. Whatever was asked of the same base after that, in
the same process or from the same cache, may have been answered by a damaged base. Runs since reply format 2 are not:
they refuse such adapters, and never read what was cached before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import InputError, UnexplainedTensorError, check_lora
from harness.api.artifacts import list_adapters, stored_adapter
from harness.api.workspace import REPLY_FORMAT, list_runs, read_decision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.api import Decision, ModelSpec, RunRecord
    from harness.api.workspace import Workspace

_FIRST_SOUND = 2
"""The first reply format whose runs refuse adapters that overwrite the base."""


@dataclass(frozen=True, kw_only=True)
class Touched:
    """What was found."""

    adapters: Mapping[str, str]
    """Those that hold an unexplained tensor: what is wrong, by id."""
    unknown: tuple[str, ...]
    """Ids of adapters that earlier runs used and that cannot be read any more."""
    runs: tuple[str, ...]
    promotions: tuple[int, ...]
    """Numbers of the ledger's rows."""

    def by(self, decision: Decision) -> bool:
        """Tell whether a decision rests on what may have been touched."""
        used = {spec.id for spec in (*decision.candidate.adapters, *decision.baseline.adapters)}
        return bool(used & set(self.adapters) or {*decision.runs, *decision.baseline_runs} & set(self.runs))


def touched(workspace: Workspace) -> Touched:
    """Look at every adapter that is here, and at every run that may have met one that overwrites the base.

    Raises:
        BrokenRunError: when a decision that was promoted is not what the ledger holds.
    """
    old = [
        run for run in list_runs(workspace, problems=[])
        if int(run.environment.get(REPLY_FORMAT, "1")) < _FIRST_SOUND
    ]  # fmt: skip
    folders = {name: Path(stored_adapter(workspace, name).path) for name in list_adapters(workspace)}
    for run in old:
        for spec in run.candidate.adapters:
            folders.setdefault(spec.id, Path(spec.path))
    adapters: dict[str, str] = {}
    unknown = []
    for identity, folder in sorted(folders.items()):
        try:
            check_lora(folder)
        except UnexplainedTensorError as error:
            adapters[identity] = error.cause
        except InputError:
            unknown.append(identity)
    found = Touched(adapters=adapters, unknown=tuple(unknown), runs=_runs(old, adapters), promotions=())
    promotions = tuple(
        entry.number
        for entry in (workspace.ledger.entries("promotion") if workspace.has_ledger else ())
        if found.by(read_decision(workspace, str(entry.body["decision"])))
    )
    return Touched(adapters=found.adapters, unknown=found.unknown, runs=found.runs, promotions=promotions)


def _runs(old: Sequence[RunRecord], adapters: Mapping[str, str]) -> tuple[str, ...]:
    """Return the runs that used a bad adapter, and those on its base, as candidate or judge, that ended after it began.

    When each process ended nobody wrote down, so that everything later counts that may have read the same cache.
    """
    since: dict[tuple[str | None, ...], datetime] = {}
    for run in old:
        if any(spec.id in adapters for spec in run.candidate.adapters):
            began = _ended(run) - timedelta(seconds=run.seconds)
            base = _base(run.candidate.model)
            since[base] = min(since.get(base, began), began)
    return tuple(
        run.id for run in old
        if any(
            _base(who.model) in since and _ended(run) >= since[_base(who.model)]
            for who in (run.candidate, run.judge) if who is not None
        )
    )  # fmt: skip


def _base(model: ModelSpec) -> tuple[str | None, ...]:
    return (model.scheme, model.name, model.revision, model.endpoint)


def _ended(run: RunRecord) -> datetime:
    return datetime.fromisoformat(run.created)
