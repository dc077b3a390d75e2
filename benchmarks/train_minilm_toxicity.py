"""Train the head of `minilm-toxicity` and measure it; one seed gives one file.

    python benchmarks/train_minilm_toxicity.py --data ../shared/data [--external DIR] [--cache DIR]

`--external` may hold sets that training never sees, as their authors publish them: `test_suite_cases.csv` (HateCheck),
`toxicity_nonfuzzed_testset.csv` (Wikipedia talk pages, Conversation AI) and `samples-1680.jsonl.gz` (OpenAI
moderation). What is printed goes into the model card beside the weights. On one free CPU core embedding takes some six
minutes.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.stats import rankdata
from toxicity_data import Rows, benign, davidson, identities, mixtures, read_csv, read_lines, rows_of, unrelated

from harness.hashing import sha256_file, sha256_json
from harness.store.workspace import refuse_inside
from harness.weights import weights_path
from harness.weights.embedding import Embedder
from harness_classifiers.head import Head, save_head
from harness_classifiers.minilm_toxicity import HEAD

LAYERS = (4, 6)
UNITS = 128
EPOCHS = 10
SMOOTHING = 0.05


def collect(data: Path, seed: int) -> dict[str, Rows]:
    """Return the splits train, calibrate and test; none shares a tweet, whole or quoted, with another."""
    rng = random.Random(seed)
    tweets = rows_of(davidson(data, rng, offensive=5000))
    order = np.random.default_rng(seed).permutation(len(tweets.texts))
    held, fresh, kept = np.split(order, [len(order) // 5, len(order) * 3 // 10])
    calm, named = benign(data, rng), identities(rng, 500)
    splits: dict[str, Rows] = {}
    for name, chosen, count in (("train", kept, 1200), ("calibrate", fresh, 160)):
        rows = tweets.where(chosen)
        if name == "calibrate":
            rows = rows.where(unrelated(rows, splits["train"]))
        own = list(zip(rows.texts, rows.labels.tolist(), rows.sources, strict=True))
        prose, groups = (
            [row for index, row in enumerate(pool) if (index % 8 == 0) == (name == "calibrate")]
            for pool in (calm, named)
        )
        splits[name] = rows_of(own + prose + groups + mixtures(own, prose, rng, count))
    test = tweets.where(held)
    splits["test"] = test.where(unrelated(test, splits["train"]) & unrelated(test, splits["calibrate"]))
    return splits


def embed(rows: Rows, embedder: Embedder, cache: Path | None) -> list[np.ndarray]:
    """Return the vectors of each row's windows, shape (windows, dimension), from the cache if they are there."""
    file = None if cache is None else cache / f"{sha256_json([rows.texts, embedder.layers])}.npz"
    if file is not None and file.is_file():
        found = np.load(file)
        return np.split(found["flat"], np.cumsum(found["counts"])[:-1])
    windows = embedder.encode_windows(rows.texts)
    if file is not None:
        np.savez(file, flat=np.concatenate(windows), counts=[len(one) for one in windows])
    return windows


def first(windows: list[np.ndarray]) -> np.ndarray:
    """Return the first window of each row, shape (n, dimension): training texts have few that are longer."""
    return np.stack([one[0] for one in windows])


def train(vectors: np.ndarray, labels: np.ndarray, seed: int) -> Head:
    """Fit the network on standardised vectors with both classes weighing the same, and fold the scaling in."""
    torch.manual_seed(seed)
    mean, spread = vectors.mean(0), np.maximum(vectors.std(0), 5e-3)  # some of the states hardly move
    inputs = torch.tensor((vectors - mean) / spread)
    targets = torch.tensor(labels, dtype=torch.float32) * (1 - 2 * SMOOTHING) + SMOOTHING
    weight = torch.tensor(np.where(labels == 1, 0.5 / labels.mean(), 0.5 / (1 - labels.mean())), dtype=torch.float32)
    first, second = torch.nn.Linear(vectors.shape[1], UNITS), torch.nn.Linear(UNITS, 1)
    network = torch.nn.Sequential(torch.nn.Dropout(0.5), first, torch.nn.ReLU(), torch.nn.Dropout(0.5), second)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1.0)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(labels)).split(256):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                network(inputs[batch]).squeeze(1), targets[batch], weight=weight[batch]
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    scaled = first.weight.detach().numpy() / spread
    return Head(
        hidden=scaled.astype(np.float16).astype(np.float32),
        hidden_bias=first.bias.detach().numpy() - scaled @ mean,
        out=second.weight.detach().numpy()[0], out_bias=float(second.bias.detach()),
        layers=LAYERS, encoder="",
    )  # fmt: skip


def log_odds(head: Head, vectors: np.ndarray) -> np.ndarray:
    """Return the head's log-odds, shape (n,)."""
    chance = head.probabilities(vectors)
    return np.log(chance) - np.log1p(-chance)


def calibrated(head: Head, odds: np.ndarray, labels: np.ndarray, encoder: str) -> Head:
    """Fold Platt's a * odds + b into the head, fitted where both classes weigh the same (a prior of one half)."""
    weight = np.where(labels == 1, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))

    def loss(ab: np.ndarray) -> float:
        return float((weight * np.logaddexp(0, np.where(labels == 1, -1, 1) * (ab[0] * odds + ab[1]))).mean())

    slope, shift = minimize(loss, np.array([1.0, 0.0])).x
    print(f"Platt: {slope:.3f} * odds + {shift:+.3f}")
    return Head(
        hidden=head.hidden, hidden_bias=head.hidden_bias, out=(head.out * slope).astype(np.float32),
        out_bias=float(head.out_bias * slope + shift), layers=head.layers, encoder=encoder,
    )  # fmt: skip


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the area under the ROC curve (Mann-Whitney)."""
    ranks = rankdata(scores)
    positive = int(labels.sum())
    return float((ranks[labels == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(labels) - positive)))


def between(values: list[float]) -> str:
    """Return the 90 % range of bootstrap values as text."""
    low, high = np.nanquantile(values, [0.05, 0.95])
    return f"[{low:.3f}, {high:.3f}]"


def report(name: str, chance: np.ndarray, labels: np.ndarray) -> None:
    """Print AUC and the rates at one half, each with a 90 % bootstrap interval (1,000 resamples within classes)."""
    rng = np.random.default_rng(0)
    yes, no = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    lines = [f"{name} (n = {len(yes)} toxic, {len(no)} not)"]
    if len(yes) and len(no):
        draws = [np.concatenate([rng.choice(yes, len(yes)), rng.choice(no, len(no))]) for _ in range(1000)]
        lines.append(f"AUC {auc(chance, labels):.3f} {between([auc(chance[d], labels[d]) for d in draws])}")
    for text, rows in (("flagged of toxic", yes), ("flagged of not toxic", no)):
        if len(rows):
            flagged = chance[rows] >= 0.5
            spread = between([flagged[rng.integers(0, len(rows), len(rows))].mean() for _ in range(1000)])
            lines.append(f"{text} {flagged.mean():.3f} {spread}")
    print("; ".join(lines), flush=True)


def unseen(data: Path, external: Path | None) -> dict[str, Rows]:
    """Return sets that training never saw, in other media and by other annotators."""
    sets: dict[str, list[tuple[str, int, str]]] = {}
    dolly = read_csv(data / "instruction_prompts" / "dolly_1000_mobileaibench.csv.gz")
    sets["Dolly answers"] = [(row["response"], 0, "dolly") for row in dolly[:400]]
    harmless = [json.loads(line)["chosen"] for line in read_lines(data / "hh_rlhf" / "harmless-base_test.jsonl.gz")]
    sets["HH-RLHF harmless, chosen answers (some are rude)"] = [
        (text.rsplit("Assistant:", 1)[-1].strip(), 0, "hh") for text in harmless[:400]
    ]
    if external is not None:
        cases = read_csv(external / "test_suite_cases.csv")
        sets["HateCheck"] = [(row["test_case"], int(row["label_gold"] == "hateful"), "hatecheck") for row in cases]
        for part, wanted in (("counter speech", "counter_"), ("identities, neutral or positive", "ident_")):
            sets[f"HateCheck: {part}"] = [
                (row["test_case"], int(row["label_gold"] == "hateful"), "hatecheck")
                for row in cases if row["functionality"].startswith(wanted)
            ]  # fmt: skip
        talk = read_csv(external / "toxicity_nonfuzzed_testset.csv")
        sets["Wikipedia talk pages"] = [(row["comment"], int(row["toxic"] == "True"), "wiki") for row in talk]
        flags = ("S", "H", "V", "HR", "SH", "S3", "H2", "V2")
        moderation = [json.loads(line) for line in read_lines(external / "samples-1680.jsonl.gz")]
        sets["OpenAI moderation, hate and harassment against clean"] = [
            (row["prompt"], int(any(row.get(flag) == 1 for flag in ("H", "H2", "HR"))), "openai")
            for row in moderation
            if any(row.get(flag) == 1 for flag in ("H", "H2", "HR")) or not any(row.get(flag) == 1 for flag in flags)
        ]
    return {name: rows_of(parts) for name, parts in sets.items()}


def main() -> None:
    """Train, calibrate, write, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data")
    parser.add_argument("--external", type=Path, help="folder of sets to measure on")
    parser.add_argument("--cache", type=Path, help="folder to keep embeddings in between runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HEAD)
    given = parser.parse_args()
    refuse_inside(given.out.resolve())
    begun = time.perf_counter()
    folder = weights_path("minilm")
    embedder = Embedder(folder, layers=LAYERS)
    splits = collect(given.data, given.seed)
    vectors = {}
    for name, rows in splits.items():
        vectors[name] = first(embed(rows, embedder, given.cache))
        print(f"{name}: {len(rows.texts)} rows, {int(rows.labels.sum())} toxic, {time.perf_counter() - begun:.0f} s")
    head = train(vectors["train"], splits["train"].labels, given.seed)
    encoder = sha256_file(folder / "model.safetensors")
    head = calibrated(head, log_odds(head, vectors["calibrate"]), splits["calibrate"].labels, encoder)
    save_head(head, given.out, {"seed": str(given.seed), "trained_by": "benchmarks/train_minilm_toxicity.py"})
    print(f"wrote {given.out.name}, {given.out.stat().st_size} bytes, after {time.perf_counter() - begun:.0f} s\n")

    report("calibration split", head.probabilities(vectors["calibrate"]), splits["calibrate"].labels)
    report("Davidson tweets, held out", head.probabilities(vectors["test"]), splits["test"].labels)
    for name, rows in unseen(given.data, given.external).items():
        windows = embed(rows, embedder, given.cache)
        chance = np.array([head.probabilities(one).max() if len(one) else 0.0 for one in windows])
        report(name, chance, rows.labels)


if __name__ == "__main__":
    main()
