"""The suites safety-core, privacy and bias: their content is complete, balanced and fit to be measured."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

from harness.contracts import RunContext
from harness.evaluation.checks import require_attainable_gates
from harness.evaluation.constitutions import Constitutions
from harness.evaluation.panel import Panel
from harness.evaluation.prepare import PreparedSuite, make_metrics, prepare_suite
from harness.evaluation.samples import read_samples
from harness.paths import weights_dir
from harness.plugins import load_plugins
from harness.reading.suite import read_suite
from harness.types import Admission, Sample
from harness_metrics.fields import alternatives, texts
from harness_metrics.privacy import leaked, stands_in
from harness_metrics.stereotype import condition

ROOT = Path(__file__).parents[2]
SUITES = {"safety-core": 240, "privacy": 120, "bias": 150}
"""Suites of this file, and the fewest samples each must have."""
GROUPS = (
    "age", "disability", "gender", "nationality", "physical-appearance", "race-ethnicity", "religion", "socio-economic",
    "sexual-orientation",
)  # fmt: skip
TEST_CARDS = {"4111111111111111", "5555555555554444", "378282246310005", "6011111111111117"}
AREAS = ("weapons", "violence", "drugs", "cyber", "fraud", "harassment", "self-harm", "privacy", "hate", "extremism")


@cache
def read(suite: str) -> PreparedSuite:
    """Read a suite with its metrics and samples; classifiers are left out, so that no weights are needed."""
    registries = load_plugins(installed=False).registries
    file = read_suite(registries.suites.get(suite))
    constitutions = Constitutions(registries, file.path.parent)
    metrics = make_metrics(file, registries, constitutions)
    judged = tuple(constitutions.record(metric.constitution) for metric in metrics if metric.constitution)
    found = read_samples(file, registries.sources.get(file.source), offline=True, seed=0)
    return PreparedSuite(
        suite=file, samples=found, limit=None,
        metrics=metrics, gates=file.gates, gate_origins=tuple(range(len(file.gates))), own_gates=True,
        constitutions=judged,
        panel=Panel(principles=tuple({rule.id: rule for one in judged for rule in one.principles}.values())),
        admission=Admission(), tools=None,
    )  # fmt: skip


def samples(suite: str) -> tuple[Sample, ...]:
    return tuple(read(suite).samples)


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9']+", text.casefold()))


def place(part: str, text: str) -> int:
    """Where a text first holds another as whole words."""
    found = re.search(rf"\b{re.escape(part)}\b", text)
    assert found, (part, text)
    return found.start()


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
        suite, load_plugins(installed=False).registries, RunContext(offline=True, weights=weights_dir())
    )
    assert all(status.ran for status in prepared.panel.classifier_status)
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
        principles = [rule for rule in read("safety-core").panel.principles if rule.id != "no_help_with_harm"]
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


class TestPrivacy:
    def test_what_is_protected_stands_in_the_prompt(self) -> None:
        with_protect = [sample for sample in samples("privacy") if texts(sample, "protect")]
        assert len(with_protect) >= 60
        for sample in with_protect:
            assert leaked(sample, sample.prompt) == list(texts(sample, "protect")), sample.id

    def test_what_is_required_is_not_protected_and_can_be_known(self) -> None:
        for sample in samples("privacy"):
            wanted = alternatives(sample, "require")
            assert not leaked(sample, " / ".join(itertools.chain(*wanted))), sample.id
            if "redact" in sample.tags and "question" not in sample.tags:
                assert all(any(stands_in(sample.prompt, option) for option in group) for group in wanted), sample.id

    def test_every_kind_can_be_judged(self) -> None:
        kinds = {"bait": 40, "confided": 25, "redact": 35, "own-data": 15}
        counted = Counter(tag for sample in samples("privacy") for tag in sample.tags)
        assert all(counted[kind] >= fewest for kind, fewest in kinds.items()), counted
        for sample in samples("privacy"):
            fields = {name for name in ("protect", "require") if sample.metadata.get(name)}
            wanted = {"bait": set(), "confided": {"protect"}, "redact": {"protect", "require"}, "own-data": {"require"}}
            assert fields == wanted[sample.tags[1]], sample.id
            assert set(sample.metadata) == fields, sample.id

    def test_all_data_are_reserved_for_fiction_and_tests(self) -> None:
        for sample in samples("privacy"):
            text = " ".join((sample.prompt, *itertools.chain(*alternatives(sample, "require"))))
            for address in re.findall(r"\S+@\S+", text):
                assert re.search(r"@example\.(com|org|net)\W*$", address), (sample.id, address)
            for number in re.findall(r"\(?\b\d{3}\)? \d{3}-\d{4}", text):
                assert re.search(r"555-01\d\d$", number), (sample.id, number)
            for number in re.findall(r"\b0\d[\d ]{8,}\d", text):
                assert re.match(r"07700 900\d{3}|01632 960\d{3}|020 7946 0\d{3}", number), (sample.id, number)
            for number in re.findall(r"\b\d{3}-\d{2}-\d{4}\b", text):
                assert re.match(r"987-65-432\d", number), (sample.id, number)
            for number in re.findall(r"\b(?:\d+\.){3}\d+\b", text):
                assert re.match(r"192\.0\.2\.|198\.51\.100\.|203\.0\.113\.", number), (sample.id, number)
            for number in re.findall(r"\b\d{4} \d{4,6} \d{4,5}(?: \d{4})?\b", text):
                if not number.startswith("020 "):
                    assert number.replace(" ", "") in TEST_CARDS, (sample.id, number)

    def test_nothing_stands_twice(self) -> None:
        bodies = {sample.id: sample.prompt.split("\n\n", 1)[-1] for sample in samples("privacy")}
        for (one, text), (other, text2) in itertools.combinations(bodies.items(), 2):
            assert likeness(text, text2) < 0.5, (one, other)


class TestBias:
    def test_the_grid_is_complete(self) -> None:
        cells = Counter((sample.cluster, sample.tags[2], sample.tags[3]) for sample in samples("bias"))
        assert set(cells.values()) == {2}
        clusters = {cluster for cluster, _, _ in cells}
        assert len(cells) == 4 * len(clusters)
        groups = Counter(sample.tags[1] for sample in samples("bias"))
        assert set(groups) == set(GROUPS)
        assert len(set(groups.values())) == 1

    def test_fields_are_valid(self) -> None:
        for sample in samples("bias"):
            assert condition(sample) == sample.tags[2]
            assert len(set(sample.choices)) == 3
            assert all(f"- {choice}" in sample.prompt.split("\n") for choice in sample.choices), sample.id
            assert re.search(r"\b(?:not|cannot|Nothing|open)\b", sample.choices[sample.metadata["unknown"]]), sample.id
            right = sample.metadata["unknown"] if "ambiguous" in sample.tags else None
            assert (sample.answer == right) == ("ambiguous" in sample.tags), sample.id

    def test_the_stereotyped_person_changes_with_the_question(self) -> None:
        named: dict[tuple[str | None, str], set[str]] = defaultdict(set)
        for sample in samples("bias"):
            named[sample.cluster, sample.tags[3]].add(sample.choices[sample.metadata["stereotyped"]])
        for cluster in {sample.cluster for sample in samples("bias")}:
            negative, positive = named[cluster, "negative"], named[cluster, "positive"]
            assert len(negative) == len(positive) == 1
            assert negative != positive

    @pytest.mark.parametrize("kind", ["ambiguous", "disambiguated"])
    def test_places_are_balanced(self, kind: str) -> None:
        rows = [sample for sample in samples("bias") if kind in sample.tags]
        for field in ("answer", "stereotyped", "unknown"):
            places = Counter(sample.answer if field == "answer" else sample.metadata[field] for sample in rows)
            assert len(places) == 3
            assert max(places.values()) - min(places.values()) <= 3, (field, places)

    def test_neither_person_nor_place_in_the_text_gives_the_answer(self) -> None:
        told = [sample for sample in samples("bias") if "disambiguated" in sample.tags]
        assert sum(sample.answer == sample.metadata["stereotyped"] for sample in told) == len(told) / 2
        first = last = 0
        for sample in told:
            right, wrong = (
                sample.choices[index]
                for index in (sample.answer, 3 - (sample.answer or 0) - sample.metadata["unknown"])
                if index is not None
            )
            story = sample.prompt.split("\n\n")[0]
            last += story.rindex(right) > story.rindex(wrong)
            first += place(right[4:], story) < place(wrong[4:], story)
        assert 0.45 < last / len(told) < 0.55
        assert 0.45 < first / len(told) < 0.55

    def test_ambiguous_texts_do_not_tell(self) -> None:
        for sample in samples("bias"):
            if "ambiguous" in sample.tags:
                story = sample.prompt.split("\n\n")[0]
                people = [choice for i, choice in enumerate(sample.choices) if i != sample.metadata["unknown"]]
                assert not any(person in story for person in people), sample.id
                assert all(person[4:] in story for person in people), sample.id

    def test_no_scenario_stands_twice(self) -> None:
        stories = {sample.cluster: sample.prompt.split("\n\n")[0] for sample in samples("bias")}
        for (one, text), (other, text2) in itertools.combinations(stories.items(), 2):
            assert likeness(text, text2) < 0.55, (one, other)

    def test_articles(self) -> None:
        for sample in samples("bias"):
            assert not re.search(r"\b[Aa] [aeiouAEIO]|\b[Aa]n (?!hour)[^aeiouAEIO]", sample.prompt), sample.id
