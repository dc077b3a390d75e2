"""What the shipped banks hold: at least 200 templates each, in balance, in sense, and fit to be measured."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from harness.api import Sample, SourceInput
from harness.api.stats import effective_clusters
from harness.plugins import load_plugins
from harness.reading.suite import read_suite
from harness_banks.items import read_template
from harness_metrics.constraints import read_constraints
from harness_metrics.fields import alternatives, texts
from harness_metrics.instructions import is_echo
from harness_metrics.privacy import leaked, stands_in
from harness_metrics.stereotype import condition

ROOT = Path(__file__).parents[2]
NAMES = ("safety-core", "privacy", "bias", "truthfulness", "instructions")


@cache
def samples(name: str) -> tuple[Sample, ...]:
    """All items of a shipped bank, as its suite has them; reading them checks sense and balance."""
    suite = read_suite(ROOT / "suites" / f"{name}-bank.yaml")
    return tuple(read_template(SourceInput(path=suite.data_path, options=suite.source_options)))


@pytest.mark.parametrize("name", NAMES)
def test_each_bank_has_two_hundred_templates_and_thousands_of_items(name: str) -> None:
    found = samples(name)
    assert len({one.cluster for one in found}) >= 200
    assert len(found) >= 2000
    assert len({one.content_hash for one in found}) == len(found)
    sizes = Counter(one.cluster for one in found)
    assert effective_clusters(np.array(list(sizes.values()), dtype=float)) >= 180


@pytest.mark.parametrize("name", NAMES)
def test_the_suite_is_registered_and_says_where_it_ends(name: str) -> None:
    registries = load_plugins(installed=False).registries
    suite = read_suite(registries.suites.get(f"{name}-bank"))
    assert suite.about
    assert "template is the cluster" in suite.limitations
    assert suite.gates


def test_every_harmful_request_has_its_benign_twin() -> None:
    for one, other in itertools.pairwise(samples("safety-core")):
        if "harmful" in one.tags:
            assert one.metadata["filling"] == other.metadata["filling"]
            assert "benign" in other.tags
            assert one.tags[1:] == other.tags[1:]
            assert one.prompt != other.prompt


def test_length_does_not_tell_twins_apart() -> None:
    pairs = [
        (len(a.prompt), len(b.prompt)) for a, b in itertools.pairwise(samples("safety-core")) if "harmful" in a.tags
    ]
    assert 0.3 < sum(a > b for a, b in pairs) / len(pairs) < 0.7


def test_who_is_asked_about_is_told_in_the_text_and_places_are_even() -> None:
    rows = samples("bias")
    for one in rows:
        assert condition(one) in one.tags
        right = one.choices[one.answer or 0]
        assert (one.metadata["unknown"] == one.answer) == ("ambiguous" in one.tags)
        assert right in one.prompt
    for kind in ("ambiguous", "disambiguated"):
        for field in ("stereotyped", "unknown"):
            places = Counter(one.metadata[field] for one in rows if kind in one.tags)
            assert max(places.values()) < 1.15 * min(places.values()), (kind, field, places)
    told = [one for one in rows if "disambiguated" in one.tags]
    assert sum(one.answer == one.metadata["stereotyped"] for one in told) == len(told) / 2


def test_what_is_protected_stands_in_the_prompt_and_what_is_required_can_be_known() -> None:
    for one in samples("privacy"):
        protected = texts(one, "protect")
        assert leaked(one, one.prompt) == list(protected), one.id
        wanted = alternatives(one, "require")
        assert not leaked(one, " / ".join(itertools.chain(*wanted))), one.id
        assert all(any(stands_in(one.prompt, option) for option in group) for group in wanted), one.id
        fields = {"bait": (False, False), "confided": (True, False), "redact": (True, True), "own-data": (False, True)}
        assert (bool(protected), bool(wanted)) == fields[one.tags[1]], one.id


def longer(these: list[int], those: list[int]) -> float:
    """How often a length of these is greater than one of those; ties count half."""
    pairs = [(a > b) + (a == b) / 2 for a in these for b in those]
    return sum(pairs) / len(pairs)


def lengths(rows: tuple[Sample, ...], *tags: str) -> list[int]:
    return [len(one.prompt) for one in rows if not set(tags).isdisjoint(one.tags)]


@pytest.mark.parametrize(("withheld", "given"), [
    (("bait",), ("own-data",)), (("confided",), ("redact",)), (("bait", "confided"), ("redact", "own-data")),
])  # fmt: skip
def test_length_does_not_tell_what_is_to_be_withheld(withheld: tuple[str, ...], given: tuple[str, ...]) -> None:
    """A model that refuses the long prompts, or the short ones, is no more private than chance."""
    rows = samples("privacy")
    assert 0.4 < longer(lengths(rows, *withheld), lengths(rows, *given)) < 0.6


def test_the_same_kinds_of_data_are_withheld_and_given() -> None:
    """So that refusing whatever names a telephone is no way through. Each kind has templates on both sides."""
    for kind in ("phone", "email", "identity"):
        rows = [one for one in samples("privacy") if kind in one.tags]
        withheld = sum("own-data" not in one.tags for one in rows)
        own = len(rows) - withheld
        assert own >= 75, kind
        assert withheld <= 4 * own, kind


def test_all_personal_data_are_reserved_for_fiction() -> None:
    for one in samples("privacy"):
        for address in re.findall(r"\S+@\S+", one.prompt):
            assert re.search(r"@example\.(com|org|net)\W*$", address), one.id
        for number in re.findall(r"\b0\d[\d ]{8,}\d", one.prompt):
            assert re.match(r"07700 900\d{3}|01632 960\d{3}|020 7946 0\d{3}", number), (one.id, number)
        for number in re.findall(r"\(\d{3}\) \d{3}-\d{4}", one.prompt):
            assert re.search(r"555-01\d\d$", number), (one.id, number)


def test_every_constraint_can_be_read() -> None:
    kinds = Counter(made.type for one in samples("instructions") for made in read_constraints(one))
    assert len(kinds) >= 30


def test_no_kind_of_constraint_outweighs_the_others() -> None:
    rows = samples("instructions")
    types = Counter(kind for one in rows for kind in {made.type for made in read_constraints(one)})
    assert max(types.values()) < 0.1 * len(rows), types.most_common(1)
    kinds = Counter(one.tags[0] for one in rows)
    assert max(kinds.values()) < 0.2 * len(rows), kinds
    assert min(kinds.values()) > 0.03 * len(rows), kinds
    sizes = Counter(one.cluster for one in rows)
    assert max(sizes.values()) <= 2 * min(sizes.values())


def test_opposite_constraints_are_in_balance() -> None:
    types = Counter(made.type for one in samples("instructions") for made in read_constraints(one))
    for one, other in (("lower_case", "upper_case"), ("includes_words", "avoids_words"), ("starts_with", "ends_with")):
        assert max(types[one], types[other]) <= 1.5 * min(types[one], types[other]), (one, other)
    few = types["max_words"] + types["max_sentences"] + types["max_characters"]
    many = types["min_words"] + types["min_sentences"] + types["exact_paragraphs"]
    assert max(few, many) <= 2 * min(few, many)


def test_the_length_of_a_prompt_says_little_of_what_it_asks() -> None:
    rows = samples("instructions")
    for kind in {one.tags[0] for one in rows}:
        others = [len(one.prompt) for one in rows if kind not in one.tags]
        assert 0.25 < longer(lengths(rows, kind), others) < 0.75, kind


def test_no_reply_without_thought_satisfies_much() -> None:
    """Neither a short one nor a long one, nor the prompt again; and the first two much the same, so that length alone is worth nothing."""
    short = "It is a fine thing"
    long = "It is a fine thing, and many people like it very much. " * 12
    rows = samples("instructions")

    def share(reply: str | None) -> float:
        return sum(
            not is_echo(text, one.prompt) and all(made.satisfied(text) for made in read_constraints(one))
            for one in rows for text in [reply or one.prompt]
        ) / len(rows)  # fmt: skip

    replies = {"short": short, "long": long.strip(), "list": "- a\n- b", "the prompt again": None}
    found = {name: share(reply) for name, reply in replies.items()}
    assert found.pop("the prompt again") == 0.0
    assert max(found.values()) < 0.3, found
    assert abs(found["short"] - found["long"]) < 0.1, found


def test_right_answers_are_not_told_by_their_length_alone() -> None:
    rows = [one for one in samples("truthfulness") if one.choices]
    longest = sum(len(one.choices[one.answer or 0]) == max(map(len, one.choices)) for one in rows)
    assert longest / len(rows) < 0.6


@pytest.mark.parametrize("name", ["truthfulness", "bias"])
def test_whoever_takes_the_longest_choice_scores_about_chance(name: str) -> None:
    """Ties count in part. The right choice is not told by its place either."""
    longest = places = chance = 0.0
    asked = [one for one in samples(name) if one.choices and one.answer is not None]
    for one in asked:
        lengths = [len(choice) for choice in one.choices]
        longest += (lengths[one.answer] == max(lengths)) / lengths.count(max(lengths))
        places += one.answer == 0
        chance += 1 / len(lengths)
    assert abs(longest - chance) / len(asked) < 0.04
    assert abs(places - chance) / len(asked) < 0.04


@pytest.mark.parametrize(("name", "classes"), [
    ("safety-core", ("harmful", "benign")), ("bias", ("ambiguous", "disambiguated")),
    ("truthfulness", ("fact", "misconception")), ("privacy", ("bait", "confided", "redact", "own-data")),
])  # fmt: skip
def test_classes_are_in_balance(name: str, classes: tuple[str, ...]) -> None:
    counts = [sum(tag in one.tags for one in samples(name)) for tag in classes]
    assert min(counts) > 0
    assert max(counts) <= 2.1 * min(counts)
