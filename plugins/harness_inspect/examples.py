"""One example of critique and revision, and what was made of it: prompt → critique → revision → stage → adapter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.api.artifacts import artifact_folder, artifacts
from harness_inspect.lineage import Lineage, lineage

if TYPE_CHECKING:
    from harness.api.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Example:
    """A prompt with its versions, as a stage noted it."""

    history: Mapping[str, Any]
    lineage: Lineage
    """Of the dataset that the stage wrote beside it, else of the notes themselves."""


def find_examples(workspace: Workspace, name: str) -> tuple[Example, ...]:
    """Return the examples whose prompt has this id."""
    found = []
    for record, folder in artifacts(workspace, "revisions"):
        for file in sorted(folder.glob("*.jsonl")):
            for line in file.read_text("utf-8").splitlines():
                history = json.loads(line)
                if history.get("sample", {}).get("id") == name:
                    found.append(Example(history=history, lineage=lineage(workspace, _dataset(workspace, record))))
    return tuple(found)


def _dataset(workspace: Workspace, record: Any) -> Any:  # noqa: ANN401 - an Artifact
    identity = record.outputs.get("dataset")
    if not identity or not artifact_folder(workspace, "dataset", identity).is_dir():
        return record
    return next((one for one, _ in artifacts(workspace, "dataset") if one.id == identity), record)
