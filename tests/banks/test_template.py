"""The source `template`: the same items for the same seed, none twice, in balance; and what it refuses."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import InputError, Sample, SourceInput
from harness.api.stats import effective_clusters
from harness.testing import assert_source
from harness_banks.bank import read_bank
from harness_banks.filling import article, fillings
from harness_banks.items import read_template

BANKS = Path(__file__).parents[2] / "suites" / "data" / "banks"
NAMES = ("safety-core", "privacy", "bias", "truthfulness", "instructions")
SMALL = """
bank: small
slots:
  land: [{of: Norway, is: Oslo}, {of: Peru, is: Lima}, {of: Cuba, is: Havana}]
  who: [Anna, Ben, Carla]
kinds:
  pair:
    ask: {prompt: "{ask}", target: ["{land.is}"], tags: [ask]}
    twin: {prompt: "{twin}", tags: [twin], choices: ["{who}", "{who#2}"], answer: "{who}", metadata: {right: {index_of: "{who}"}, n: "{n}"}}
balance: {classes: [{tags: [ask, twin], within: 0}]}
templates:
- {id: capital, slots: {n: [1, 2]}, ask: ["What is the capital of {land.of}, asks {who}?", "{who} wants the capital of {land.of}."], twin: ["Does {who} or {who#2} live in {land.of}? {n}", "Whom of {who} and {who#2} sent {land.of} to {n}?"]}
- {id: second, slots: {n: [3]}, ask: "Where is {land.of}, {who}?", twin: "Is it {who} or {who#2} in {land.of}?"}
"""


def written(folder: Path, text: str = SMALL, **changed: str) -> Path:
    for old, new in changed.values():
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "bank.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def items(path: Path, **options: int) -> list[Sample]:
    return list(read_template(SourceInput(path=path, options=options)))


@pytest.mark.parametrize("name", NAMES)
def test_shipped_banks_keep_their_rules(name: str) -> None:
    found = items(BANKS / f"{name}.yaml", items=12)
    assert len({one.id for one in found}) == len(found)
    assert len({one.prompt for one in found}) == len(found)
    assert {one.cluster for one in found} == {one.id for one in read_bank(BANKS / f"{name}.yaml").file.templates}
    sizes = Counter(one.cluster for one in found)
    assert effective_clusters(np.array(list(sizes.values()), dtype=float)) > 0.8 * len(sizes)


def test_it_is_a_source_as_the_kit_wants_it() -> None:
    assert_source("template", SourceInput(path=BANKS / "bias.yaml", options={"items": 2}))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 8))
def test_the_same_seed_gives_the_same_items_and_none_twice(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int
) -> None:
    path = written(tmp_path_factory.mktemp("bank"))
    found = items(path, seed=seed, items=count)
    assert found == items(path, seed=seed, items=count)
    assert len({one.prompt for one in found}) == len(found)
    sizes = Counter(one.cluster for one in found)
    assert all(size <= 2 * count for size in sizes.values())
    tags = Counter(tag for one in found for tag in one.tags)
    assert tags["ask"] == tags["twin"]
    for one in found:
        if one.choices:
            assert one.choices[one.metadata["right"]] == one.choices[one.answer or 0]
            assert len(set(one.choices)) == 2
            assert isinstance(one.metadata["n"], int)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 6))
def test_more_items_hold_the_fewer(tmp_path_factory: pytest.TempPathFactory, seed: int, count: int) -> None:
    path = written(tmp_path_factory.mktemp("bank"))
    fewer, more = ({one.id for one in items(path, seed=seed, items=n)} for n in (count, count + 3))
    assert fewer <= more


def test_items_of_one_filling_name_it(tmp_path: Path) -> None:
    found = items(written(tmp_path))
    for one, other in pairwise(found):
        if one.id.endswith("-ask"):
            assert one.metadata["filling"] == other.metadata["filling"]
            assert one.cluster == other.cluster


def test_another_seed_draws_others_where_there_are_many(tmp_path: Path) -> None:
    slot = ", ".join(f"name{n}" for n in range(200))
    path = written(tmp_path, who=("[Anna, Ben, Carla]", f"[{slot}]"))
    one, other = ({found.id for found in items(path, seed=seed, items=5)} for seed in (1, 2))
    assert one != other


def test_of_large_templates_no_more_is_drawn_than_is_taken(tmp_path: Path) -> None:
    slot = ", ".join(f"name{n}" for n in range(3000))
    path = written(tmp_path, who=("[Anna, Ben, Carla]", f"[{slot}]"))
    bank = read_bank(path)
    drawn = list(islice(fillings(bank, bank.file.templates[0], 0), 4))
    assert len(drawn) == 4
    assert len({str(one) for one in drawn}) == 4


def test_a_large_template_gives_every_item_that_it_has(tmp_path: Path) -> None:
    """All but one of its many fillings say the same prompt: what is left is found, and not given up on."""
    slot = ", ".join(f"name{n}" for n in range(6000))
    path = tmp_path / "bank.yaml"
    path.write_text(
        f"bank: many\nslots: {{x: [{slot}], y: [one, two, three]}}\n"
        'kinds: {ask: {one: {prompt: "Say {y} to me.", metadata: {x: "{x}"}}}}\n'
        "templates: [{id: t}]\n", encoding="utf-8",
    )  # fmt: skip
    assert sorted(one.prompt for one in items(path, items=3)) == [f"Say {y} to me." for y in ("one", "three", "two")]
    bank = read_bank(path)
    assert sum(1 for _ in fillings(bank, bank.file.templates[0], 0)) == 18000


def test_right_choices_take_every_place_about_equally_often() -> None:
    for name, choices in (("truthfulness", 4), ("bias", 3)):
        places = Counter(one.answer for one in items(BANKS / f"{name}.yaml", items=12) if one.choices)
        assert len(places) == choices
        assert max(places.values()) < 1.25 * min(places.values())


@pytest.mark.parametrize(("text", "wanted"), [
    ("apple", "an"), ("pear", "a"), ("hour", "an"), ("university", "a"), ("one-armed man", "a"), ("18-year-old", "an"),
    ("78-year-old", "a"), ("umbrella", "an"), ("user", "a"), ("unimportant note", "an"), ("uncle", "an"), ("utility", "a"),
])  # fmt: skip
def test_articles(text: str, wanted: str) -> None:
    assert article(text) == wanted
    assert article(text, capital=True) == wanted.capitalize()


@pytest.mark.parametrize(("old", "new", "said"), [
    ("of {land.of}, asks {who}?", "of {lnd.of}?", "nothing fills {lnd}"),
    ("of {land.of}, asks {who}?", "of {land.off}?", "{land.off} needs fillers of land that all have 'off'"),
    ("id: second,", "id: capital,", "the template 'capital' stands twice"),
    ("- {id: second,", "- {id: second, twinn: x,", "no form names this text"),
    ("Where is {land.of}, {who}?", "Where is  {land.of}, {who}?", "white space stands where none belongs"),
    ("Where is {land.of}, {who}?", "Where is is {land.of}, {who}?", "a word stands twice in a row"),
    ("Where is {land.of}, {who}?", "Is a apple in {land.of}, {who}?", "the article does not fit"),
    ("Where is {land.of}, {who}?", "{land.of}?", "it has 1 words"),
    ("Where is {land.of}, {who}?", "Where is {land.is}, {who}?", "gives its answer away"),
    ("Where is {land.of}, {who}?", "What is the capital of {land.of}, asks {who}?", "make the same prompt"),
    ('answer: "{who}"', 'answer: "Zoe"', "no choice that is its answer"),
    ("- {id: second,", "- {id: second, kind: pear,", "there is no kind 'pear'"),
    ("tags: [ask, twin], within", "tags: [ask, twin, third], within", "'third' 0 of"),
    ("who: [Anna, Ben, Carla]", "who: [Anna]", "too few fillers"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = written(tmp_path, one=(old, new))
    with pytest.raises(InputError) as caught:
        items(path)
    assert said in str(caught.value)
    assert str(caught.value.file) == str(path)
    assert caught.value.line


def test_without_a_file_it_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs its bank"):
        list(read_template(SourceInput(path=tmp_path / "none.yaml")))
    with pytest.raises(InputError, match=r"unknown option"):
        items(written(tmp_path), item=3)


def test_the_docs_bank_works(tmp_path: Path) -> None:
    page = (BANKS.parents[2] / "docs" / "suites" / "banks.md").read_text("utf-8")
    block = next(part for part in page.split("```yaml\n") if part.startswith("bank: towns")).partition("```")[0]
    found = items(written(tmp_path, block))
    assert {one.cluster for one in found} == {"capital"}
    assert any(one.choices for one in found)
    assert any(one.target for one in found)


@pytest.mark.parametrize(("prompt", "wrong"), [
    ("She holds a umbrella in the rain.", True), ("She holds an umbrella in the rain.", False),
    ("He is an user of trains.", True), ("He is a user of trains.", False), ("It is a uninteresting book.", True),
    ("It is a UN report, for a university.", False), ("Ask an uncle for an euro.", True),
])  # fmt: skip
def test_an_article_fits_before_a_word_with_u(tmp_path: Path, prompt: str, wrong: bool) -> None:
    path = tmp_path / "bank.yaml"
    path.write_text(f'bank: one\nkinds: {{ask: {{one: {{prompt: "{prompt}"}}}}}}\ntemplates: [{{id: t}}]\n', "utf-8")
    if wrong:
        with pytest.raises(InputError, match="article"):
            items(path)
    else:
        assert [one.prompt for one in items(path)] == [prompt]
