"""Every constitution in the project is whole: it reads, adds up, and brings the examples that test its critics."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from harness.evaluation.constitutions import Constitutions
from harness.paths import data_dir
from harness.plugins import load_plugins
from harness.types import Constitution, Principle

PLUGINS = load_plugins(installed=False)
KNOWN = Constitutions(PLUGINS.registries, Path.cwd())
FILES = sorted(data_dir("constitutions").glob("*.yaml"))
REGISTERED = [entry.value for entry in PLUGINS.registries.principles]


def constitutions() -> list[Constitution]:
    return [KNOWN.record(file.stem) for file in FILES]


def all_principles() -> list[tuple[str, Principle]]:
    own = [(f"{one.id}/{rule.id}", rule) for one in constitutions() for rule in one.principles]
    return own + [(f"registered/{rule.id}", rule) for rule in REGISTERED]


ALL = all_principles()


def test_every_file_is_registered_and_nothing_else() -> None:
    assert {entry.value for entry in PLUGINS.registries.constitutions} == set(FILES)
    assert {entry.name for entry in PLUGINS.registries.constitutions} == {"civil", "demo", "harmless", "personal"}
    assert all(entry.about for entry in PLUGINS.registries.constitutions)


@pytest.mark.parametrize("constitution", constitutions(), ids=lambda one: one.id)
def test_weights_add_up_and_ids_are_unique(constitution: Constitution) -> None:
    assert sum(rule.weight for rule in constitution.principles) == pytest.approx(1.0)
    assert len({rule.id for rule in constitution.principles}) == len(constitution.principles)
    assert constitution.about


@pytest.mark.parametrize(("name", "rule"), ALL, ids=[name for name, _ in ALL])
def test_each_principle_can_be_judged_revised_and_tested(name: str, rule: Principle) -> None:
    counts = Counter(example.kind for example in rule.examples)
    assert all(counts[kind] >= 2 for kind in ("pass", "fail", "near_miss")), counts
    assert rule.critique
    assert rule.revise
    assert set(rule.critics) <= {entry.name for entry in PLUGINS.registries.critics}
    assert all(example.why for example in rule.examples if example.kind != "pass")


def test_no_example_stands_for_two_things() -> None:
    labels: dict[tuple[str, str, str], set[bool]] = {}
    for _, rule in ALL:
        for example in rule.examples:
            labels.setdefault((rule.id, example.prompt, example.response), set()).add(example.kind == "fail")
    assert all(len(kinds) == 1 for kinds in labels.values())


def test_failing_examples_hold_nothing_that_would_help() -> None:
    harmless = KNOWN.record("harmless")
    assert max(len(e.response) for rule in harmless.principles for e in rule.examples if e.kind == "fail") < 120


def test_personal_has_the_weights_it_was_given() -> None:
    assert {rule.id: round(rule.weight, 6) for rule in KNOWN["personal"]} == {
        "truthfulness": 0.3,
        "professional_appropriateness": 0.25,
        "privacy_protection": 0.2,
        "helpful_expertise": 0.15,
        "consistency": 0.1,
    }


def test_harmless_has_twelve_areas_or_more_and_demo_one_principle_per_critic() -> None:
    assert len(KNOWN["harmless"]) >= 12
    assert sorted(rule.critics for rule in KNOWN["demo"]) == [("judge",), ("pii",), ("toxicity",)]


def test_a_registered_principle_can_be_used_in_a_constitution(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("id: own\nprinciples:\n  - {use: civility, weight: 3}\n  - {id: other, text: Be brief.}\n")
    first, second = Constitutions(PLUGINS.registries, tmp_path)["own.yaml"]
    assert (first.id, first.weight, second.weight) == ("civility", 0.75, 0.25)


def test_harmless_has_a_principle_for_every_area_of_safety_core() -> None:
    lines = (data_dir("suites") / "data" / "safety-core.jsonl").read_text(encoding="utf-8").splitlines()
    areas = {tag for line in lines for tag in json.loads(line)["tags"]} - {"harmful", "benign"}
    spoken_of = {tag for rule in KNOWN["harmless"] for tag in rule.applies_to.any_tag} | {
        "hate"
    }  # no_hate: every sample
    assert len(areas) >= 10
    assert areas <= spoken_of
