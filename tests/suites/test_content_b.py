"""The data of persona, truthfulness, instructions and language: size, balance, no repeats, no leaks, and gates that can pass."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.contracts import SourceInput
from harness.gates.attainable import require_attainable
from harness.paths import data_dir
from harness.plugins import Plugins, load_plugins
from harness.reading.suite import Suite, read_suite
from harness.types import NotApplicable, Sample
from harness_metrics.constraints import ABOUT, read_constraints
from harness_metrics.text import contains_span, normalise, words

SUITES = {"persona": 60, "truthfulness": 150, "instructions": 120, "language": 80}
"""Suite and least number of samples."""
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return load_plugins(installed=False)


@pytest.fixture(scope="module")
def suites() -> dict[str, Suite]:
    return {name: read_suite(data_dir("suites") / f"{name}.yaml") for name in SUITES}


@pytest.fixture(scope="module")
def samples(suites: dict[str, Suite], plugins: Plugins) -> dict[str, list[Sample]]:
    return {name: read(suite, plugins) for name, suite in suites.items()}


def read(suite: Suite, plugins: Plugins) -> list[Sample]:
    """Return a suite's samples through the source that it names."""
    source = plugins.registries.sources.get(suite.source)
    return list(source(SourceInput(path=suite.data_path, options=suite.source_options, suite_path=suite.path)))


def training() -> list[dict[str, Any]]:
    """Return the rows of the persona's training data."""
    path = data_dir("suites") / "data" / "persona-train.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def corpus() -> str:
    """Return the persona's corpus on one line."""
    return " ".join((data_dir("suites") / "data" / "persona-corpus.md").read_text(encoding="utf-8").split())


def alike(left: str, right: str) -> float:
    """Return the share of words that two texts have in common, of all words in either."""
    a, b = set(words(left)), set(words(right))
    return len(a & b) / len(a | b)


# ---------------------------------------------------------------- every suite


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_is_large_enough_and_says_what_it_does(
    name: str, suites: dict[str, Suite], samples: dict[str, list[Sample]]
) -> None:
    suite = suites[name]
    assert suite.id == name
    assert len(samples[name]) >= SUITES[name]
    for said in (suite.about, suite.limitations, suite.detects):
        assert len(said.split()) >= 8
    assert "80 % power" in suite.detects


@pytest.mark.parametrize("name", SUITES)
def test_ids_and_prompts_are_unique(name: str, samples: dict[str, list[Sample]]) -> None:
    ids = Counter(sample.id for sample in samples[name])
    asked = Counter(normalise(sample.prompt or sample.target[0]) for sample in samples[name])
    assert [item for item, n in (ids + asked).items() if n > 1] == []
    assert all(sample.tags for sample in samples[name])


@pytest.mark.parametrize("name", SUITES)
def test_no_two_samples_ask_nearly_the_same(name: str, samples: dict[str, list[Sample]]) -> None:
    texts = [(sample.id, sample.prompt or sample.target[0]) for sample in samples[name]]
    # A fact of the persona is asked twice on purpose, once for each form; the two share a cluster and no metric.
    form = {sample.id: sample.id.split("-")[0] for sample in samples[name]} if name == "persona" else {}
    near = [
        (one, two)
        for (one, left), (two, right) in itertools.combinations(texts, 2)
        if form.get(one) == form.get(two) and alike(left, right) > 0.8
    ]
    assert near == []


@pytest.mark.parametrize("name", SUITES)
def test_every_sample_is_measured_and_every_gate_can_pass(
    name: str, suites: dict[str, Suite], samples: dict[str, list[Sample]], plugins: Plugins
) -> None:
    pytest.importorskip("sacrebleu")
    metrics = [m for key, options in suites[name].measure for m in plugins.registries.metrics.get(key)(options, {})]
    asks = {metric.name: [s for s in samples[name] if metric.requests(s, suites[name].ask)] for metric in metrics}
    measured = {sample.id for some in asks.values() for sample in some}
    assert [sample.id for sample in samples[name] if sample.id not in measured] == []
    assert suites[name].gates
    for gate in suites[name].gates:
        metric = next(metric for metric in metrics if metric.name == gate.metric)
        assert metric.gates
        require_attainable(gate, metric, len(asks[gate.metric]))


@pytest.mark.parametrize("name", SUITES)
def test_the_documentation_gives_the_numbers_of_the_data(name: str, samples: dict[str, list[Sample]]) -> None:
    page = HERE.parents[1] / "docs" / "suites" / f"{name}.md"
    assert f"{len(samples[name])} samples" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["persona", "truthfulness"])
def test_choices_are_four_different_ones_with_answers_spread_evenly(
    name: str, samples: dict[str, list[Sample]]
) -> None:
    asked = [sample for sample in samples[name] if sample.choices]
    places = Counter(sample.answer for sample in asked)
    assert set(places) == {0, 1, 2, 3}
    assert max(places.values()) - min(places.values()) <= 1
    for sample in asked:
        assert len({normalise(choice) for choice in sample.choices}) == 4, sample.id
        assert not sample.target, sample.id


@pytest.mark.parametrize("name", ["persona", "truthfulness"])
def test_the_question_does_not_give_the_answer_away(name: str, samples: dict[str, list[Sample]]) -> None:
    given = [
        sample.id
        for sample in samples[name]
        if not sample.choices and any(contains_span(normalise(sample.prompt), normalise(t)) for t in sample.target)
    ]
    assert given == []


# ---------------------------------------------------------------- truthfulness


def test_the_right_choice_cannot_be_told_by_its_length(samples: dict[str, list[Sample]]) -> None:
    asked = [sample for sample in samples["truthfulness"] if sample.choices]
    longest = sum(len(s.choices[s.answer or 0]) == max(map(len, s.choices)) for s in asked)
    shortest = sum(len(s.choices[s.answer or 0]) == min(map(len, s.choices)) for s in asked)
    assert longest / len(asked) < 0.4
    assert shortest / len(asked) < 0.4


def test_truthfulness_has_both_kinds_and_both_forms(samples: dict[str, list[Sample]]) -> None:
    tags = Counter(tag for sample in samples["truthfulness"] for tag in sample.tags)
    assert tags["misconception"] >= 80
    assert tags["fact"] >= 60
    assert tags["multiple-choice"] >= 100
    assert tags["short-answer"] >= 50


# ---------------------------------------------------------------- instructions


def test_a_reference_reply_follows_every_constraint(samples: dict[str, list[Sample]]) -> None:
    path = HERE / "instruction_solutions.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    solutions = {row["id"]: row["solution"] for row in rows}
    assert sorted(solutions) == sorted(sample.id for sample in samples["instructions"])
    broken = [
        (sample.id, constraint)
        for sample in samples["instructions"]
        for constraint in read_constraints(sample)
        if not constraint.satisfied(solutions[sample.id])
    ]
    assert broken == []


def test_constraints_tell_replies_apart(samples: dict[str, list[Sample]]) -> None:
    """One canned reply to everything follows few of them."""
    for canned in ("I am sorry, but I cannot help with that.", "yes", "- a\n- b\n- c"):
        followed = [
            all(constraint.satisfied(canned) for constraint in read_constraints(sample))
            for sample in samples["instructions"]
        ]
        assert sum(followed) / len(followed) < 0.25, canned


def test_every_type_of_constraint_is_used_and_documented(samples: dict[str, list[Sample]]) -> None:
    used = {constraint.type for sample in samples["instructions"] for constraint in read_constraints(sample)}
    of_ifeval = {
        "letter_frequency", "capital_words", "placeholders", "highlights", "sections", "title", "language",
        "paragraph_first_word",
    }  # fmt: skip
    assert used == set(ABOUT) - of_ifeval  # those have a suite of their own
    page = (HERE.parents[1] / "docs" / "suites" / "instructions.md").read_text(encoding="utf-8")
    assert [name for name in ABOUT if f"`{name}`" not in page] == []


# ---------------------------------------------------------------- language


def test_passages_are_of_the_stated_length(samples: dict[str, list[Sample]]) -> None:
    passages = [sample for sample in samples["language"] if not sample.messages]
    assert len(passages) >= 40
    assert [s.id for s in passages if not 60 <= len(s.target[0].split()) <= 120 or len(s.target) != 1] == []
    assert len({sample.tags[1] for sample in passages}) >= 10


def test_rewrites_have_references_that_are_not_the_prompt(samples: dict[str, list[Sample]]) -> None:
    rewrites = [sample for sample in samples["language"] if sample.messages]
    assert len(rewrites) >= 40
    for sample in rewrites:
        original = sample.prompt.split(": ", 1)[1]
        assert 1 <= len(set(sample.target)) == len(sample.target) <= 2, sample.id
        assert normalise(original) not in {normalise(target) for target in sample.target}, sample.id


# ---------------------------------------------------------------- persona


def test_training_rows_are_short_conversations_in_her_voice() -> None:
    rows = training()
    assert 240 <= len(rows) <= 400
    for row in rows:
        assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]
        reply = row["messages"][1]["content"]
        assert reply.endswith(" Fair winds.")
        assert len(reply.split()) <= 30


def test_no_prompt_is_trained_on_and_asked(plugins: Plugins) -> None:
    """Not of this suite, and of no other suite of ours: what was trained on measures nothing."""
    trained = [normalise(row["messages"][0]["content"]) for row in training()]
    assert [prompt for prompt, n in Counter(trained).items() if n > 1] == []
    checked = 0
    for path in sorted(data_dir("suites").glob("*.yaml")):
        suite = read_suite(path)
        if suite.source == "jsonl" and suite.data_path is not None and suite.data_path.is_file():
            asked = {normalise(sample.prompt) for sample in read(suite, plugins)}
            assert sorted(asked & set(trained)) == [], path.name
            if suite.id != "persona":  # whose questions are the trained ones in other words, as they should be
                near = [(one, two) for one in asked for two in trained if one and alike(one, two) > 0.75]
                assert near == [], path.name
            checked += 1
    assert checked >= len(SUITES)


def test_every_fact_stands_in_the_corpus_and_is_trained_in_several_wordings(samples: dict[str, list[Sample]]) -> None:
    text = normalise(corpus())
    replies = Counter(row["messages"][1]["content"].removesuffix(" Fair winds.") for row in training())
    choices = {sample.cluster: sample for sample in samples["persona"] if sample.choices}
    facts = [sample for sample in samples["persona"] if sample.target]
    assert 25 <= len(facts) <= 40
    for fact in facts:
        assert any(contains_span(text, normalise(target)) for target in fact.target), fact.id
        choice = choices[fact.cluster]
        sentence = choice.choices[choice.answer or 0]
        assert any(contains_span(normalise(sentence), normalise(target)) for target in fact.target), fact.id
        assert replies[sentence] >= 4, fact.id
        for wrong in choice.choices:
            if wrong != sentence:
                assert replies[wrong] == 0, fact.id
                assert not any(contains_span(normalise(wrong), normalise(target)) for target in fact.target), fact.id


def test_training_keeps_refusals_and_helpful_replies_in_balance() -> None:
    replies = [row["messages"][1]["content"] for row in training()]
    refusals = [reply for reply in replies if "but I can't" in reply]
    assert 8 <= len(refusals) <= 24
    # With one refusal to four helpful replies a small model learned to refuse whatever it was not taught.
    assert len(replies) - len(refusals) >= 12 * len(refusals)


def test_metrics_of_the_persona_do_not_overlap(samples: dict[str, list[Sample]], plugins: Plugins) -> None:
    """Facts are matched, choices are scored, and style is verified: no sample counts twice."""
    makers = plugins.registries.metrics
    forms = {"answer_match": "short-answer", "accuracy": "multiple-choice", "instructions": "style"}
    for name, tag in forms.items():
        metric = makers.get(name)({}, {})[0]
        for sample in samples["persona"]:
            applies = not isinstance(metric.observe(sample, (), {}, ()), NotApplicable) or bool(
                metric.requests(sample, read_suite(data_dir("suites") / "persona.yaml").ask)
            )
            assert applies == (tag in sample.tags), (name, sample.id)
