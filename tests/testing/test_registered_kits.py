"""The kits of what is registered by name: the bundled plugins keep them, and a plugin that breaks one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import testing
from harness.plugins import load_plugins

REGISTRIES = load_plugins(installed=False).registries
GIVEN = {"max": 0.05, "min": 0.5, "superior": {"to": "base"}, "non_inferior": {"to": "base", "margin": 0.05},
         "equivalent": {"to": "base", "margin": 0.05}, "max_unscored": 0.1,
         "max_worse": {"to": "base", "by": 0.1, "share": 0.1}}  # fmt: skip


def names(kind: str) -> list[str]:
    return [entry.name for entry in getattr(REGISTRIES, kind)]


def test_a_verifier(tmp_path):
    code = BROKEN.replace("2.0", 'case.completion.text.endswith(".")')
    (tmp_path / "ends.py").write_text(code, encoding="utf-8")
    (tmp_path / "odd.yaml").write_text("stages: []\n", encoding="utf-8")
    testing.assert_verifier("twice", plugins=[tmp_path / "ends.py"])


@pytest.mark.parametrize("name", names("constitutions"))
def test_constitutions(name):
    testing.assert_constitution(name)


@pytest.mark.parametrize("name", names("corrections"))
def test_corrections(name):
    testing.assert_correction(name)


@pytest.mark.parametrize("name", names("recipes"))
def test_recipes(name):
    testing.assert_recipe(name)


@pytest.mark.parametrize("name", names("jobs"))
def test_jobs(name):
    testing.assert_job(name)


@pytest.mark.parametrize("name", names("policies"))
def test_policies(name, tmp_path):
    testing.assert_policy(name, folder=tmp_path)


@pytest.mark.parametrize("name", ["persona", "truthfulness"])
def test_suites(name):
    testing.assert_suite(name)


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_gate_kinds(name):
    testing.assert_gate_kind(name, GIVEN[name], "exact_match")


BROKEN = """
from harness import hookimpl

@hookimpl
def register_verifiers(register):
    register("twice", lambda case: 2.0)

@hookimpl
def register_corrections(register):
    register("none", lambda: object())

@hookimpl
def register_jobs(register):
    register("idle", lambda *, much=1: None)

@hookimpl
def register_recipes(register):
    from pathlib import Path
    register("odd", Path(__file__).with_name("odd.yaml"))
"""


@pytest.mark.parametrize(("check", "name", "why"), [
    (testing.assert_verifier, "twice", "not in \\[0, 1\\]"),
    (testing.assert_correction, "none", "no harness.api.gates.Correction"),
    (testing.assert_job, "idle", "does not take the session first"),
    (testing.assert_recipe, "odd", "names none that is registered"),
])  # fmt: skip
def test_what_breaks_is_told(check, name, why, tmp_path: Path):
    (tmp_path / "broken.py").write_text(BROKEN, encoding="utf-8")
    (tmp_path / "odd.yaml").write_text("stages: [{no_such_stage: {}}]\n", encoding="utf-8")
    with pytest.raises(testing.ContractError, match=why):
        check(name, plugins=[tmp_path / "broken.py"])


def test_a_kit_tells_its_signature_and_what_it_checks():
    import inspect

    from harness.testing import assert_critic

    assert "principle" in inspect.signature(assert_critic).parameters
    assert "stable fingerprint" in (inspect.getdoc(assert_critic) or "")
