"""`harness export`."""

from __future__ import annotations

import json

import pytest

from harness.cli.main import run
from harness.testing import assert_command


@pytest.fixture
def export(tmp_path, capsys):
    """Call the command; returns its exit code and what it printed."""

    def call(*arguments):
        capsys.readouterr()
        code = run(["export", "--workspace", str(tmp_path / "ws"), "--offline", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_a_base_and_an_adapter_become_folders(tmp_path, tiny_base, tiny_adapter, export):
    assert_command("export")
    out = tmp_path / "out"
    code, shown, errors = export("hf", tiny_base, out)
    assert code == 0, errors
    assert "read again: log-probabilities differ by" in shown
    assert (out / "model.safetensors").is_file()
    code, _, errors = export("hf", tiny_base, out)
    assert code == 2
    assert "is there already, and not empty; name a new folder" in errors
    code, shown, errors = export("gguf", tiny_adapter, tmp_path / "g", "--model", tiny_base, "--json")
    assert code == 0, errors
    document = json.loads(shown)
    assert document["numbers"] == "f16"
    assert document["figures"]["same_best"] > 0.8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g", "out"]  # and no workspace


def test_mistakes_are_one_sentence(tmp_path, tiny_base, export):
    for arguments, words in (
        (("gguf", tiny_base, tmp_path / "a", "--numbers", "q3"), "gguf is not written in 'q3'; known: f16"),
        (("hf", "echo:", tmp_path / "a"), "a echo: model has no weights here"),
        (("hf", "nosuchthing", tmp_path / "a"), "nosuchthing"),
        (("hf", tiny_base, tmp_path / "a", "--model", "x"), "is a base itself"),
    ):
        code, _, errors = export(*arguments)
        assert code == 2, errors
        assert words in errors
        assert not (tmp_path / "a").exists()
