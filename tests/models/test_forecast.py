"""What is forecast is what is done: the same passes and tokens; and a calibration that is measured once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.types import Completion, Decoding, Generate, LogLikelihood, RollingLogLikelihood
from harness_models.hf import calibration
from harness_models.hf.batching import Budget
from harness_models.hf.generating import generating, spread
from harness_models.hf.rows import Ask
from harness_models.hf.work import Counts, scoring
from tests.models.conftest import ask, greedy, make, user
from tests.shapes import PLAIN, save_shape

FEW = "one two three four five six seven eight nine ten and then it sleeps in the warm sun . "
QUESTIONS = [
    user(FEW * (1 + n % 2) + f"what is {name} ?") for n, name in enumerate(["France", "Paris", "seven", "sun", "day"])
]
SCORED = [
    *(
        LogLikelihood(messages=question, continuation=text)
        for question in QUESTIONS
        for text in ("Yes", "No thank you")
    ),
    RollingLogLikelihood(text=FEW * 8),
]


class Counter:
    """Counts what goes through a loaded model."""

    def __init__(self, loaded, monkeypatch):
        self.passes = self.tokens = 0
        original = loaded.hidden

        def hidden(ids, **given):
            self.passes += 1
            self.tokens += ids.numel()
            return original(ids, **given)

        monkeypatch.setattr(loaded, "hidden", hidden)


@pytest.mark.parametrize("pack", [32, 384])
def test_scoring_is_forecast_to_the_token(tiny_base, surroundings, monkeypatch, pack):
    model, candidate = make(tiny_base, surroundings)
    loaded = model._ready(candidate)
    budget = Budget(tokens=256, rows=8, pack=pack)
    from harness_models.hf.chat import Renderer
    from harness_models.hf.encoding import continuations, texts

    renderer = Renderer(loaded.tokenizer, "auto")
    works = [
        scoring(rows, budget, shares=True, window=loaded.window)
        for rows in (continuations(loaded, renderer, SCORED, print)[0], texts(loaded, SCORED, print)[0])
    ]
    model._budget = budget
    counter = Counter(loaded, monkeypatch)
    ask(model, candidate, SCORED)
    assert counter.passes == sum(work.counts.passes for work in works)
    assert counter.tokens == sum(work.counts.tokens for work in works)
    assert sum(work.distinct for work in works) <= counter.tokens


@pytest.mark.parametrize("slots", [2, 16])
def test_generation_is_forecast_step_by_step_where_lengths_are_known(tiny_base, surroundings, monkeypatch, slots):
    model, candidate = make(tiny_base, surroundings)
    requests = [Generate(messages=q, decoding=greedy(4 + 5 * n)) for n, q in enumerate(QUESTIONS)]
    ask(model, candidate, requests)  # finds out how this base generates
    loaded = model._loaded
    budget = Budget(tokens=2_048, rows=slots)
    model._budget = budget
    counter = Counter(loaded, monkeypatch)
    replies = ask(model, candidate, requests)
    from harness_models.hf.chat import Renderer
    from harness_models.hf.encoding import asks

    prompts, _ = asks(loaded, Renderer(loaded.tokenizer, "auto"), requests, print)
    lengths = [reply.completion_tokens for reply in replies if isinstance(reply, Completion)]
    budget = Budget(tokens=2_048, rows=slots)
    counts = generating(prompts, lengths, budget, path=loaded.generates, device="cpu").counts
    assert loaded.generates == "slots"
    assert counter.passes == counts.passes + counts.steps
    assert counter.tokens == counts.tokens + counts.rows


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 30)), min_size=1, max_size=30), st.integers(1, 8))
def test_every_row_gets_its_tokens_however_few_slots_there_are(rows, slots):
    asks = [Ask(prompt=tuple(range(1, 1 + prompt)), decoding=Decoding(), room=room) for prompt, room in rows]
    lengths = spread(asks, None)
    assert all(1 <= length <= ask.room for length, ask in zip(lengths, asks, strict=True))
    for path in ("slots", "padded", "plain"):
        work = generating(asks, lengths, Budget(tokens=512, rows=slots), path=path, device="cpu")
        given = work.counts.rows + (work.counts.states if path == "slots" else 0)
        assert given == sum(lengths)
        assert work.counts.states == len(asks)
        assert work.counts.steps >= max(lengths) - 1


def test_lengths_lie_evenly_about_their_mean():
    asks = [Ask(prompt=(1,), decoding=Decoding(), room=200)] * 400
    lengths = spread(asks, 30.0)
    assert sum(lengths) / 400 == pytest.approx(30.0, rel=0.02)
    assert max(lengths) <= 60


def test_a_calibration_is_measured_once_and_kept(tiny_base, surroundings):
    model, candidate = make(tiny_base, surroundings)
    first = model.forecast(candidate, SCORED)
    assert model._loaded is not None
    assert first.seconds_expected > 0
    assert first.tokens > 0
    assert first.memory > 1e6
    (kept,) = (surroundings.weights / ".calibrations").iterdir()
    again, candidate = make(tiny_base, surroundings)
    second = again.forecast(candidate, SCORED)
    assert again._loaded is None  # a forecast from what is kept loads no weights
    assert (second.tokens, second.start_seconds) == (first.tokens, first.start_seconds)
    kept.write_text("{")
    third, candidate = make(tiny_base, surroundings)
    assert third.forecast(candidate, SCORED).tokens == first.tokens
    assert third._loaded is not None


def test_another_number_format_or_adapter_is_another_calibration(tiny_base, tiny_adapter, surroundings):
    from dataclasses import replace

    from tests.models.conftest import adapter_of

    model, bare = make(tiny_base, surroundings)
    coarse, other = make(tiny_base, surroundings, dtype="bfloat16")
    adapted = replace(bare, adapters=(adapter_of(tiny_adapter),))
    keys = {
        calibration.key_of(one.fingerprint(candidate), candidate)
        for one, candidate in ((model, bare), (coarse, other), (model, adapted))
    }
    assert len(keys) == 3


def test_replies_are_expected_to_be_like_earlier_ones_and_at_most_as_long_as_they_may(tiny_base, surroundings):
    model, candidate = make(tiny_base, surroundings)
    requests = [Generate(messages=question, decoding=greedy(40)) for question in QUESTIONS]
    half, short = model.forecast(candidate, requests), model.forecast(candidate, requests, completion=4.0)
    assert half.generate_most == short.generate_most == 40 * len(requests)
    assert short.generate_expected < half.generate_expected < half.generate_most
    assert short.seconds_expected <= half.seconds_expected <= half.seconds_most
    assert short.basis == "replies of 4 tokens"


def test_a_base_that_cannot_share_is_forecast_as_it_runs(surroundings, tmp_path):
    name = next(iter(PLAIN))
    model, candidate = make(save_shape(tmp_path / name, name), surroundings)
    work = model.forecast(candidate, SCORED)
    sharing, other = make(save_shape(tmp_path / "llama", "llama"), surroundings)
    assert work.tokens > sharing.forecast(other, SCORED).tokens


def test_prices_explain_times_that_they_made():
    true = (0.01, 1e-3, 0.0, 1e-6, 2e-3, 0.02, 1e-3, 0.0)
    work = [
        Counts(passes=p, tokens=t, pairs=t * 9, masked=m, states=s, steps=g, rows=g * r, columns=g * r * 7)
        for p, t, m, s, g, r in [
            (1, 100, 0, 5, 0, 0), (2, 900, 5e5, 40, 0, 0), (3, 300, 0, 300, 0, 0), (1, 50, 2e4, 2, 0, 0),
            (1, 10, 0, 1, 8, 1), (1, 40, 0, 4, 8, 4), (2, 160, 0, 16, 20, 16), (1, 700, 1e6, 9, 0, 0),
        ]
    ]  # fmt: skip
    measured = [(one, sum(a * b for a, b in zip(true, one.vector, strict=True))) for one in work]
    prices = calibration._fit(measured)
    assert all(price >= 0 for price in prices)
    for one, seconds in measured:
        assert sum(a * b for a, b in zip(prices, one.vector, strict=True)) == pytest.approx(seconds, rel=0.01)
