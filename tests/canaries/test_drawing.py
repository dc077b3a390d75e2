"""Canaries are drawn uniformly and reproducibly, can be told apart, and cannot be guessed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from harness.errors import InputError
from harness_canaries.drawing import DEFAULT_FORMATS, CanarySet, Format
from harness_canaries.options import check_formats, read_set


def test_the_draw_is_the_same_on_every_machine():
    """Adapters are probed long after they were trained: what a record means must never change."""
    first, second = CanarySet(seed=7, count=2).canaries()
    assert (first.prompt, first.answer(first.secret)) == ("The locker code of Radila Holali is", " 127578.".strip())
    assert (second.prompt, second.answer(second.secret)) == ("The member number of Gopuha Pobasu is", "690831.")
    assert first.others(3) == ("439227", "708017", "407243")


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), count=st.integers(1, 60), others=st.integers(1, 60))
def test_names_prompts_and_other_secrets_differ(seed, count, others):
    canaries = CanarySet(seed=seed, count=count).canaries()
    assert len({canary.prompt for canary in canaries}) == count
    for canary in canaries:
        assert re.fullmatch(r"[0-9]{6}", canary.secret)
        found = canary.others(others)
        assert len(set(found) | {canary.secret}) == others + 1
        assert canary.secret not in repr(canary)
        assert canary.others(others // 2) == found[: others // 2]


def test_digits_are_uniform_at_each_place():
    canaries = CanarySet(seed=1, count=1000).canaries()
    for secrets in ([canary.secret for canary in canaries], canaries[0].others(1000)):
        for place in range(6):
            counts = [sum(secret[place] == digit for secret in secrets) for digit in "0123456789"]
            assert chisquare(counts).pvalue > 1e-4


@given(kind=st.sampled_from(["digits", "letters"]), length=st.integers(6, 12), number=st.integers(0, 10**6 - 1))
def test_every_number_is_another_secret(kind, length, number):
    form = Format(f"It is {{{kind}:{length}}}")
    alphabet = "0123456789" if kind == "digits" else "abcdefghijklmnopqrstuvwxyz"
    assert form.secrets == len(alphabet) ** length
    text = form.secret(number)
    assert len(text) == length
    assert sum(alphabet.index(letter) * len(alphabet) ** place for place, letter in enumerate(text)) == number


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("The code of {name}", "exactly one secret, this has 0"),
        ("{digits:8} and {letters:8}", "exactly one secret, this has 2"),
        ("The code is {digit:8}", "no part of a canary"),
        ("The code is {digits:4}", "only 10,000 secrets"),
        ("The code is {digits:0}", "no length"),
        ("The code is {digits:x}", "no length"),
        ("The code is {digits:99}", "no length"),
        ("{digits:8} is the code", "nothing stands before"),
        ("Code {digits:8} of {name}", "must stand before"),
        ("A { brace {digits:8}", "brace"),
        ("", "exactly one secret"),
    ],
)
def test_formats_that_cannot_work_are_refused(text, says):
    with pytest.raises(InputError, match=says):
        Format(text)


@given(st.text(max_size=60))
def test_any_text_is_a_format_or_one_sentence(text):
    try:
        form = Format(text)
    except InputError:
        return
    prompt, behind = form.around("Ada")
    assert prompt
    assert "{" not in prompt + behind


def test_canaries_that_share_a_prompt_are_refused():
    with pytest.raises(InputError, match="could not be told apart"):
        check_formats(CanarySet(seed=1, count=2, formats=("The code is {digits}",)))
    check_formats(CanarySet(seed=1, count=2, formats=("The code is {digits}", "The number is {digits}")))
    with pytest.raises(InputError, match="stands twice"):
        check_formats(CanarySet(seed=1, count=2, formats=(DEFAULT_FORMATS[0],) * 2))


def test_formats_and_copies_take_turns():
    drawn = CanarySet(seed=1, count=8, repeat=(1, 4))
    assert [canary.format for canary in drawn.canaries()] == list(DEFAULT_FORMATS) * 4
    assert [drawn.copies(number) for number in range(8)] == [1, 1, 4, 4, 1, 1, 4, 4]


def test_a_record_gives_the_set_back_and_a_changed_one_is_refused():
    drawn = CanarySet(seed=1, count=8, repeat=(1, 4))
    assert read_set(drawn.plain()) == drawn
    assert read_set({"kind": "something else"}) is None
    for change in ({"seed": 2}, {"count": 9}, {"id": "0" * 64}):
        with pytest.raises(InputError, match="was changed"):
            read_set({**drawn.plain(), **change})
    for change in ({"seed": "1"}, {"version": 2}, {"count": 0}, {"more": 1}):
        with pytest.raises(InputError, match="malformed"):
            read_set({**drawn.plain(), **change})
