"""The suites safety-core, privacy and bias: their content is complete, balanced and fit to be measured."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

from harness.contracts import Surroundings
from harness.evaluation.checks import require_attainable_gates
from harness.evaluation.constitutions import Constitutions
from harness.evaluation.prepare import PreparedSuite, make_metrics, prepare_suite
from harness.evaluation.samples import read_samples
from harness.paths import weights_dir
from harness.plugins import load_plugins
from harness.reading.suite import read_suite
from harness.types import Sample

ROOT = Path(__file__).parents[2]
SUITES = {"safety-core": 240}
"""Suites of this file, and the fewest samples each must have."""
AREAS = ("weapons", "violence", "drugs", "cyber", "fraud", "harassment", "self-harm", "privacy", "hate", "extremism")


@cache
def read(suite: str) -> PreparedSuite:
    """Read a suite with its metrics and samples; classifiers are left out, so that no weights are needed."""
    registries = load_plugins(installed=False).registries
    file = read_suite(registries.suites.get(suite))
    constitutions = Constitutions(registries, file.path.parent)
    metrics = make_metrics(file, registries, constitutions)
    judged = tuple(constitutions.record(metric.constitution) for metric in metrics if metric.constitution)
    return PreparedSuite(
        suite=file, samples=read_samples(file, registries.sources.get(file.source), offline=True, seed=0), limit=None,
        metrics=metrics, gates=file.gates, own_gates=True, classifiers={}, classifier_status=(), constitutions=judged,
        principles=tuple({rule.id: rule for one in judged for rule in one.principles}.values()), critics={},
    )  # fmt: skip


def samples(suite: str) -> tuple[Sample, ...]:
    return read(suite).samples


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9']+", text.casefold()))


def likeness(one: str, other: str) -> float:
    """Shared words among all words of two texts."""
    a, b = words(one), words(other)
    return len(a & b) / len(a | b)


@pytest.mark.parametrize("suite", SUITES)
def test_gates_can_be_passed(suite: str) -> None:
    assert read(suite).gates
    require_attainable_gates(read(suite))


@pytest.mark.weights
@pytest.mark.parametrize("suite", SUITES)
def test_it_can_be_prepared_with_its_classifiers(suite: str) -> None:
    names = ("minilm", "spacy-en-md")
    if not all((weights_dir() / name).is_dir() for name in names) and os.environ.get("HARNESS_REQUIRE_WEIGHTS") != "1":
        pytest.skip(f"weights are absent; run: harness models pull {' '.join(names)}")
    prepared = prepare_suite(
        suite, load_plugins(installed=False).registries, Surroundings(offline=True, weights=weights_dir())
    )
    assert all(status.ran for status in prepared.classifier_status)
    assert {sample.id for sample in prepared.samples} == {sample.id for sample in samples(suite)}


@pytest.mark.parametrize(("suite", "fewest"), SUITES.items())
def test_sizes_and_ids(suite: str, fewest: int) -> None:
    found = samples(suite)
    assert len(found) >= fewest
    assert len({sample.id for sample in found}) == len(found)
    assert all(re.fullmatch(r"[a-z0-9-]+", sample.id) for sample in found)
    assert len({sample.content_hash for sample in found}) == len(found)


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_documents_itself(suite: str) -> None:
    file = read(suite).suite
    assert file.about
    assert file.limitations
    assert "power" in file.detects
    assert (ROOT / "docs" / "suites" / f"{suite}.md").read_text(encoding="utf-8").startswith(f"# {suite}\n")


@pytest.mark.parametrize("suite", SUITES)
def test_texts_are_clean(suite: str) -> None:
    for sample in samples(suite):
        for text in (sample.prompt, *sample.choices):
            assert text.strip() == text, sample.id
            assert text.isprintable() or "\n" in text, sample.id
            assert "  " not in text, sample.id
            assert not re.search(r"\{|\}|TODO|\.\.\.", text), sample.id


class TestSafetyCore:
    def test_every_harmful_request_has_a_benign_twin(self) -> None:
        pairs: dict[str | None, list[Sample]] = defaultdict(list)
        for sample in samples("safety-core"):
            pairs[sample.cluster].append(sample)
        assert len(pairs) >= 120
        for cluster, twins in pairs.items():
            assert [twin.tags[0] for twin in twins] == ["harmful", "benign"], cluster
            assert [twin.id for twin in twins] == [f"{cluster}-harmful", f"{cluster}-benign"]
            assert twins[0].tags[1:] == twins[1].tags[1:], cluster
            assert str(cluster).startswith(twins[0].tags[1])

    def test_twins_sound_alike(self) -> None:
        by_id = {sample.id: sample.prompt for sample in samples("safety-core")}
        pairs = [(text, by_id[name.replace("harmful", "benign")]) for name, text in by_id.items() if "harmful" in name]
        shared = sorted(likeness(*pair) for pair in pairs)
        assert shared[len(shared) // 2] > 0.35
        assert shared[0] > 0.05

    def test_length_does_not_tell_twins_apart(self) -> None:
        lengths = {
            kind: [len(sample.prompt) for sample in samples("safety-core") if kind in sample.tags]
            for kind in ("harmful", "benign")
        }
        longer = sum(a > b for a, b in zip(lengths["harmful"], lengths["benign"], strict=True)) / len(lengths["benign"])
        assert 0.3 < longer < 0.7

    def test_areas_are_those_that_principles_speak_of(self) -> None:
        counted = Counter(tag for sample in samples("safety-core") for tag in sample.tags[1:])
        assert set(counted) == set(AREAS)
        assert all(count >= 24 for count in counted.values())
        principles = [rule for rule in read("safety-core").principles if rule.id != "no_help_with_harm"]
        for sample in samples("safety-core"):
            mine = [rule for rule in principles if rule.applies_to(sample)]
            if "hate" in sample.tags:  # no_hate speaks of every sample
                assert "no_hate" in {rule.id for rule in mine}
            else:
                assert {rule.id for rule in mine} > {"no_hate"}, f"no principle speaks of {sample.id}"

    def test_nothing_stands_twice(self) -> None:
        for one, other in itertools.combinations(samples("safety-core"), 2):
            if one.cluster != other.cluster:
                assert likeness(one.prompt, other.prompt) < 0.5, (one.id, other.id)

    def test_every_kind_of_order_and_question_is_there(self) -> None:
        first = Counter(sample.prompt.split()[0] for sample in samples("safety-core"))
        assert len(first) >= 15
        assert max(first.values()) < 0.3 * len(samples("safety-core"))
