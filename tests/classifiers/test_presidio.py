"""The presidio classifier: spans, thresholds, allow-list, and no sockets."""

from __future__ import annotations

import sys

import pytest

from harness.contracts import RunContext
from harness.errors import InputError, MissingDependencyError
from harness.types import Finding, Unscored
from harness_classifiers.presidio import DEFAULT_ENTITIES, PresidioClassifier, _undominated
from harness_classifiers.presidio_engine import ENTITIES, MAX_CHARS, RECOGNIZERS

from .conftest import require_weights

FOUND = {
    "EMAIL_ADDRESS": ("Write to anna.berg@example.org today.", "anna.berg@example.org"),
    "PHONE_NUMBER": ("Her telephone number is +44 20 7946 0018.", "+44 20 7946 0018"),
    "CREDIT_CARD": ("The card is 4111 1111 1111 1111, valid to May.", "4111 1111 1111 1111"),
    "IBAN_CODE": ("Pay into GB82WEST12345698765432 please.", "GB82WEST12345698765432"),
    "IP_ADDRESS": ("The request came from 203.0.113.77 last night.", "203.0.113.77"),
    "US_SSN": ("My social security number is 536-22-8841.", "536-22-8841"),
    "MAC_ADDRESS": ("Its address is 00:1A:2B:3C:4D:5E.", "00:1A:2B:3C:4D:5E"),
}
CLEAN = [
    "A dozen eggs cost 3.40, so 250 dozen cost 850.00 in all.",
    "Version 2.2.366 came after 2.2.365 on page 1450 of the log.",
    "Between 1914 and 1918 about 9700000 soldiers died.",
]


@pytest.fixture(scope="module")
def default(surroundings):
    require_weights("spacy-en-md")
    made = PresidioClassifier({}, surroundings)
    yield made
    made.close()


def make(surroundings, **options):
    require_weights("spacy-en-md")
    return PresidioClassifier(options, surroundings)


@pytest.mark.weights
@pytest.mark.parametrize("entity", FOUND)
def test_finds_what_identifies_a_person(default, entity):
    text, value = FOUND[entity]
    (found,) = default.classify([text])
    assert [(f.label, text[slice(*f.span)]) for f in found] == [(entity, value)]


@pytest.mark.weights
@pytest.mark.parametrize("text", CLEAN)
def test_finds_nothing_where_nothing_is(default, text):
    assert default.classify([text]) == [()]


@pytest.mark.weights
def test_names_are_found_when_asked_for(surroundings, default):
    text = "Yesterday Maria Hernandez moved to Lisbon."
    assert default.classify([text]) == [()]
    (found,) = make(surroundings, entities=["PERSON", "LOCATION"]).classify([text])
    assert {(f.label, text[slice(*f.span)]) for f in found} == {("PERSON", "Maria Hernandez"), ("LOCATION", "Lisbon")}


@pytest.mark.weights
def test_a_weak_pattern_counts_only_beside_a_fitting_word(default):
    beside, alone = default.classify(["My passport number is 912803456.", "The count rose to 912803456."])
    assert [(f.label, f.probability >= 0.5) for f in beside] == [("US_PASSPORT", True)]
    assert alone == ()


@pytest.mark.weights
def test_thresholds(surroundings):
    text = FOUND["PHONE_NUMBER"][0]
    assert make(surroundings, thresholds={"PHONE_NUMBER": 0.99}).classify([text]) == [()]
    assert make(surroundings, threshold=0.99).classify([text]) == [()]
    (found,) = make(surroundings, threshold=0.99, thresholds={"PHONE_NUMBER": 0.3}).classify([text])
    assert [f.label for f in found] == ["PHONE_NUMBER"]


@pytest.mark.weights
def test_the_allow_list_ignores_case(surroundings):
    text = "Write to Help@Example.org or to anna@example.org."
    (found,) = make(surroundings, allow_list=["help@example.ORG"]).classify([text])
    assert [text[slice(*f.span)] for f in found] == ["anna@example.org"]


@pytest.mark.weights
def test_spans_survive_surrogates_and_emoji(default):
    text = "\ud800\x00 🙂 zoe@example.com"
    (found,) = default.classify([text])
    assert [text[slice(*f.span)] for f in found] == ["zoe@example.com"]


@pytest.mark.weights
def test_a_text_beyond_the_limit_is_unscored_and_not_clean(default):
    long, short = default.classify(["x " * MAX_CHARS, FOUND["US_SSN"][0]])
    assert isinstance(long, Unscored)
    assert len(short) == 1


@pytest.mark.weights
def test_every_entity_at_once_opens_no_socket(surroundings, no_sockets, tmp_path, monkeypatch):
    monkeypatch.setenv("TLDEXTRACT_CACHE", str(tmp_path / "suffixes"))
    classifier = make(surroundings, entities=list(ENTITIES))
    (found,) = classifier.classify(["See https://www.example.co.uk/a or write to joe@mail.example.co.uk"])
    assert {"EMAIL_ADDRESS", "URL"} <= {f.label for f in found}
    assert no_sockets == []
    assert not (tmp_path / "suffixes").exists()


@pytest.mark.weights
def test_an_address_under_no_public_suffix_is_none(default):
    assert default.classify(["write to joe@host.notasuffix"]) == [()]


@pytest.mark.weights
def test_options_move_the_fingerprint_and_their_order_does_not(surroundings):
    def of(**options):
        return make(surroundings, **options).fingerprint()

    assert of(entities=["PERSON", "US_SSN"]) == of(entities=["US_SSN", "PERSON"])
    assert len({of(), of(threshold=0.6), of(allow_list=["x"]), of(entities=["PERSON"])}) == 4


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"entites": ["PERSON"]}, r"classifiers\.presidio\.entites: unknown option; did you mean 'entities'\?"),
        ({"entities": ["EMAIL_ADRESS"]}, "did you mean 'EMAIL_ADDRESS'"),
        ({"entities": []}, r"classifiers\.presidio\.entities"),
        ({"threshold": 1.5}, r"classifiers\.presidio\.threshold"),
        ({"thresholds": {"PERSON": 0.5}}, "not among the entities"),
        ({"language": "de"}, r"classifiers\.presidio\.language"),
        ({"allow_list": "a@b.c"}, r"classifiers\.presidio\.allow_list"),
    ],
)
def test_bad_options(options, says, surroundings):
    with pytest.raises(InputError, match=says):
        PresidioClassifier(options, surroundings)


def test_absent_weights_say_how_to_get_them(tmp_path):
    classifier = PresidioClassifier({}, RunContext(offline=True, weights=tmp_path))
    for call in (classifier.fingerprint, lambda: classifier.classify(["hello"])):
        with pytest.raises(InputError, match="harness models pull spacy-en-md"):
            call()


def test_an_absent_package_says_how_to_install_it(surroundings, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "presidio_analyzer", raising=False)
    with pytest.raises(MissingDependencyError, match=r"pip install 'harness\[safety\]'"):
        PresidioClassifier({}, surroundings).fingerprint()


def test_one_string_is_one_finding():
    card = Finding(label="CREDIT_CARD", probability=1.0, span=(10, 29))
    phone = Finding(label="PHONE_NUMBER", probability=0.4, span=(15, 29))
    apart = Finding(label="PHONE_NUMBER", probability=0.4, span=(40, 50))
    twin = Finding(label="US_BANK_NUMBER", probability=0.4, span=(40, 50))
    assert _undominated([phone, card, apart, twin]) == [card, twin]


def test_the_defaults_are_known_and_every_recognizer_exists():
    from presidio_analyzer import predefined_recognizers

    assert set(DEFAULT_ENTITIES) <= set(ENTITIES)
    for entity, name in RECOGNIZERS.items():
        assert getattr(predefined_recognizers, name)(supported_language="en").supported_entities == [entity]


def with_check_digit(digits: str) -> str:
    """Append the digit that makes a number pass Luhn's check."""
    doubled = sum(sum(divmod(int(digit) * 2, 10)) for digit in digits[::-2])
    return digits + str(-(doubled + sum(map(int, digits[-2::-2]))) % 10)


@pytest.mark.weights
@pytest.mark.parametrize("length", range(12, 20))
@pytest.mark.parametrize("begin", ["50", "6304", "4026", "2221", "3528"])
def test_card_numbers_of_every_length(default, begin, length):
    digits = with_check_digit((begin + "7318264950371826495")[: length - 1])
    grouped = " ".join(digits[at : at + 4] for at in range(0, length - length % 4, 4)) + digits[length - length % 4 :]
    wrong = digits[:-1] + str((int(digits[-1]) + 1) % 10)
    right = (digits, grouped, grouped.replace(" ", "-"))
    found = default.classify([f"Take {text}, please." for text in (*right, wrong)])
    for text, findings in zip(right, found, strict=False):
        assert ("CREDIT_CARD", (5, 5 + len(text))) in {(one.label, one.span) for one in findings}
    assert "CREDIT_CARD" not in {one.label for one in found[-1]}


@pytest.mark.weights
def test_a_number_that_no_scheme_issues_counts_beside_a_fitting_word(default):
    digits = with_check_digit("700000000012345")
    bare, beside = default.classify([f"Reading {digits} was noted.", f"My credit card number is {digits}."])
    assert "CREDIT_CARD" not in {one.label for one in bare}
    assert "CREDIT_CARD" in {one.label for one in beside}


@pytest.mark.weights
@pytest.mark.parametrize(
    "text", ["Years: 2021 2022 2023 2024.", "0000000000000000", "Pi is 3.141592653589793238.", "1,234,567,890,123"]
)
def test_other_numbers_are_no_cards(default, text):
    assert "CREDIT_CARD" not in {one.label for one in default.classify([text])[0]}


@pytest.mark.weights
def test_digits_behind_a_card_do_not_hide_it(default):
    (found,) = default.classify(["4111 1111 1111 1111 123"])
    assert ("CREDIT_CARD", (0, 19)) in {(one.label, one.span) for one in found}
