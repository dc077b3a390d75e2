"""Train `words-harm`: a logistic regression on TF-IDF of words and pairs of words, kept as safetensors.

    python benchmarks/train_words_harm.py --data FOLDER [--out FILE]

Positive are the replies of GPTFuzz's training split that people call jailbroken; negative are its other replies, and
ordinary ones of Dolly, self-instruct and HH-RLHF. It is tested on GPTFuzz's evaluation split, on the labelled replies
of plugins/harness_critics/data, and by the share of other ordinary replies that it flags.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from judge_rows import OWN, plain_replies, table
from lora_training import auc
from scipy import sparse
from scipy.optimize import minimize

from harness.hashing import canonical_json
from harness_classifiers.words_harm import FILE, LABEL, Words, load_words, terms

LEAST = 6
"""Texts that a term must stand in."""
MOST = 20_000
"""Terms that are kept, the commonest."""


def harmless(data: Path) -> list[str]:
    """Return HH-RLHF's preferred replies to attempts at harm."""
    with gzip.open(data / "hh_rlhf" / "harmless-base_test.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["chosen"].rsplit("\n\nAssistant:", 1)[1].strip() for line in lines]


def fit(texts: list[str], labels: np.ndarray, strength: float) -> Words:
    """Return the model; `strength` is that of the squared penalty on the weights."""
    counted = [terms(text) for text in texts]
    spread = Counter(term for one in counted for term in one)
    kept = sorted(term for term, count in spread.most_common(MOST) if count >= LEAST)
    place = {term: index for index, term in enumerate(kept)}
    idf = np.array([math.log((1 + len(texts)) / (1 + spread[term])) + 1 for term in kept]).astype(np.float16)
    rows, columns, values = [], [], []
    for number, one in enumerate(counted):
        known = {place[term]: (1 + math.log(count)) * idf[place[term]] for term, count in one.items() if term in place}
        norm = math.sqrt(sum(float(value) ** 2 for value in known.values())) or 1.0
        rows += [number] * len(known)
        columns += known
        values += [float(value) / norm for value in known.values()]
    matrix = sparse.csr_matrix((values, (rows, columns)), shape=(len(texts), len(kept)))
    share = labels.mean()
    weight = np.where(labels, 0.5 / share, 0.5 / (1 - share))

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        odds = matrix @ theta[:-1] + theta[-1]
        error = (1 / (1 + np.exp(-odds)) - labels) * weight
        value = float((np.logaddexp(0, np.where(labels, -odds, odds)) * weight).sum())
        value += strength * float(theta[:-1] @ theta[:-1]) / 2
        return value, np.append(matrix.T @ error + strength * theta[:-1], error.sum())

    theta = minimize(loss, np.zeros(len(kept) + 1), jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    weights = theta[:-1].astype(np.float16).astype(float)
    return Words(idf=dict(zip(kept, idf.astype(float).tolist(), strict=True)),
                 weight=dict(zip(kept, weights.tolist(), strict=True)), bias=float(np.float32(theta[-1])))  # fmt: skip


def save(words: Words, path: Path, facts: dict[str, str]) -> None:
    """Write the model; its metadata is one entry, since several would stand in no fixed order."""
    from safetensors.numpy import save_file

    names = list(words.idf)
    tensors = {
        "terms": np.frombuffer("\n".join(names).encode("utf-8"), dtype=np.uint8),
        "idf": np.array([words.idf[name] for name in names], dtype=np.float16),
        "weight": np.array([words.weight[name] for name in names], dtype=np.float16),
        "bias": np.array([words.bias], dtype=np.float32),
    }
    save_file(tensors, path, metadata={"words": canonical_json({**facts, "label": LABEL})})


def show(name: str, words: Words, texts: list[str], labels: np.ndarray) -> None:
    """Print AUC and what the threshold 0.5 does."""
    odds = np.array([words.log_odds(text) for text in texts])
    through = (odds < 0)[~labels].mean()
    found = (odds >= 0)[labels].mean() if labels.any() else math.nan
    print(f"{name}: n {len(texts)}, AUC {auc(odds, labels):.3f}, found {found:.3f}, let through {through:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=FILE)
    parser.add_argument("--strength", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    fuzz = [(row["Response"], row["label"] == "1") for row in table(given.data / "gptfuzz_labelled" / "train.csv.gz")]
    plain = [reply for _, reply in plain_replies(given.data)]
    declined = harmless(given.data)
    rng.shuffle(plain)
    rng.shuffle(declined)
    cut, cut_too = int(len(plain) * 0.8), int(len(declined) * 0.8)
    rows = [*fuzz, *((text, False) for text in [*plain[:cut], *declined[:cut_too]])]
    labels = np.array([label for _, label in rows])
    words = fit([text for text, _ in rows], labels, given.strength)
    save(words, given.out, {"seed": str(given.seed), "strength": str(given.strength), "n": str(len(rows)),
                            "trained_by": "benchmarks/train_words_harm.py"})  # fmt: skip
    words = load_words(given.out)
    print(f"{len(rows)} texts, {labels.sum()} positive, {len(words.idf)} terms, {given.out.stat().st_size} bytes")
    tested = [
        (row["Response"], row["label"] == "1") for row in table(given.data / "gptfuzz_labelled" / "evaluate.csv.gz")
    ]
    show("GPTFuzz, evaluation split", words, [text for text, _ in tested], np.array([label for _, label in tested]))
    own = [json.loads(line) for line in (OWN / "replies-1.jsonl").read_text("utf-8").splitlines()]
    show("own replies", words, [row["response"] for row in own], np.array([row["label"] == "harmful" for row in own]))
    other = [*plain[cut:], *declined[cut_too:]]
    show("ordinary replies not trained on", words, other, np.zeros(len(other), dtype=bool))


if __name__ == "__main__":
    sys.exit(main())
