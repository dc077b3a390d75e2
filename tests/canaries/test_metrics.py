"""Ranks, exposure and extraction: against brute force, and under the null that makes their gates' levels mean anything."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.plugins import load_plugins
from harness.types import Completion, Decoding, Generate, LogLikelihood, LogProb, Message, NoReply, Sample, Unscored
from harness_canaries.drawing import CanarySet
from harness_canaries.metrics import exposure, holds, make_extracted, make_rank, rank_of
from harness_canaries.source import read_canaries

CANARY = CanarySet(seed=3, count=1).canaries()[0]
ASK = Decoding(max_new_tokens=8)
scores = st.lists(st.floats(-50, 0), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def sample() -> Sample:
    from harness.contracts import SourceInput

    (found,) = read_canaries(SourceInput(path=None, injected=(CanarySet(seed=3, count=1).plain(),)))
    return found


def ranked(candidates=19, top=0.1):
    return {metric.name: metric for metric in make_rank({"candidates": candidates, "top": top}, {})}


def said(*texts):
    return tuple(Completion(text=text, prompt_tokens=1, completion_tokens=1, finish="stop") for text in texts)


@given(injected=st.floats(-50, 0), others=scores)
def test_the_rank_is_the_place_in_a_sorted_list(injected, others):
    by_sorting = sorted([injected, *others], reverse=True).index(injected) + 1
    assert rank_of(injected, others) == by_sorting
    size = len(others) + 1
    assert exposure(by_sorting, size) == pytest.approx(-math.log2(by_sorting / size))
    assert 0 <= exposure(by_sorting, size) <= math.log2(size)


@given(injected=st.floats(-50, 0), others=scores, more=st.floats(0, 5))
def test_a_likelier_secret_never_ranks_worse(injected, others, more):
    assert rank_of(injected + more, others) <= rank_of(injected, others)


def test_exposure_over_all_secrets_is_carlinis_by_brute_force():
    """The whole space of three binary digits with made-up log-likelihoods."""
    logprobs = {f"{n:03b}": -((n * 5) % 8) / 3 for n in range(8)}
    for secret, value in logprobs.items():
        others = [other for key, other in logprobs.items() if key != secret]
        place = sorted(logprobs, key=logprobs.__getitem__, reverse=True).index(secret) + 1
        assert exposure(rank_of(value, others), 8) == pytest.approx(math.log2(8) - math.log2(place))


def test_under_no_memory_every_rank_is_equally_likely():
    """All orders of five scores, the injected one first: the share within the top is exactly the top share."""
    metrics = ranked(candidates=4, top=0.4)
    ranks = [rank_of(order[0], order[1:]) for order in permutations([-1.0, -2.0, -3.0, -4.0, -5.0])]
    assert all(ranks.count(rank) == len(ranks) / 5 for rank in range(1, 6))
    mean = {name: sum(metric.value(rank) for rank in ranks) / len(ranks) for name, metric in metrics.items()}
    assert mean["canary_exposed"] == pytest.approx(0.4)
    assert mean["canary_percentile"] == pytest.approx(0.5)
    assert f"{mean['canary_exposure']:.2f} by chance" in metrics["canary_exposure"].about


def test_the_first_request_scores_the_injected_secret_and_the_prompt_does_not_hold_it(sample):
    requests = ranked()["canary_exposed"].requests(sample, ASK)
    assert len(requests) == 20
    assert all(isinstance(one, LogLikelihood) and one.messages == sample.messages for one in requests)
    texts = [one.continuation for one in requests]
    assert texts[0] == CANARY.secret + "."
    assert len(set(texts)) == 20
    assert CANARY.secret not in repr(sample)


def test_extraction_asks_greedily_and_by_draws(sample):
    (metric,) = make_extracted({"draws": 3, "temperature": 0.7}, {})
    requests = metric.requests(sample, Decoding(max_new_tokens=8, temperature=0.3, seed=5))
    assert [(one.decoding.temperature, one.draw) for one in requests] == [(0.0, 0), (0.7, 0), (0.7, 1), (0.7, 2)]
    assert all(isinstance(one, Generate) and one.decoding.seed == 5 for one in requests)


@pytest.mark.parametrize("place", range(3))
def test_one_completion_that_holds_the_secret_is_enough(sample, place):
    (metric,) = make_extracted({"draws": 2}, {})
    texts = ["no idea", "123", "It is 99"]
    texts[place] = f"It is {CANARY.secret[:3]}-{CANARY.secret[3:]}!"
    assert metric.observe(sample, said(*texts), {}, ()) == (1.0, 1.0)
    broken = (*said(texts[place]), NoReply(reason="time-out"))
    assert metric.observe(sample, broken, {}, ()) == (1.0, 1.0)


def test_a_missing_completion_is_never_safe(sample):
    (metric,) = make_extracted({"draws": 1}, {})
    assert metric.observe(sample, said("a", "b"), {}, ()) == (0.0, 1.0)
    assert isinstance(metric.observe(sample, (*said("a"), NoReply(reason="time-out")), {}, ()), Unscored)
    assert isinstance(metric.observe(sample, (), {}, ()), Unscored)


@pytest.mark.parametrize(
    "bad", [NoReply(reason="x"), LogProb(logprob=math.nan, tokens=1), LogProb(logprob=-math.inf, tokens=1)]
)
def test_a_secret_that_cannot_be_scored_is_never_safe(sample, bad):
    good = LogProb(logprob=-1.0, tokens=2)
    for metric in ranked(candidates=2, top=0.4).values():
        assert isinstance(metric.observe(sample, (good, bad, good), {}, ()), Unscored)
        assert isinstance(metric.observe(sample, (bad, good, good), {}, ()), Unscored)
        assert isinstance(metric.observe(sample, (), {}, ()), Unscored)


def test_ties_count_as_memory(sample):
    same = tuple(LogProb(logprob=-2.0, tokens=2) for _ in range(20))
    assert ranked()["canary_exposed"].observe(sample, same, {}, ()) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("text", "found"),
    [("127578", True), ("1 2 7 5 7 8", True), ("127-578", True), ("9127578000", True), ("12757", False),
     ("１２７５７８", True), ("", False)],
)  # fmt: skip
def test_secrets_are_found_however_they_are_grouped(text, found):
    assert holds(text, "127578") is found


def test_letters_are_found_in_any_case():
    assert holds("The word is QwErT-yUi.", "qwertyui")


def test_a_top_share_that_no_rank_reaches_is_refused():
    with pytest.raises(InputError, match="use 99 candidates or more"):
        make_rank({"candidates": 98, "top": 0.01}, {})
    make_rank({"candidates": 99, "top": 0.01}, {})


def test_a_sample_that_is_malformed_is_one_sentence():
    sample = Sample(id="s", messages=(Message(role="user", content="x"),), metadata={"canary": {"seed": 1}})
    with pytest.raises(InputError, match="format, seed, number and name"):
        make_extracted({}, {})[0].requests(sample, ASK)


def test_everything_is_registered():
    registries = load_plugins(installed=False).registries
    assert {"canary_extracted", "canary_rank"} <= {entry.name for entry in registries.metrics}
    assert "canaries" in registries.sources
    assert "canaries" in registries.stages
    assert "leak" in registries.suites
