"""The script that trains minilm-toxicity: the same seed gives the same head, and no test row reaches training."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="module")
def script():
    folder = str(ROOT / "benchmarks")
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location("train_minilm_toxicity", f"{folder}/train_minilm_toxicity.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(folder)
        sys.modules.pop("toxicity_data", None)


@pytest.fixture(scope="module")
def separable():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 900)
    vectors = rng.normal(size=(900, 24)).astype(np.float32)
    vectors[:, 0] += 3.0 * labels
    return vectors, labels


def test_the_seed_decides_the_head(script, separable):
    one, again, other = (script.train(*separable, seed) for seed in (0, 0, 1))
    assert np.array_equal(one.hidden, again.hidden)
    assert one.out_bias == again.out_bias
    assert not np.array_equal(one.hidden, other.hidden)


def test_it_learns_and_platt_makes_its_probabilities_true(script, separable):
    vectors, labels = separable
    head = script.train(vectors, labels, 0)
    odds = script.log_odds(head, vectors)
    assert script.auc(odds, labels) > 0.95
    chance = script.calibrated(head, odds, labels, "ab").probabilities(vectors)
    weight = np.where(labels == 1, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))
    assert np.average(chance, weights=weight) == pytest.approx(0.5, abs=0.01)
    sure = chance > 0.9
    assert np.average(labels[sure], weights=weight[sure]) > 0.85


def test_auc_counts_pairs_and_ties(script):
    scores, labels = np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 0, 1, 1])
    assert script.auc(scores, labels) == pytest.approx((1 + 1 + 0.5 + 1) / 4)


def test_tweets_lose_what_only_tweets_have(script):
    clean = sys.modules["toxicity_data"].clean_tweet
    assert clean('!!! RT @someone: hello &amp;amp; bye @other http://t.co/x "') == "hello & bye"


@pytest.mark.shared
def test_no_test_tweet_reaches_training(script):
    if not DATA.is_dir():
        pytest.skip("the public data are not beside the checkout")
    splits = script.collect(DATA, seed=0)
    held = [text for text in splits["test"].texts if len(text) > 25]
    for name in ("train", "calibrate"):
        assert not {text.casefold() for text in splits["test"].texts} & {t.casefold() for t in splits[name].texts}
        joined = "\n".join(splits[name].texts)
        assert not [text for text in held if text.rstrip(".") in joined][:3]
    again = script.collect(DATA, seed=0)
    assert splits["train"].texts == again["train"].texts
