"""Diversity, repetition, length, and what a run cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.types import Completion, Decoding, NoReply, RunFacts, Timing, Unscored
from harness_metrics.diversity import DistinctN
from tests.metrics.conftest import make_completion, make_sample

REPLIES = st.lists(st.lists(st.sampled_from("abcd"), max_size=8).map(" ".join), min_size=1, max_size=6)


@given(REPLIES, st.integers(1, 3), st.data())
def test_distinct_n_equals_counting_by_hand(texts, n, data):
    records = [(make_sample(), (make_completion(text),)) for text in texts]
    picks = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1, max_size=8))
    grams = [tuple(t[i : i + n]) for p in picks for t in [texts[p].split()] for i in range(len(t) - n + 1)]
    value = DistinctN(n, "d").resample(records, np.array(picks))
    if grams:
        assert value == pytest.approx(len(set(grams)) / len(grams))
    else:
        assert np.isnan(value)


def test_distinct_n_leaves_missing_replies_out():
    metric = DistinctN(1, "d")
    records = [(make_sample(), (make_completion("a b"),)), (make_sample(), (NoReply(reason="x"),))]
    assert metric.resample(records, np.array([0, 1])) == 1.0
    other = [(make_sample(), (make_completion("a a"),))]
    assert metric.resample(other, np.array([0])) == 0.5, "another list of records is counted anew"


def test_repetition_and_length(measure):
    text = "to be or not to be or not"
    repetition = measure("repetition")["repetition"]
    assert repetition.observe(make_sample(), (make_completion(text),), {}, ()) == (pytest.approx(1 / 5), 1.0)
    lengths = measure("length")
    assert lengths["length_words"].observe(make_sample(), (make_completion(text),), {}, ()) == (8.0, 1.0)
    assert lengths["length_characters"].observe(make_sample(), (make_completion(text),), {}, ()) == (25.0, 1.0)
    uncounted = (make_completion(text, tokens=None),)
    assert isinstance(lengths["length_tokens"].observe(make_sample(), uncounted, {}, ()), Unscored)


def facts(*timings: tuple[float | None, float, int | None]) -> RunFacts:
    pairs = tuple(
        (
            Completion(text="x", prompt_tokens=1, completion_tokens=tokens, finish="stop"),
            Timing(total=total, first_token=first),
        )
        for first, total, tokens in timings
    )
    return RunFacts(timings=pairs, peak_memory=3 << 20, generated_tokens=120, seconds=4.0)


def test_speed_by_hand(measure):
    run = facts((0.1, 1.0, 50), (0.3, 2.0, 100), (0.2, 9.0, 0), (None, 4.0, 100))
    latency = measure("latency")
    assert latency["first_token_p50"].measure(run) == pytest.approx(0.2)
    assert latency["first_token_p95"].measure(run) == pytest.approx(0.29)
    assert latency["per_100_tokens_p50"].measure(run) == pytest.approx(2.0), "a reply of no tokens has no such time"
    assert measure("throughput")["throughput"].measure(run) == 30.0
    assert measure("peak_memory")["peak_memory"].measure(run) == 3.0
    assert isinstance(latency["first_token_p50"].measure(facts((None, 1.0, 5))), Unscored)


def test_timed_requests_are_the_first_that_ask_for_text(measure):
    samples = [make_sample(None, id="plain", target=("x",)), *(make_sample(f"q{i}", id=str(i)) for i in range(9))]
    metric = measure("latency", samples=3)["first_token_p50"]
    requests = metric.timed_requests(samples, Decoding())
    assert [request.messages[0].content for request in requests] == ["q0", "q1", "q2"]
    assert len(measure("throughput")["throughput"].timed_requests(samples, Decoding())) == 8
