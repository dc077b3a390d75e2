"""BLEU, chrF and TER equal what sacrebleu says of the whole corpus."""

from __future__ import annotations

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.plugins import load_plugins
from tests.metrics.conftest import make_completion, make_sample

FACTORIES = {entry.name: entry.value for entry in load_plugins(installed=False).registries.metrics}
SENTENCE = st.lists(
    st.sampled_from(["the", "a", "cat", "dog", "sat,", "on", "mat.", "Mat", "ran", "über", "7", "haus"]),
    min_size=1,
    max_size=12,
).map(" ".join)
CORPUS = st.lists(st.tuples(SENTENCE, SENTENCE, SENTENCE), min_size=1, max_size=6)
SCORERS = {
    ("bleu", ()): sacrebleu.BLEU(force=True),
    ("bleu", (("lowercase", True),)): sacrebleu.BLEU(lowercase=True, force=True),
    ("bleu", (("tokenize", "char"),)): sacrebleu.BLEU(tokenize="char", force=True),
    ("chrf", ()): sacrebleu.CHRF(),
    ("chrf", (("word_order", 2),)): sacrebleu.CHRF(word_order=2),
    ("ter", ()): sacrebleu.TER(),
}


@pytest.mark.parametrize("key", SCORERS)
@settings(max_examples=40, deadline=None)
@given(corpus=CORPUS, weights=st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_corpus_scores_equal_sacrebleu(key, corpus, weights):
    name, options = key
    (metric,) = FACTORIES[name](dict(options), {})
    rows = np.array([
        metric.observe(make_sample(target=(first, second)), (make_completion(said),), {}, ())
        for said, first, second in corpus
    ])  # fmt: skip
    picks = [list(range(len(corpus)))]
    drawn = [i for i, weight in enumerate(weights[: len(corpus)]) for _ in range(weight)]
    picks += [drawn] if drawn else []
    expected = [
        SCORERS[key].corpus_score([corpus[i][0] for i in pick], [[corpus[i][k] for i in pick] for k in (1, 2)]).score
        for pick in picks
    ]
    sums = np.array([rows[pick].sum(axis=0) for pick in picks])
    np.testing.assert_allclose(metric.estimate(sums), expected, rtol=1e-9, atol=1e-9)


def test_the_signature_is_recorded(measure):
    about = measure("bleu")["bleu"].about
    assert f"version:{sacrebleu.__version__}" in about
    assert "tok:13a" in about
    assert "nrefs:var" in about
    assert "nw:2" in measure("chrf", word_order=2)["chrf"].about


def test_an_empty_reply_scores_nothing(measure):
    sample = make_sample(target=("The cat sat on the mat.",))
    for name, expected in (("bleu", 0.0), ("chrf", 0.0), ("ter", 100.0)):
        metric = measure(name)[name]
        row = metric.observe(sample, (make_completion(""),), {}, ())
        assert float(metric.estimate(np.array(row))) == pytest.approx(expected)
