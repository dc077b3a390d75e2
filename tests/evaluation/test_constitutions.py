"""Constitutions by name, by path, and by the name of one registered principle."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness.evaluation.constitutions import Constitutions
from harness.plugins import load_plugins


@pytest.fixture
def constitutions(tmp_path):
    (tmp_path / "own.yaml").write_text("id: own\nprinciples:\n  - {id: kind, text: Be kind., critics: [rules]}\n")
    return Constitutions(load_plugins(installed=False).registries, tmp_path)


def test_registered_ones_and_single_principles_are_found(constitutions):
    assert len(constitutions["personal"]) == 5
    assert [principle.id for principle in constitutions["civility"]] == ["civility"]


def test_a_path_is_relative_to_the_suites_folder(constitutions):
    assert "own.yaml" in constitutions
    assert [principle.id for principle in constitutions["own.yaml"]] == ["kind"]


def test_what_is_not_there_is_an_input_error(constitutions):
    with pytest.raises(InputError, match=r"gone\.yaml: no such constitution"):
        constitutions["gone.yaml"]
    with pytest.raises(InputError, match="did you mean 'personal'"):
        constitutions["persnal"]


def test_a_suite_may_name_a_constitution_by_path(constitutions, tmp_path):
    from harness.evaluation.prepare import make_metrics
    from harness.reading.suite import read_suite

    path = tmp_path / "suite.yaml"
    path.write_text("id: s\nsamples: {path: s.jsonl}\nmeasure:\n  - adherence: {constitution: own.yaml}\n")
    names = [m.name for m in make_metrics(read_suite(path), load_plugins(installed=False).registries, constitutions)]
    assert "adherence.kind" in names
