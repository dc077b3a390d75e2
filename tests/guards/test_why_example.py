"""`harness why SAMPLE`: from a prompt to the adapters that learned from its revision."""

from __future__ import annotations

import json

from harness.cli.main import run as harness_cli
from harness.store.artifacts import keep_artifact
from harness.store.workspace import Workspace
from harness.types import Artifact


def test_a_prompt_leads_to_critique_revision_and_adapter(tmp_path, capsys):
    workspace = Workspace.open(tmp_path / "ws", create=True)
    history = {
        "sample": {"id": "shed-1", "messages": [{"role": "user", "content": "Open the shed?"}]}, "status": "passed",
        "rounds": [{"reply": "Sure."}, {"reply": "I won't.", "principle": "no_harm", "critique": "It would steal."}],
    }  # fmt: skip
    dataset = keep_artifact(workspace, Artifact(kind="dataset", stage="constitutional"), {"dataset.jsonl": b"{}\n"})
    keep_artifact(workspace, Artifact(kind="revisions", outputs={"dataset": dataset.id}),
                  {"revisions.jsonl": (json.dumps(history) + "\n").encode()})  # fmt: skip
    learned = keep_artifact(workspace, Artifact(kind="model", stage="sft", inputs={"data": dataset.id}),
                            {"model.json": b"{}"})  # fmt: skip
    assert harness_cli(["why", "shed-1", "--workspace", str(tmp_path / "ws")]) == 0
    out = capsys.readouterr().out
    for part in ("Open the shed?", "principle: no_harm", "critique: It would steal.", "revision: I won't.", learned.id):
        assert part in out
    assert harness_cli(["why", "shed-2", "--workspace", str(tmp_path / "ws")]) == 2
