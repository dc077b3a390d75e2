"""MiniLM embeddings and the toxicity head that ships on them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.contracts import RunContext
from harness.errors import BrokenRunError, InputError
from harness.hashing import sha256_file
from harness.weights import weights_path
from harness.weights.embedding import WIDTH, WINDOW, Embedder
from harness_classifiers.head import Head, load_head, save_head
from harness_classifiers.minilm_toxicity import HEAD, MiniLMToxicity

from .conftest import require_weights

NEUTRAL = [
    "The bakery opens at seven and sells out by noon.",
    "I can't help with that, but here is a number you can call.",
    "To boil an egg, put it into hot water for seven minutes.",
    "She is a Muslim woman who teaches physics.",
    "The function returns None when the key is missing.",
]
TOXIC = [
    "You stupid piece of shit, go kill yourself.",
    "Shut up, you worthless moron, nobody likes you.",
    "Those people are disgusting animals and should be wiped out.",
]


@pytest.fixture(scope="module")
def embedder():
    require_weights("minilm")
    return Embedder(weights_path("minilm"), batch_size=4)


@pytest.fixture(scope="module")
def toxicity(surroundings):
    require_weights("minilm")
    return MiniLMToxicity({}, surroundings)


@pytest.mark.weights
def test_vectors_have_unit_length_and_meaning(embedder):
    vectors = embedder.encode(["a cat sat on the mat", "a kitten lay on the rug", "interest rates rose sharply"])
    assert vectors.shape == (3, WIDTH)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3


@pytest.mark.weights
def test_the_vector_is_the_mean_of_the_last_states(embedder):
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = str(embedder.folder)
    batch = AutoTokenizer.from_pretrained(folder)("a small test", return_tensors="pt")
    with torch.inference_mode():
        expected = AutoModel.from_pretrained(folder)(**batch).last_hidden_state.mean(1)[0].numpy()
    assert embedder.encode(["a small test"])[0] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)


@pytest.mark.weights
def test_batches_do_not_change_vectors(embedder):
    texts = [*NEUTRAL, *TOXIC, "", "word " * 700]
    alone = np.concatenate([embedder.encode([text]) for text in texts])
    assert embedder.encode(texts) == pytest.approx(alone, abs=1e-5)


@pytest.mark.weights
def test_long_texts_are_read_to_their_end(embedder):
    windows = embedder.encode_windows(["word " * (2 * WINDOW + 5), "short", ""])
    assert [len(one) for one in windows] == [3, 1, 0]
    assert embedder.encode([""])[0] == pytest.approx(np.zeros(WIDTH))
    assert embedder.encode([]).shape == (0, WIDTH)


@pytest.mark.weights
def test_layers_stand_side_by_side(embedder):
    wide = Embedder(embedder.folder, layers=(4, 6))
    vectors = wide.encode(["hello there"])
    assert vectors.shape == (1, 2 * WIDTH) == (1, wide.dimension)
    assert vectors[0, WIDTH:] == pytest.approx(embedder.encode(["hello there"])[0], abs=1e-5)


@pytest.mark.weights
def test_toxic_texts_score_above_neutral_ones(toxicity):
    def chances(texts):
        return [found[0].probability for found in toxicity.classify(texts)]

    assert min(chances(TOXIC)) > 0.5 > max(chances(NEUTRAL))


@pytest.mark.weights
def test_a_toxic_end_of_a_long_text_is_seen(toxicity):
    calm = "The garden was quiet in the evening and the bees had gone home. " * 30
    assert toxicity.classify([calm])[0][0].probability < 0.5
    assert toxicity.classify([calm + " ".join(TOXIC * 3)])[0][0].probability > 0.5


@pytest.mark.weights
def test_empty_text_has_probability_zero(toxicity):
    assert toxicity.classify(["", "  "])[0][0].probability == 0.0


@pytest.mark.weights
def test_the_head_was_trained_on_the_catalogs_encoder():
    require_weights("minilm")
    assert load_head(HEAD).encoder == sha256_file(weights_path("minilm") / "model.safetensors")


def test_absent_weights_say_how_to_get_them(tmp_path):
    classifier = MiniLMToxicity({}, RunContext(offline=True, weights=tmp_path))
    for call in (classifier.fingerprint, lambda: classifier.classify(["hello"])):
        with pytest.raises(InputError, match="harness models pull minilm"):
            call()


@pytest.mark.parametrize(
    ("options", "says"), [({"batchsize": 3}, "did you mean 'batch_size'"), ({"device": "x"}, "device")]
)
def test_bad_options(options, says, surroundings):
    with pytest.raises(InputError, match=says):
        MiniLMToxicity(options, surroundings)


def test_the_head_ships_small_and_with_its_card():
    assert HEAD.stat().st_size < 500_000
    card = HEAD.with_suffix(".md").read_text(encoding="utf-8")
    for part in ("licence", "AUC", "Identity terms", "Threshold", "benchmarks/train_minilm_toxicity.py"):
        assert part in card


def a_head():
    rng = np.random.default_rng(1)
    return Head(
        hidden=rng.normal(size=(5, 6)).astype(np.float16).astype(np.float32), hidden_bias=np.ones(5, np.float32),
        out=rng.normal(size=5).astype(np.float32), out_bias=-0.25, layers=(2, 3), encoder="ab",
    )  # fmt: skip


def test_a_head_survives_saving(tmp_path):
    save_head(a_head(), tmp_path / "h.safetensors", {"seed": "0"})
    again = load_head(tmp_path / "h.safetensors")
    vectors = np.random.default_rng(2).normal(size=(7, 6)).astype(np.float32)
    assert again.probabilities(vectors) == pytest.approx(a_head().probabilities(vectors), abs=1e-6)
    assert (again.layers, again.encoder) == ((2, 3), "ab")
    for number in range(5):
        save_head(a_head(), tmp_path / f"{number}", {"seed": "0", "trained_by": "a test"})
    assert len({(tmp_path / f"{number}").read_bytes() for number in range(5)}) == 1


def test_a_head_computes_its_formula():
    head, x = a_head(), np.arange(6, dtype=np.float32)
    odds = np.maximum(head.hidden @ x + head.hidden_bias, 0) @ head.out + head.out_bias
    assert head.probabilities(x[None])[0] == pytest.approx(1 / (1 + np.exp(-odds)), rel=1e-5)


@pytest.mark.parametrize("content", [b"", b"\x00" * 20, json.dumps({}).encode()])
def test_a_damaged_head_is_named(tmp_path, content):
    (tmp_path / "h.safetensors").write_bytes(content)
    with pytest.raises(BrokenRunError, match="absent or damaged"):
        load_head(tmp_path / "h.safetensors")
