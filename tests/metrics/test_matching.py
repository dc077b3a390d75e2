"""Numbers, normal forms and spans."""

from __future__ import annotations

import sys
import unicodedata
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.types import Decoding
from harness_metrics.numbers import final_number, numbers
from harness_metrics.text import contains_span, ngrams, normalise, words
from tests.metrics.conftest import make_completion, make_sample


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The answer is 42.", [42]),
        ("1,234,567.5 people", [Fraction("1234567.5")]),
        ("between -3 and +4", [-3, 4]),
        ("−7 °C", [-7]),
        ("10-5", [10, 5]),
        ("$1,200 or €3.50", [1200, Fraction("3.5")]),
        ("-$5", [-5]),
        ("1/2 cup, then 1 1/2 cups", [Fraction(1, 2), Fraction(3, 2)]),
        (r"\frac{3}{4} of it", [Fraction(3, 4)]),
        (".5 and 0.25", [Fraction(1, 2), Fraction(1, 4)]),
        ("1e3 and 2.5E-2", [1000, Fraction("0.025")]),
        ("50%", [50]),
        ("H2O and B12", []),
        ("5km", [5]),
        ("1,23", [1, 23]),
        ("no number here", []),
        ("3/0", []),
        ("**18**", [18]),
        ("(7)", [7]),
        ("x=9", [9]),
    ],
)
def test_numbers(text, expected):
    assert numbers(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("First 3, then 5, so #### 8 apples, not 9", 8),
        ("#### none; but it is 4", 4),
        (r"So \boxed{12}, since 12 = 3 * 4 and 3 + 4 = 7", 12),
        (r"\boxed{\frac{1}{3}} or 0.333", Fraction(1, 3)),
        ("2 + 2 = 4.", 4),
        ("none", None),
        ("", None),
    ],
)
def test_final_number(text, expected):
    assert final_number(text) == expected


@given(st.integers(-(10**12), 10**12))
def test_whole_numbers_survive_any_grouping(number):
    assert numbers(f"It is {number}.") == [number]
    assert numbers(f"It is {number:,}!") == [number]


@given(st.decimals(min_value=-(10**6), max_value=10**6, places=3))
def test_decimals_are_exact(number):
    assert numbers(f"so {number:f} m") == [Fraction(number)]


@given(st.integers(-999, 999), st.integers(1, 999))
def test_fractions_are_exact(top, under):
    assert numbers(f"so {top}/{under} left") == [Fraction(top, under)]


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text):
    assert all(isinstance(number, Fraction) for number in numbers(text))


def test_number_match_compares_values(measure):
    metric = measure("number_match")["number_match"]
    sample = make_sample(target=("1/2",))
    for text, right in [("0.5", 1.0), ("It is 50%.", 0.0), ("I do not know", 0.0), ("2/4", 1.0)]:
        assert metric.observe(sample, (make_completion(text),), {}, ()) == (right, 1.0)
    loose = measure("number_match", tolerance=0.01)["number_match"]
    assert loose.observe(make_sample(target=("100",)), (make_completion("101"),), {}, ()) == (1.0, 1.0)
    with pytest.raises(InputError, match="holds no number"):
        metric.requests(make_sample(target=("many",)), Decoding())


def test_exact_match_options(measure):
    sample = make_sample(target=("The Hague", "Den Haag"))

    def right(text: str, **options: bool) -> float:
        metric = measure("exact_match", **options)["exact_match"]
        return metric.observe(sample, (make_completion(text),), {}, ())[0]

    assert right("the  hague.") == 1.0
    assert right("den haag!") == 1.0
    assert right("Hague") == 0.0
    assert right("Hague", ignore_articles=True) == 1.0
    assert right("the hague", ignore_case=False) == 0.0
    assert right("The Hague.", ignore_punctuation=False) == 0.0
    assert right("It is The Hague") == 0.0


def test_answer_match_wants_whole_words_and_heeds_reject(measure):
    metric = measure("answer_match")["answer_match"]

    def right(text: str, **metadata: object) -> float:
        sample = make_sample(target=("iron", "Fe"), metadata=metadata)
        return metric.observe(sample, (make_completion(text),), {}, ())[0]

    assert right("It is Iron, of course.") == 1.0
    assert right("environment") == 0.0
    assert right("It is iron or copper", reject=["copper"]) == 0.0
    assert right("It is not iron.") == 1.0, "the documented weakness"
    with pytest.raises(InputError, match=r"metadata.reject"):
        metric.requests(make_sample(target=("x",), metadata={"reject": "copper"}), Decoding())


def test_normal_forms():
    assert normalise("  Ｔhe  Cat's—pyjamas! ") == "the cat s pyjamas"
    assert normalise("The end", articles=True) == "end"
    assert normalise("The", articles=True) == "the"
    assert contains_span("我爱北京天安门", "北京")
    assert not contains_span("parisian", "paris")
    assert contains_span("c++ and c", "c")
    assert not contains_span("anything", "")


@given(st.text(max_size=100))
def test_normalising_twice_changes_nothing(text):
    once = normalise(text)
    assert normalise(once) == once


def test_words_in_many_scripts():
    assert words("Don’t stop: it's 3 o'clock!") == ["don’t", "stop", "it's", "3", "o'clock"]
    assert words("我爱你") == ["我", "爱", "你"]
    assert words("नमस्ते दुनिया") == ["नमस्ते", "दुनिया"]
    assert words("...") == []


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 5))
def test_ngrams_are_all_windows(tokens, n):
    found = ngrams(tokens, n)
    assert len(found) == max(0, len(tokens) - n + 1)
    assert all(list(gram) == tokens[i : i + n] for i, gram in enumerate(found))


def test_every_punctuation_mark_of_unicode_becomes_a_space_and_nothing_else_does():
    """One character at a time, over all of Unicode, between two letters; NFKC may turn it into several."""
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if char.isalnum() or unicodedata.category(char) in {"Cn", "Cs", "Co"}:
            continue
        plain = normalise(f"x{char}x", case=False, punctuation=False)
        expected = "".join(" " if unicodedata.category(part).startswith("P") else part for part in plain)
        assert normalise(f"x{char}x", case=False) == " ".join(expected.split()), hex(code)
