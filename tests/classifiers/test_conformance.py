"""What every registered classifier must do, whoever wrote it."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from harness.errors import InputError
from harness.plugins import load_plugins
from harness.types import Finding, Unscored

CLASSIFIERS = load_plugins(installed=False).registries.classifiers
NAMES = [
    pytest.param(entry.name, marks=[] if entry.name in ("detoxify", "words-harm") else pytest.mark.weights)
    for entry in CLASSIFIERS
]
PLAIN = [
    "Good morning, the library opens at nine.",
    "You are a worthless idiot and everybody hates you.",
    "Write to anna.berg@example.org or call +1 212-555-0187.",
    "My card is 4111 1111 1111 1111 and I live in Lisbon.",
    "Thanks, that was kind.",
    "A much longer sentence about the weather in the mountains, where it rained for most of the week. " * 4,
]
WEIRD = {
    "empty": "",
    "white space": " \n\t ",
    "ten thousand characters": "The quick brown fox met joe@example.com. " * 250,
    "one word of ten thousand characters": "x" * 10_000,
    "ten thousand digits": "1234567890" * 1000,
    "control characters": "bell \x07 null \x00 escape \x1b[31m red",
    "emoji": "👩‍👩‍👧‍👦 mail me 🙂 at zoë@example.com 🎉🎉",
    "lone surrogates": "\ud800 hello \udfff anna@example.org",
    "right to left": "\u202eشكرا جزيلا לך anna@example.org",
    "combining marks": "z̸̢̛a̷l̶g̵o̴ " * 50,
    "not English": "これは日本語の文章です。ありがとう。",
}


@pytest.fixture(params=NAMES, scope="module")
def classifier(request, options_of, surroundings):
    made = CLASSIFIERS.get(request.param)(options_of(request.param), surroundings)
    yield made
    made.close()


def same(one, other):
    assert type(one) is type(other)
    if isinstance(one, Unscored):
        return
    assert [(f.label, f.span) for f in one] == [(f.label, f.span) for f in other]
    assert [f.probability for f in one] == pytest.approx([f.probability for f in other], abs=1e-4)


def test_the_bundled_ones_are_registered():
    assert {entry.name for entry in CLASSIFIERS} >= {
        "detoxify",
        "presidio",
        "minilm-toxicity",
        "toxicity-smollm2",
        "words-harm",
    }
    assert all(entry.about for entry in CLASSIFIERS)


def test_no_texts_give_no_findings(classifier):
    assert list(classifier.classify([])) == []


def test_a_batch_gives_what_each_text_gives_alone_in_the_same_order(classifier):
    together = classifier.classify(PLAIN)
    assert len(together) == len(PLAIN)
    for text, found in zip(PLAIN, together, strict=True):
        same(classifier.classify([text])[0], found)
    for found, again in zip(together, reversed(classifier.classify(PLAIN[::-1])), strict=True):
        same(found, again)


def test_it_tells_texts_apart(classifier):
    assert len({repr(found) for found in classifier.classify(PLAIN)}) > 1


def test_the_same_text_gives_the_same_findings(classifier):
    assert classifier.classify(PLAIN) == classifier.classify(PLAIN)


@pytest.mark.parametrize("kind", WEIRD)
def test_no_text_breaks_it(classifier, kind):
    text = WEIRD[kind]
    (found,) = classifier.classify([text])
    assert isinstance(found, Unscored | tuple)
    for finding in found if isinstance(found, tuple) else ():
        assert isinstance(finding, Finding)
        assert 0.0 <= finding.probability <= 1.0
        if finding.span is not None:
            start, end = finding.span
            assert 0 <= start < end <= len(text)


def test_findings_are_well_formed(classifier):
    for text, found in zip(PLAIN, classifier.classify(PLAIN), strict=True):
        assert isinstance(found, tuple)
        for finding in found:
            assert not classifier.labels or finding.label in classifier.labels
            assert isinstance(finding.probability, float)
            assert not math.isnan(finding.probability)
            assert finding.span is None or text[slice(*finding.span)].strip()


def test_every_label_of_a_whole_text_is_given_each_time(classifier):
    given = {tuple(f.label for f in found if f.span is None) for found in classifier.classify(PLAIN)}
    assert len(given) == 1


def test_the_fingerprint_is_stable_and_needs_nothing_loaded(classifier):
    fresh = type(classifier)(classifier.options, classifier.context)
    assert fresh.fingerprint() == classifier.fingerprint()
    assert len(fresh.fingerprint()) == 64


def test_it_works_again_after_close(options_of, surroundings, classifier):
    before = classifier.classify(PLAIN[:2])
    classifier.close()
    assert classifier.classify(PLAIN[:2]) == before


def test_an_unknown_option_is_refused_with_the_key(classifier):
    with pytest.raises(InputError, match="devicee: unknown option"):
        type(classifier)({"devicee": "cpu"}, classifier.context)


def test_no_socket_is_opened(classifier, no_sockets):
    classifier.close()
    classifier.fingerprint()
    classifier.classify(PLAIN)
    assert no_sockets == []


def test_registering_imports_nothing_heavy():
    code = (
        "import sys; from harness.plugins import load_plugins; load_plugins(installed=False);"
        "print([m for m in ('torch', 'transformers', 'spacy', 'presidio_analyzer', 'detoxify') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
