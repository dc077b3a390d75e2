"""Every type of constraint: one reply that follows it, one that just does not, and values that it refuses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.plugins import load_plugins
from harness.types import Completion, Decoding, Generate, Message, NoReply, NotApplicable, Sample, Unscored
from harness_metrics.constraints import ABOUT, read_constraints
from harness_metrics.counting import count_sentences, count_words, lines, numbers, paragraphs
from harness_metrics.ifeval import INSTRUCTIONS
from harness_metrics.instructions import InstructionOptions, make

CASES: list[tuple[str, object, list[str], list[str]]] = [
    ("max_words", 3, ["one two three", "a well-known fact"], ["one two three four"]),
    ("min_words", 3, ["one two three"], ["one two", "one - two"]),
    ("exact_words", 2, ["one two", "one – two"], ["one", "one two three"]),
    ("max_characters", 5, ["abcde", "  abcde  "], ["abcdef"]),
    ("max_sentences", 1, ["It rains.", "Dr. Moor is here."], ["It rains. It pours."]),
    ("min_sentences", 2, ["It rains! It pours", "One.\n\nTwo."], ["It rains.", "It costs 1.50 today."]),
    ("exact_sentences", 2, ['"Yes." She left.', "Really?! Yes…"], ["One. Two. Three.", "One"]),
    ("exact_paragraphs", 2, ["one\n\ntwo", "one\n  \n\ntwo\nand more"], ["one\ntwo", "a\n\nb\n\nc"]),
    ("exact_lines", 2, ["one\n\ntwo", "one\ntwo\n"], ["one", "one\ntwo\nthree"]),
    ("exact_bullets", 2, ["- a\n- b", "Here:\n* a\n• b"], ["- a", "-a\n-b", "1. a\n2. b"]),
    ("exact_numbered", 2, ["1. a\n2. b", "So:\n1) a\n2) b"], ["1. a", "1. a\n3. b", "2. a\n1. b", "1.a\n2.b"]),
    ("exact_emphasis", 1, ["a *b* c", "a **b c** d"], ["a b c", "*a* *b*", "2 * 3 * 4", "* a\n* b"]),
    ("max_word_length", 4, ["a tiny duck", "don't"], ["a small duck", "it's-small"]),
    ("starts_with", "Dear", ["Dear friend", "  Dear friend"], ["dear friend", "My Dear"]),
    ("ends_with", "Bye.", ["So long. Bye.", "Bye.\n"], ["Bye", "Bye. Bye!"]),
    ("contains_text", "Room 12B", ["in Room 12B now"], ["in room 12b now"]),
    ("each_line_starts_with", "I", ["I go\n\nI stay", "I"], ["I go\nYou stay"]),
    ("includes_words", ["sea", "New York"], ["The SEA at new york."], ["The seaside at New York", "the sea"]),
    ("avoids_words", ["cat"], ["a category", "a dog"], ["A Cat.", "cat-like"]),
    ("one_of", ["yes", "no"], ["Yes.", " no "], ["yes and no", "maybe"]),
    ("word_exactly", {"word": "Sea", "times": 2}, ["sea, SEA"], ["sea", "sea sea sea", "sea seaside"]),
    ("word_at_least", {"word": "sea", "times": 2}, ["sea sea", "sea sea sea"], ["sea seaside"]),
    ("lower_case", None, ["all small, 1 2 3"], ["All small", "123"]),
    ("upper_case", None, ["ALL BIG 1"], ["ALL BIG a", "123"]),
    ("title_case", None, ["The Old Sea", "“The Old Sea” 12"], ["The old Sea", "12"]),
    ("no_commas", None, ["a b; c"], ["a, b", "a，b"]),
    ("no_digits", None, ["twelve"], ["12", "a1"]),
    ("no_letter", "E", ["a word"], ["the word", "THE WORD"]),
    ("words_start_with", "s", ["Silver sea"], ["silver lake"]),
    ("letters_of", "Greek", ["ειρήνη!", "α 1"], ["ειρήνη peace", "123"]),
    ("question", None, ["Is it?", "Is it? \n"], ["It is.", "Is it? Yes"]),
    ("quoted", None, ['"Go on."', "“Go on.”"], ['He said "go".', '"go', "'go'"]),
    ("title_in_brackets", None, ["[[Tea]]\nIt is hot."], ["[Tea]", "[[ ]] tea", "[[a]] [[b]]"]),
    ("json_object", ["a", "b"], ['{"a": 1, "b": 2}', '```json\n{"b": 1, "a": 2}\n```'], ['{"a": 1}', "[1]", "a b", '{"a": 1, "b": 2} ok']),
    ("json_list", 2, ["[1, 2]", '```\n["a", "b"]\n```'], ["[1]", '{"a": 1}', "1, 2"]),
    ("number_between", [5, 9.5], ["I say 7.", "9.5", "1,000 or 6"], ["10", "H7O", "1.7.2", "seven"]),
    ("alphabetical_lines", None, ["ant\nbee", "1. ant\n2. Bee\n3. cow"], ["bee\nant", "ant"]),
    ("letter_frequency", {"letter": "E", "at_least": 3}, ["eee", "Here we"], ["ee", "abc"]),
    ("capital_words", {"less_than": 2}, ["ONE word", "none"], ["TWO WORDS here"]),
    ("placeholders", 2, ["Dear [name], see [place]."], ["Dear [name]", "a b"]),
    ("highlights", 2, ["*a* and *b*", "**a** and *b*"], ["*a*", "a ** b"]),
    ("sections", {"name": "Part", "count": 2}, ["Part 1\na\nPart 2\nb"], ["Part 1\na", "Part A\nPart B"]),
    ("title", None, ["<<Tea>>\nIt is hot."], ["<Tea>", "<< >> tea"]),
    ("language", "de", ["Heute regnet es, und wir bleiben alle zu Hause."], ["It rains today and we all stay at home."]),
    ("paragraph_first_word", {"paragraphs": 2, "nth": 2, "word": "Rain"}, ["a\n\nrain, b"], ["rain\n\nb", "a\n\nb\n\nc", "a\n\nrainy"]),
    ("parts", {"separator": "***", "count": 2}, ["a\n***\nb"], ["a b", "a***b***c", "***b"]),
]  # fmt: skip


def sample(*constraints: object) -> Sample:
    """Return a sample with these constraints."""
    return Sample(
        id="s-1", messages=(Message(role="user", content="Write."),), metadata={"constraints": list(constraints)}
    )


def holds(type_: str, value: object, text: str) -> bool:
    """Tell whether the text follows the constraint."""
    item = {"type": type_} if value is None else {"type": type_, "value": value}
    (constraint,) = read_constraints(sample(item))
    return constraint.satisfied(text)


def test_every_type_has_a_case() -> None:
    assert sorted(ABOUT) == sorted(case[0] for case in CASES)


@pytest.mark.parametrize(("type_", "value", "good", "bad"), CASES, ids=[case[0] for case in CASES])
def test_constraint(type_: str, value: object, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not holds(type_, value, text)] == []
    assert [text for text in bad if holds(type_, value, text)] == []


@pytest.mark.parametrize(("type_", "value"), [case[:2] for case in CASES], ids=[case[0] for case in CASES])
@pytest.mark.parametrize("empty", ["", "  \n", "...", "- *"])
def test_a_reply_that_says_nothing_follows_no_constraint(type_: str, value: object, empty: str) -> None:
    assert not holds(type_, value, empty)


@given(text=st.text(max_size=80))
def test_no_text_breaks_a_constraint(text: str) -> None:
    for type_, value, _, _ in CASES:
        assert holds(type_, value, text) in (True, False)


@given(words=st.lists(st.text(alphabet="abcdefgh", min_size=1, max_size=6), min_size=1, max_size=12))
def test_counts_agree_with_what_was_joined(words: list[str]) -> None:
    n = len(words)
    assert count_words(" ".join(words)) == n
    assert count_sentences(". ".join(words) + ".") == n
    assert count_sentences("? ".join(words)) == n
    assert len(paragraphs("\n\n".join(words))) == n
    assert lines("\n".join(words)) == words
    for type_, text in [
        ("exact_words", " ".join(words)),
        ("exact_bullets", "\n".join(f"- {word}" for word in words)),
        ("exact_numbered", "\n".join(f"{i}. {word}" for i, word in enumerate(words, 1))),
        ("exact_lines", "\n".join(words)),
        ("exact_emphasis", " ".join(f"*{word}*" for word in words)),
        ("json_list", json.dumps(words)),
    ]:
        assert holds(type_, n, text)
        assert not holds(type_, n + 1, text)


@given(st.integers(min_value=-(10**9), max_value=10**9))
def test_whole_numbers_are_read_back(value: int) -> None:
    assert numbers(f"It is {value}.") == [value]
    assert numbers(f"It is {value:,}, they say") == [value]


@pytest.mark.parametrize("text", ["v1.2.3", "H2O", "1,25", "ipv6"])
def test_what_is_no_number_of_its_own(text: str) -> None:
    assert numbers(text) == []


def test_hostile_json_is_just_no_json() -> None:
    assert not holds("json_list", 1, "[" * 100_000 + "a")


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"type": "max_wrods", "value": 3}, "did you mean 'max_words'?"),
        ({"type": "zzz"}, "known types"),
        ({"type": "max_words"}, "whole number"),
        ({"type": "max_words", "value": "3"}, "whole number"),
        ({"type": "max_words", "value": True}, "whole number"),
        ({"type": "max_words", "value": 0}, "whole number"),
        ({"type": "lower_case", "value": 1}, "no value"),
        ({"type": "starts_with", "value": " "}, "needs a text"),
        ({"type": "includes_words", "value": []}, "list of texts"),
        ({"type": "includes_words", "value": ["!"]}, "letter or digit"),
        ({"type": "number_between", "value": [2, 1]}, "lower one first"),
        ({"type": "number_between", "value": [1]}, "two numbers"),
        ({"type": "no_letter", "value": "ab"}, "one letter"),
        ({"type": "word_exactly", "value": {"word": "two words", "times": 1}}, "a word and a number"),
        ({"type": "word_exactly", "value": {"word": "sea", "times": 0}}, "whole number"),
        ({"type": "parts", "value": "***"}, "a separator and a number"),
        ({"type": "json_object", "value": "name"}, "list of keys"),
        ({"type": "max_words", "value": 3, "at": 1}, "no others"),
        ("max_words", "no others"),
    ],
)
def test_wrong_constraints_name_the_sample_and_the_place(item: object, words: str) -> None:
    (strict, _) = make(InstructionOptions())
    with pytest.raises(InputError) as caught:
        strict.requests(sample({"type": "question"}, item), Decoding())
    message = str(caught.value)
    assert "'s-1'" in message
    assert "metadata.constraints[1]" in message
    assert words in message


def test_constraints_must_be_a_list() -> None:
    given_wrong = Sample(id="s-2", messages=(Message(role="user", content="x"),), metadata={"constraints": "max_words"})
    with pytest.raises(InputError, match=r"'s-2'.*list of constraints"):
        read_constraints(given_wrong)


def test_the_metrics_score_all_and_the_share() -> None:
    strict, share = make(InstructionOptions())
    given_two = sample({"type": "max_words", "value": 2}, {"type": "question"})
    assert strict.requests(given_two, Decoding()) == (Generate(messages=given_two.messages, decoding=Decoding()),)

    def rows(text: str) -> tuple[object, object]:
        reply = Completion(text=text, prompt_tokens=1, completion_tokens=1, finish="stop")
        return strict.observe(given_two, (reply,), {}, ()), share.observe(given_two, (reply,), {}, ())

    assert rows("Why not?") == ((1.0, 1.0), (1.0, 1.0))
    assert rows("Not now.") == ((0.0, 1.0), (0.5, 1.0))
    assert rows("I do not know that.") == ((0.0, 1.0), (0.0, 1.0))
    assert rows("") == ((0.0, 1.0), (0.0, 1.0))


@pytest.mark.parametrize("text", ["Say x twice: x x", "say X twice x x.", " Say x twice:\nx x\n"])
def test_the_prompt_given_back_satisfies_nothing(text: str) -> None:
    """It holds the words that it asks for, so that it would be right by chance."""
    asked = Sample(
        id="s-4", messages=(Message(role="user", content="Say x twice: x x"),),
        metadata={"constraints": [{"type": "word_at_least", "value": {"word": "x", "times": 2}}]},
    )  # fmt: skip

    def row(metric, text: str) -> object:
        reply = Completion(text=text, prompt_tokens=1, completion_tokens=1, finish="stop")
        return metric.observe(asked, (reply,), {}, ())

    strict, share = make(InstructionOptions())
    assert row(strict, text) == row(share, text) == (0.0, 1.0)
    assert row(strict, "x x") == row(share, "x x") == (1.0, 1.0)
    assert row(strict, f"{text} And again: x.") == (1.0, 1.0), "only the whole reply is an echo"
    as_ifeval_has_it, *_ = make(InstructionOptions(ifeval=True))
    assert row(as_ifeval_has_it, text) == (1.0, 1.0)


def test_no_reply_is_unscored_and_no_constraint_is_not_applicable() -> None:
    plain = Sample(id="s-3", messages=(Message(role="user", content="x"),))
    for metric in make(InstructionOptions()):
        assert isinstance(metric.observe(sample({"type": "question"}), (NoReply(reason="time-out"),), {}, ()), Unscored)
        assert metric.requests(plain, Decoding()) == ()
        assert isinstance(metric.observe(plain, (), {}, ()), NotApplicable)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(InputError, match="strict: unknown option; known options: ifeval"):
        load_plugins(installed=False).registries.metrics.get("instructions")({"strict": True}, {})


AUTHORS: list[tuple[str, dict[str, object], list[str], list[str]]] = [
    ("keywords:existence", {"keywords": ["tea", "cup"]}, ["A TEACUP"], ["tea"]),
    ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "at least"}, ["tea and teapots"], ["tea"]),
    ("keywords:forbidden_words", {"forbidden_words": ["tea"]}, ["steam"], ["Tea!"]),
    ("keywords:letter_frequency", {"letter": "#", "let_frequency": 2, "let_relation": "less than"}, ["a # b"], ["## a"]),
    ("language:response_language", {"language": "kn"}, ["ನಮಸ್ಕಾರ, ಇದು ಕನ್ನಡ"], ["This is no Kannada at all, it is English."]),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"}, ["One."], ["One. Two."]),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, ["a\n***\nb", "***\na\n***\nb"], ["a\n\nb", "a\n***\n***\nb"]),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, ["a well-known"], ["one two"]),
    ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "rain"}, ['a\n\n"Rain, b'], ["rain\n\na"]),
    ("detectable_content:number_placeholders", {"num_placeholders": 1}, ["[x] a"], ["a"]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["a\nP. P. S. b"], ["a\nP.S. b"]),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, ["* a\n- b"], ["* a", "* a\n* b\n* c"]),
    ("detectable_format:constrained_response", {}, ["Well. My answer is no."], ["No."]),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 1}, ["*a b*"], ["a"]),
    ("detectable_format:multiple_sections", {"section_spliter": "SECTION", "num_sections": 2}, ["SECTION 1\na\nSECTION 2\nb"], ["SECTION 1"]),
    ("detectable_format:json_format", {}, ['```json\n{"a": 1}\n```'], ["a: 1"]),
    ("detectable_format:title", {}, ["<<A>> b"], ["A b"]),
    ("combination:two_responses", {}, ["a\n******\nb"], ["a", "a******a", "a******b******c"]),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it."}, ["say it. Yes"], ["Yes. Say it."]),
    ("startend:end_checker", {"end_phrase": "The end."}, ['"So. the end."'], ["The end. Or not"]),
    ("startend:quotation", {}, ['"a"'], ["a", '"a" b']),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"}, ["A BIG cat"], ["A cat"]),
    ("change_case:english_capital", {}, ["THIS IS WRITTEN IN ENGLISH"], ["This is written in English"]),
    ("change_case:english_lowercase", {}, ["this is written in english"], ["This is written in English", "das hier ist auf deutsch geschrieben"]),
    ("punctuation:no_comma", {}, ["a b"], ["a, b"]),
]  # fmt: skip


def of_authors(name: str, arguments: dict[str, object] | None) -> Sample:
    """Return a sample as IFEval's file has it; copies on the hub fill in the other arguments with null."""
    padded = None if arguments is None else {**arguments, "capital_words": None}
    return Sample(
        id="key-1", messages=(Message(role="user", content="Write."),),
        metadata={"instruction_id_list": [name], "kwargs": [padded]},
    )  # fmt: skip


def test_every_instruction_of_ifeval_has_a_case() -> None:
    assert sorted(INSTRUCTIONS) == sorted(case[0] for case in AUTHORS)
    assert len(INSTRUCTIONS) == 25


@pytest.mark.parametrize(("name", "arguments", "good", "bad"), AUTHORS, ids=[case[0] for case in AUTHORS])
def test_ifevals_own_names_and_arguments(name, arguments, good, bad) -> None:
    (constraint,) = read_constraints(of_authors(name, arguments))
    assert [text for text in good if not constraint.satisfied(text)] == []
    assert [text for text in bad if constraint.satisfied(text)] == []
    (same,) = read_constraints(sample({"type": name, "value": arguments}))
    assert same == constraint


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("detectable_format:titel", {}, "did you mean 'detectable_format:title'?"),
        ("punctuation:no_comma", {"a": 1}, "takes no arguments"),
        ("detectable_content:number_placeholders", None, "needs the arguments num_placeholders"),
        ("detectable_content:number_placeholders", {"num_placeholders": "3"}, "whole number of at least 1 as num_"),
        ("language:response_language", {"language": "klingon"}, "ISO 639-1"),
    ],
)
def test_what_ifevals_file_cannot_say(name, arguments, words) -> None:
    with pytest.raises(InputError) as caught:
        read_constraints(of_authors(name, arguments))
    assert words in str(caught.value)
    assert "'key-1'" in str(caught.value)


def test_arguments_belong_to_instructions() -> None:
    uneven = Sample(id="key-2", metadata={"instruction_id_list": ["punctuation:no_comma"], "kwargs": []})
    with pytest.raises(InputError, match="same length"):
        read_constraints(uneven)


def test_the_loose_score_forgives_what_stands_around_the_answer() -> None:
    strict, share, loose, level, level_loose = make(InstructionOptions(ifeval=True))
    given_two = sample({"type": "no_commas"}, {"type": "starts_with", "value": "Tea"}, {"type": "no_digits"})

    def row(metric, text: str) -> object:
        reply = Completion(text=text, prompt_tokens=1, completion_tokens=1, finish="stop")
        return metric.observe(given_two, (reply,), {}, ())

    text = "Sure, here it is:\n**Tea** is hot"
    assert (row(strict, text), row(share, text)) == ((0.0, 1.0), (1 / 3, 1.0))
    assert row(loose, text) == (1.0, 1.0)
    assert (row(level, text), row(level_loose, text)) == ((1.0, 3.0), (3.0, 3.0))
    assert row(loose, "Sure, here it is:\nCoffee 1") == (0.0, 1.0)
    assert row(loose, "") == (0.0, 1.0)
