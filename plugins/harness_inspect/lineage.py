"""What an artifact was made from and what came of it, by the records that lie beside artifacts, runs and decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import Artifact
from harness.api.artifacts import DIGITS, artifacts
from harness.api.workspace import list_runs

if TYPE_CHECKING:
    from harness.api.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Origin:
    """An artifact with all that it was made from."""

    role: str
    """In which what was made from it read it; empty for the one that was asked about."""
    artifact: Artifact
    made_from: tuple[Origin, ...]
    files: Mapping[str, str]
    """Inputs that are no artifact of this workspace: files, the base, what judged; SHA-256 by role."""


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Where an artifact comes from, and what came of it."""

    origin: Origin
    led_to: tuple[Artifact, ...]
    """Artifacts that were made from it, directly or not, the nearest first."""
    runs: tuple[str, ...]
    """In which it or one of these was the candidate or played a role, the oldest first."""
    decisions: tuple[str, ...]
    """About it or one of these, the oldest first."""


def lineage(workspace: Workspace, artifact: Artifact) -> Lineage:
    """Walk the graph of artifacts from one of them, backwards and forwards."""
    known = {record.id: record for record, _ in artifacts(workspace)} | {artifact.id: artifact}
    led_to: dict[str, Artifact] = {}
    reached = {artifact.id}
    while reached:
        found = {one.id: one for one in known.values() if reached & _inputs(one)}
        reached = set(found) - set(led_to) - {artifact.id}
        led_to |= {name: found[name] for name in sorted(reached)}
    ids = {artifact.id, *led_to}
    runs = tuple(
        run.id
        for run in list_runs(workspace, problems=[])
        if ids
        & {
            spec.id
            for who in (run.candidate, *(bound.candidate for bound in run.roles.values()))
            for spec in who.adapters
        }
    )
    rows = workspace.ledger.entries("decision") if workspace.has_ledger else []
    decisions = tuple(str(row.body["decision"]) for row in rows if ids & set(row.body.get("adapters", ())))
    return Lineage(
        origin=_origin(artifact, "", known, ()), led_to=tuple(led_to.values()), runs=runs, decisions=decisions
    )


def _inputs(artifact: Artifact) -> set[str]:
    return {value[:DIGITS] for value in artifact.inputs.values()}


def _origin(artifact: Artifact, role: str, known: Mapping[str, Artifact], behind: tuple[str, ...]) -> Origin:
    """Return an artifact with what it was made from; work that led back to what it read is not followed again."""
    roles: dict[str, str] = {}
    files: dict[str, str] = {}
    for name, value in artifact.inputs.items():
        identity = value[:DIGITS]
        if identity not in known:
            files[name] = value
        elif identity not in (*behind, artifact.id):
            roles.setdefault(identity, name)  # a stage may name its data besides the dataset
    made_from = tuple(_origin(known[one], name, known, (*behind, artifact.id)) for one, name in roles.items())
    return Origin(role=role, artifact=artifact, made_from=made_from, files=files)
