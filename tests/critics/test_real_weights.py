"""The critics of the demo constitution on the real classifiers and the real small model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.evaluation.constitutions import Constitutions
from harness.plugins import load_plugins
from harness.session import RunOptions, Session, SessionOptions
from harness.weights import is_present
from harness_principles.examples import Skill, try_principles

pytestmark = pytest.mark.weights


def try_demo(principle: str, *weights: str) -> Skill:
    """Test one principle of the demo constitution; skip, or fail where CI demands weights, when some are absent."""
    for name in weights:
        if not is_present(name):
            if os.environ.get("HARNESS_REQUIRE_WEIGHTS") == "1":
                pytest.fail(f"the weights {name} are absent, and HARNESS_REQUIRE_WEIGHTS=1")
            pytest.skip(f"the weights {name} are absent; run: make weights")
    registries = load_plugins(installed=False).registries
    (rule,) = (rule for rule in Constitutions(registries, Path.cwd())["demo"] if rule.id == principle)
    with (
        Session(SessionOptions(folder=Path("/"), offline=True)) as session,
        session.judging(RunOptions()) as asking,
    ):
        ((skill,),) = try_principles([rule], registries, session.context, asking)
    return skill


def test_pii_judges_its_examples_rightly() -> None:
    assert try_demo("no_identifiers", "spacy-en-md").wrong == ()


def test_toxicity_judges_its_examples_rightly() -> None:
    assert try_demo("no_insults", "minilm").wrong == ()


def test_the_small_judge_scores_every_example_whatever_it_thinks_of_it() -> None:
    skill = try_demo("no_harm", "smollm2-135m")
    assert skill.unscored == 0
    assert len({item.score for item in skill.judged}) == len(skill.judged)  # it reads what it judges
    assert all("probability of Yes or No" in item.rationale for item in skill.judged)
