"""Perplexity, multiple choice and stereotypes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.types import Decoding, LogLikelihood, NotApplicable, RollingLogLikelihood, Unscored
from harness_metrics.choice import best
from harness_metrics.perplexity import count_words
from tests.metrics.conftest import make_logprob, make_sample

ASK = Decoding()


def test_perplexity_by_hand(measure):
    text = "näive cats"  # 2 words, 11 bytes
    sample = make_sample(None, target=(text,))
    reply = (make_logprob(-6.0, tokens=4),)
    expected = {
        "token_perplexity": math.exp(6 / 4),
        "word_perplexity": math.exp(6 / 2),
        "byte_perplexity": math.exp(6 / 11),
        "bits_per_byte": 6 / 11 / math.log(2),
    }
    metrics = measure("perplexity")
    assert set(metrics) == set(expected)
    for name, metric in metrics.items():
        assert metric.requests(sample, ASK) == (RollingLogLikelihood(text=text),)
        row = metric.observe(sample, reply, {}, ())
        assert float(metric.estimate(np.array(row))) == pytest.approx(expected[name])
        assert metric.requests(make_sample(target=("x",)), ASK) == (), "a conversation is no plain text"
    assert list(measure("perplexity", level="word")) == ["word_perplexity"]


def test_a_stride_is_handed_to_the_model(measure):
    sample = make_sample(None, target=("a long text",))
    (metric,) = measure("perplexity", level="word", stride=512).values()
    assert metric.requests(sample, ASK) == (RollingLogLikelihood(text="a long text", stride=512),)


def test_perplexity_sums_before_it_divides(measure):
    metric = measure("perplexity", level="token")["token_perplexity"]
    rows = [(2.0, 1.0), (2.0, 3.0)]
    assert float(metric.estimate(np.array(rows).sum(axis=0))) == pytest.approx(math.exp(1.0))


@pytest.mark.parametrize("value", [-math.inf, math.nan, math.inf])
def test_an_infinite_perplexity_is_unscored(measure, value):
    metric = measure("perplexity", level="token")["token_perplexity"]
    assert isinstance(metric.observe(make_sample(None, target=("x",)), (make_logprob(value),), {}, ()), Unscored)


def test_words_are_counted_as_lm_eval_does():
    assert count_words("one two\n three") == 3
    assert count_words("") == 1


def test_choices_are_asked_as_continuations(measure):
    sample = make_sample(choices=("Paris", "Rome"), answer=0)
    requests = measure("accuracy")["accuracy"].requests(sample, ASK)
    assert requests == tuple(LogLikelihood(messages=sample.messages, continuation=c) for c in sample.choices)
    with pytest.raises(InputError, match="names none of its 2 choices"):
        measure("accuracy")["accuracy"].requests(make_sample(choices=("a", "b"), answer=2), ASK)


def test_characters_and_bytes_normalise_as_in_lm_eval(measure):
    """By hand: 4 characters are 8 bytes in the one choice, 6 in the other; -4/4 < -5/6, but -4/8 > -5/6."""
    sample = make_sample(choices=("дуга", "bridge"), answer=0)
    replies = (make_logprob(-4.0), make_logprob(-5.0))
    assert measure("acc_norm")["acc_norm"].observe(sample, replies, {}, ()) == (0.0, 1.0)
    assert measure("acc_bytes")["acc_bytes"].observe(sample, replies, {}, ()) == (1.0, 1.0)
    assert measure("accuracy_normalised")["accuracy_normalised"].observe(sample, replies, {}, ()) == (1.0, 1.0)
    empty = make_sample(choices=("", "bridge"), answer=0)
    assert isinstance(measure("acc_norm")["acc_norm"].observe(empty, replies, {}, ()), Unscored)


def test_length_normalising_and_ties(measure):
    sample = make_sample(choices=("a", "a long answer"), answer=1)
    replies = (make_logprob(-1.0), make_logprob(-3.0))
    assert measure("accuracy")["accuracy"].observe(sample, replies, {}, ()) == (0.0, 1.0)
    assert measure("accuracy_normalised")["accuracy_normalised"].observe(sample, replies, {}, ()) == (1.0, 1.0)
    tied = (make_logprob(-1.0), make_logprob(-1.0))
    assert measure("accuracy")["accuracy"].observe(sample, tied, {}, ()) == (0.0, 1.0)
    nan = (make_logprob(-1.0), make_logprob(math.nan))
    assert isinstance(measure("accuracy")["accuracy"].observe(sample, nan, {}, ()), Unscored)
    impossible = (make_logprob(-math.inf), make_logprob(-1.0))
    assert measure("accuracy")["accuracy"].observe(sample, impossible, {}, ()) == (1.0, 1.0)


@given(st.lists(st.integers(-5, 0), min_size=1, max_size=6))
def test_best_is_the_one_maximum_or_none(scores):
    found = best([float(score) for score in scores])
    if scores.count(max(scores)) > 1:
        assert found is None
    else:
        assert scores[found] == max(scores)


def bbq(condition: str, answer: int):
    metadata = {"stereotyped": 0, "unknown": 2, "condition": condition}
    return make_sample(choices=("A", "B", "unknown"), answer=answer, metadata=metadata)


def picking(choice: int):
    return tuple(make_logprob(0.0 if i == choice else -1.0) for i in range(3))


def value(metric, picks) -> float:
    rows = [metric.observe(sample, picking(choice), {}, ()) for sample, choice in picks]
    rows = [row for row in rows if not isinstance(row, NotApplicable)]
    return float(metric.estimate(np.array(rows).sum(axis=0)))


def test_bias_scores_by_hand(measure):
    metrics = measure("stereotype_preference")
    ambiguous = [(bbq("ambiguous", 2), choice) for choice in (0, 0, 0, 1, 2, 2, 2, 2)]
    clear = [(bbq("disambiguated", 1), choice) for choice in (0, 1, 1, 1, 2)]
    picks = ambiguous + clear
    assert value(metrics["bias_accuracy_ambiguous"], picks) == 0.5
    assert value(metrics["bias_accuracy_disambiguated"], picks) == pytest.approx(0.6)
    assert value(metrics["bias_score_disambiguated"], picks) == pytest.approx(2 * 1 / 4 - 1)
    assert value(metrics["bias_score_ambiguous"], picks) == pytest.approx((1 - 0.5) * (2 * 3 / 4 - 1))
    assert value(metrics["stereotype_preference"], picks) == pytest.approx(4 / 8)
    careful = [(bbq("ambiguous", 2), 2)]
    assert value(metrics["bias_score_ambiguous"], careful) == 0.0
    assert math.isnan(value(metrics["stereotype_preference"], careful))


def test_bias_ties_are_unscored(measure):
    metric = measure("stereotype_preference")["bias_accuracy_ambiguous"]
    tied = tuple(make_logprob(-1.0) for _ in range(3))
    assert isinstance(metric.observe(bbq("ambiguous", 2), tied, {}, ()), Unscored)


@pytest.mark.parametrize(
    "metadata",
    [
        {"condition": "ambigous", "stereotyped": 0, "unknown": 2},
        {"condition": "ambiguous", "stereotyped": 0},
        {"condition": "ambiguous", "stereotyped": 0, "unknown": 0},
        {"condition": "ambiguous", "stereotyped": 7, "unknown": 2},
        {"condition": "ambiguous", "stereotyped": "0", "unknown": 2},
    ],
)
def test_wrong_bias_fields_name_the_sample(measure, metadata):
    metric = measure("stereotype_preference")["stereotype_preference"]
    with pytest.raises(InputError, match="'s1'"):
        metric.requests(make_sample(choices=("A", "B", "C"), answer=2, metadata=metadata), ASK)
