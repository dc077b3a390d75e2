"""Train `toxicity-smollm2`: with this small LoRA adapter SmolLM2-135M says whether a text is toxic, as log-odds.

    python benchmarks/train_toxicity.py --data FOLDER --out FIRST
    python benchmarks/train_toxicity.py --data FOLDER --out FOLDER --second FIRST --seed 1 [--pin]

It learns from rows of our own (harness_classifiers/data/toxicity-rows-*.jsonl, whose {x} stands for a group and {s} for
a sentence that is quoted to be rejected; the first part of training reads the first file alone), Davidson's tweets and
ordinary texts of the public data in FOLDER, all under licences that allow it. After each pass it reports on what
training never sees and settings may be chosen by: HateCheck, Wikipedia talk pages and the OpenAI moderation samples.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from lora_training import Example, Settings, Trainer, auc, pin
from toxicity_data import COUNTER, HOSTILE, IDENTITIES, NEUTRAL, benign, davidson, read_csv, read_lines

from harness.hashing import sha256_file, sha256_json
from harness_classifiers.toxicity_smollm2 import ANSWERS, PROMPT, TASK, toxicity_messages

OWN = Path(__file__).parents[1] / "plugins" / "harness_classifiers" / "data"
FILES = (OWN / "toxicity-rows-1.jsonl", OWN / "toxicity-rows-2.jsonl")
GROUPS = (
    *IDENTITIES, "lesbian women", "gay men", "pensioners", "Syrians", "Turks", "Poles", "Nigerians", "Koreans",
    "wheelchair users", "migrants", "Pakistanis", "queer people", "single mothers", "Somalis", "the Irish", "girls",
    "Tavrians", "Marlanders", "Quellites", "the hill folk",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Text:
    """One labelled text."""

    text: str
    toxic: bool
    source: str
    weight: float = 1.0
    group: str = ""
    """Equal for a hostile sentence and speech against it."""


def filled(template: str, **words: str) -> str:
    """Return a template with its words, the first letter in upper case."""
    text = template.format(**words)
    return text[0].upper() + text[1:]


def own(rng: random.Random, each: int, files: Sequence[Path]) -> list[Text]:
    """Return rows of our own, each template with some groups, and each hostile sentence also quoted and rejected."""
    rows = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    by_kind: dict[str, list[str]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append(row["text"])
    made = [Text(text=row["text"], toxic=bool(row["label"]), source="single", weight=2.0)
            for row in rows if row["kind"] == "single"]  # fmt: skip
    against = [*by_kind["counter"], *COUNTER]
    for template in [*by_kind["implicit"], *HOSTILE]:
        for number, name in enumerate(rng.sample(GROUPS, each)):
            said = filled(template, x=name)
            group = f"{template} {name}" if number % 2 == 0 else ""
            made.append(Text(text=said, toxic=True, source="hostile", group=group))
            if group:
                made.append(Text(text=filled(rng.choice(against), s=said), toxic=False, source="counter", group=group))
    for template in [*by_kind["neutral"], *NEUTRAL]:
        made += [Text(text=filled(template, x=name), toxic=False, source="neutral")
                 for name in rng.sample(GROUPS, each + 1)]  # fmt: skip
    return made


def public(data: Path, rng: random.Random, most: tuple[int, int, int]) -> list[Text]:
    """Return at most so many abusive tweets, other tweets, and ordinary texts.

    The tweets count less than our own rows: what is merely coarse is labelled as abuse among them.
    """
    tweets = davidson(data, rng, offensive=300)
    rng.shuffle(tweets)
    hateful = [one for one in tweets if one[1]][: most[0]]
    calm = [one for one in tweets if not one[1]][: most[1]]
    plain = benign(data, rng)
    rng.shuffle(plain)
    kept = [Text(text=text[:500], toxic=bool(label), source=source, weight=0.6 if source == "davidson" else 1.0)
            for text, label, source in [*hateful, *calm, *plain[: most[2]]] if text.strip()]  # fmt: skip
    prose = [text[:220] for text, *_ in plain[most[2] :] if len(text) > 60]
    for number, one in enumerate(rng.sample(own(rng, 1, FILES[:1]), 160)):  # amid calm prose
        around = prose[number % len(prose)].rsplit(" ", 1)[0]
        text = f"{one.text} {around}." if number % 2 else f"{around}. {one.text}"
        kept.append(replace(one, text=text, source="mixture", group="", weight=1.0))
    return kept


def tests(data: Path, most: int) -> dict[str, tuple[list[str], np.ndarray, list[str]]]:
    """Return the development sets: texts, labels and kinds."""
    rng = random.Random(0)
    cases = read_csv(data / "hatecheck" / "test_suite_cases.csv.gz")
    talk = [(row["comment"], row["toxic"] in {"1", "True", "true", "1.0"}, "")
            for row in read_csv(next((data / "wiki_toxicity").glob("wiki_nonfuzzed*")))]  # fmt: skip
    samples = [json.loads(line) for line in read_lines(next((data / "openai_moderation").glob("*.jsonl*")))]
    hateful = ("H", "HR", "H2")
    found = {
        "HateCheck": [(row["test_case"], row["label_gold"] == "hateful", row["functionality"]) for row in cases],
        "Wikipedia talk": talk,
        "OpenAI moderation": [(row["prompt"], any(row.get(key) == 1 for key in hateful), "") for row in samples
                              if all(row.get(key) is not None for key in hateful)],
    }  # fmt: skip
    out = {}
    for name, rows in found.items():
        chosen = rng.sample(rows, min(most, len(rows)))
        out[name] = ([text for text, *_ in chosen], np.array([label for _, label, _ in chosen]),
                     [kind for *_, kind in chosen])  # fmt: skip
    return out


def report(name: str, odds: np.ndarray, toxic: np.ndarray, kinds: list[str]) -> None:
    """Print how well the log-odds tell toxic texts."""
    flagged = odds > 0
    print(
        f"  {name}: n {len(odds)}, AUC {auc(odds, toxic):.3f}, found {flagged[toxic].mean():.3f}, falsely flagged"
        f" {flagged[~toxic].mean():.3f}", flush=True,
    )  # fmt: skip
    for kind in sorted(set(kinds) - {""}):
        part = np.array([one == kind for one in kinds])
        print(f"    {kind}: flagged {flagged[part].mean():.2f} of {part.sum()}, toxic {toxic[part].mean():.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--second", type=Path, help="go on from this adapter, with fewer public rows")
    parser.add_argument("--first-layer", type=int, default=14)
    parser.add_argument("--test", type=int, default=400, help="rows of each development set")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bias", type=float, default=0.0, help="added to the log-odds; chosen on the sets above")
    parser.add_argument("--pin", action="store_true", help="write the files' SHA-256 into adapters.json beside FOLDER")
    given = parser.parse_args()
    rng = random.Random(given.seed)
    files, each, most = (FILES[:1], 10, (1000, 700, 400)) if given.second is None else (FILES, 6, (400, 300, 250))
    rows = [*own(rng, each, files), *public(given.data, rng, most)]
    print(sorted(Counter((row.source, row.toxic) for row in rows).items()), flush=True)
    trainer = Trainer(Settings(answers=ANSWERS, seed=given.seed, epochs=given.epochs, first=given.first_layer,
                               rate=1e-3 if given.second is None else 6e-4, threads=given.threads))  # fmt: skip
    if given.second is not None:
        trainer.tail.load(given.second)
    sets = tests(given.data, given.test)
    encoded = {name: trainer.encode([toxicity_messages(text) for text in texts]) for name, (texts, *_) in sets.items()}
    learned = [path for path in (*files, given.data / "davidson_hate" / "labeled_data.csv.gz") if path.is_file()]
    said = {
        "task": TASK, "prompt": str(PROMPT), "family": "toxicity", "bias": str(given.bias),
        "data": sha256_json([[one.name, sha256_file(one)] for one in learned]),
        "trained_by": "benchmarks/train_toxicity.py",
    }  # fmt: skip

    def after_epoch(_: int) -> None:
        for name, (_, toxic, kinds) in sets.items():
            logits = trainer.predict(encoded[name])
            report(name, logits[:, 0] - logits[:, 1] + given.bias, toxic, kinds)
        trainer.tail.save(given.out, said)

    if given.epochs:
        trainer.train([Example(messages=toxicity_messages(row.text), answer=int(not row.toxic), weight=row.weight,
                               group=row.group) for row in rows], after_epoch)  # fmt: skip
    else:  # another bias for an adapter that is there
        after_epoch(0)
    if given.pin:
        pin(given.out)


if __name__ == "__main__":
    main()
