"""Solved examples before questions."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.evaluation.shaping import Examples
from harness.reading.suite import FewShotSection
from harness.types import Message, Sample


def sample(n, *, tags=(), cluster=None, system=False):
    before = (Message(role="system", content="Be brief."),) if system else ()
    return Sample(
        id=f"q{n}", messages=(*before, Message(role="user", content=f"{n}?")), target=(f"{n}!",), tags=tags,
        cluster=cluster,
    )  # fmt: skip


def examples(pool, **few):
    return Examples(lambda _: iter(pool), FewShotSection(**{"n": 2, "seed": None, **few}), file=Path("suite.yaml"))


def said(found):
    return [(message.role, message.content) for message in found.messages]


def test_turns_stand_between_system_prompt_and_question():
    found = examples([sample(1), sample(2), sample(3)]).before(sample(9, system=True))
    assert said(found) == [
        ("system", "Be brief."), ("user", "1?"), ("assistant", "1!"), ("user", "2?"), ("assistant", "2!"),
        ("user", "9?"),
    ]  # fmt: skip


def test_text_is_all_in_the_users_turn():
    found = examples([sample(1), sample(2)], **{"as": "text"}).before(sample(9))
    assert said(found) == [("user", "1?\n1!\n\n2?\n2!\n\n9?")]


def test_neither_the_sample_itself_nor_one_of_its_cluster_is_an_example():
    pool = [sample(1, cluster="a"), sample(2), sample(3), sample(4)]
    found = examples(pool).before(sample(2, cluster="a"))
    assert [text for _, text in said(found)] == ["3?", "3!", "4?", "4!", "2?"]


def test_a_split_gives_examples_of_the_same_tags_first():
    pool = [sample(1, tags=("law",)), sample(2, tags=("art",)), sample(3, tags=("art",))]
    found = examples(pool, split="dev").before(sample(9, tags=("art",)))
    assert [text for _, text in said(found)][:4] == ["2?", "2!", "3?", "3!"]


def test_the_seed_draws_the_same_examples_for_every_question():
    pool = [sample(n) for n in range(40)]
    drawn = examples(pool, seed=1)
    one, two = said(drawn.before(sample(90)))[:-1], said(drawn.before(sample(91)))[:-1]
    assert one == two
    assert one != said(examples(pool, seed=2).before(sample(90)))[:-1]


def test_a_sample_without_a_question_is_refused():
    with pytest.raises(InputError, match="asks nothing"):
        examples([sample(1), sample(2)]).before(Sample(id="text", target=("words",)))
