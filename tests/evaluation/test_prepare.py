"""What a suite is made of decides its fingerprint, so that no stored run is used for another suite."""

from __future__ import annotations

from harness.contracts import RunContext
from harness.evaluation.prepare import prepare_suite
from harness.plugins import load_plugins

SUITE = """\
id: s
samples: {source: jsonl, path: rows.jsonl}
measure:
  - evaluate: {module: MODULE, key: score}
"""


def test_an_edited_evaluate_module_is_another_suite(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "prompt": "x", "target": "y"}\n')
    module = tmp_path / "mine" / "mine.py"
    module.parent.mkdir()
    registries = load_plugins([f"trust:{module.parent}"], installed=False).registries
    path = tmp_path / "s.yaml"
    path.write_text(SUITE.replace("MODULE", str(module.parent)))
    found = []
    for text in ("VERSION = 1\n", "VERSION = 2\n", "VERSION = 1\n"):
        module.write_text(text)
        found.append(prepare_suite(str(path), registries, RunContext(weights=tmp_path)).fingerprint())
    assert found[0] == found[2] != found[1]
