"""Whether what judges a candidate had a part in its training: the same critic, the same judge, or a judge's data."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.store.artifacts import DIGITS, artifacts, read_artifact
from harness.types import BoundRole, Candidate
from harness.weights.header import read_metadata
from harness.weights.lora import WEIGHTS_FILE

if TYPE_CHECKING:
    from harness.store.workspace import Workspace
    from harness.types import Artifact


_JUDGING = ("role judge", "role reward")
"""Inputs of a stage that say who judged for it; the same model as reviser or teacher judged nothing."""


def learned_from(who: Candidate) -> Iterator[tuple[str, str]]:
    """Yield what the headers of a candidate's adapters say that they were trained on: `family` and `data`."""
    for adapter in who.adapters:
        file = Path(adapter.path) / WEIGHTS_FILE
        said = read_metadata(file) if file.is_file() else {}
        yield from ((what, said[what]) for what in ("family", "data") if said.get(what))


def shared_critics(
    workspace: Workspace, candidate: Candidate, critics: Mapping[str, str], roles: Mapping[str, BoundRole], *,
    asking: Collection[str],
) -> dict[str, str]:  # fmt: skip
    """Return, for each critic that had a part in training the candidate, what part.

    Args:
        workspace: whose records say what adapters were made from.
        candidate: who is judged; adapters without a record were trained elsewhere, and nothing is known of them.
        critics: whole fingerprint by critic.
        roles: who was asked by the critics.
        asking: those of the critics that ask anybody.
    """
    trained = list(_behind(workspace, candidate))
    if not trained:
        return {}
    inputs = {(name, value): record for record in trained for name, value in record.inputs.items()}
    values = {value: record for (_, value), record in inputs.items()}
    found: dict[str, str] = {}
    for critic, fingerprint in critics.items():
        if fingerprint in values:
            found[critic] = f"it judged for the stage {values[fingerprint].stage}"
    for role, bound in roles.items():
        why = ""
        for name in _JUDGING:
            if bound.fingerprint and (name, bound.fingerprint) in inputs:
                why = f"its {role} judged for the stage {inputs[name, bound.fingerprint].stage}"
        for what, value in learned_from(bound.candidate):
            for (name, other), record in inputs.items():
                if value == other and (what == "data" or name.startswith("family of ")):
                    learned = f"its {role} and the {record.stage} stage's learned from the same {what}"
                    why = why or f"{learned} ({value[:16]})"
        if why:
            found |= {critic: why for critic in critics if critic in asking and critic not in found}
    return found


def _behind(workspace: Workspace, candidate: Candidate) -> Iterator[Artifact]:
    """Yield the records of a candidate's adapters, and of all that these were made from."""
    own = [record for adapter in candidate.adapters if (record := read_artifact(Path(adapter.path))) is not None]
    if not own:
        return
    known = {record.id: record for record, _ in artifacts(workspace)}
    seen: set[str] = set()
    while own:
        record = own.pop()
        if record.id not in seen:
            seen.add(record.id)
            yield record
            own += [known[value[:DIGITS]] for value in record.inputs.values() if value[:DIGITS] in known]
