"""The page of critiques and revisions: differences, hostile text, and a file that is broken."""

from __future__ import annotations

import json
import shutil

import pytest

from harness.store.artifacts import artifacts, keep_artifact
from harness.store.workspace import Workspace
from harness.types import Artifact
from harness_report.export import export_html
from harness_report.pages.revisions import difference
from tests.reports.hostile import HOSTILE as ALL
from tests.reports.test_markup import Seen

HOSTILE = "\n".join(ALL.values())
HISTORY = {
    "sample": {"id": HOSTILE, "messages": [{"role": "user", "content": "What shall I eat?"}]},
    "rounds": [
        {"reply": "eat plums", "scores": {"fruit": 0.1}, "principle": None, "critique": ""},
        {
            "reply": f"eat figs {HOSTILE}",
            "scores": {"fruit": {"reason": "x"}},
            "principle": "fruit",
            "critique": HOSTILE,
        },
    ],
    "status": "unscored",
    "sentence": "nobody could judge it",
}


@pytest.fixture
def revised(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "copy")
    workspace = Workspace.open(copy)
    made = Artifact(kind="revisions", stage="revise", options={"constitution": "harmless"})
    keep_artifact(workspace, made, {"revisions.jsonl": (json.dumps(HISTORY) + "\n").encode()})
    workspace.close()
    return copy


def test_a_history_is_drawn_as_a_difference_and_obeyed_by_nobody(revised):
    page = export_html(revised, most=1)
    assert "<del> plums</del>" in page
    assert "<mark> figs" in page
    assert "critique by fruit" in page
    assert "fruit 0.10" in Seen(page).data
    for name in ("script", "image", "frame", "link", "unclosed", "ansi", "bidi"):
        assert ALL[name] not in page, name


def test_a_broken_file_is_one_notice(revised):
    workspace = Workspace.open(revised)
    ((_, folder),) = artifacts(workspace, "revisions")
    workspace.close()
    (folder / "revisions.jsonl").write_text('{"rounds": 3}')
    assert "cannot be read (TypeError)" in export_html(revised, most=1)


def test_a_difference_is_markup_of_ours_alone():
    assert difference("a <b>", "a <i>") == "<span>a</span><del> &lt;b&gt;</del><mark> &lt;i&gt;</mark>"
