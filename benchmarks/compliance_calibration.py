"""Counts how often the compliance labeller agrees with people, and writes the tables of docs/metrics.md.

    python benchmarks/compliance_calibration.py --data ../shared/data            prints the tables
    python benchmarks/compliance_calibration.py --data ../shared/data --write    puts them into docs/metrics.md

`complied` is the positive class; the labels `refused` and `incoherent` are both negative. The rules were written while
looking at GPTFuzz's training split and at HH-RLHF; the evaluation split and JailbreakBench were only counted.
Exits 1 where `harness_metrics.compliance.MEASURED` no longer says what was counted.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from scipy.stats import beta

from harness_metrics.compliance import MEASURED
from harness_metrics.labelling import label_reply

Pair = tuple[str, str, bool]
"""(prompt, reply, whether people say that it complies)."""
BEGIN, END = "<!-- calibration: begin -->", "<!-- calibration: end -->"
csv.field_size_limit(1 << 30)


def clopper_pearson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact two-sided interval of a proportion (Clopper and Pearson 1934)."""
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, n - hits + 1))
    high = 1.0 if hits == n else float(beta.ppf(1 - tail, hits + 1, n - hits))
    return low, high


def rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV, gzipped or not. Bytes that are not UTF-8 become a replacement character."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(io.StringIO(data.decode("utf-8", "replace"))))


def gptfuzz(data: Path, split: str) -> list[Pair]:
    """Read replies to jailbreak attempts; the questions stand beside as numbers alone."""
    found = rows(data / "gptfuzz_labelled" / f"{split}.csv.gz")
    return [("", row["Response"], row["label"] == "1") for row in found]


def jailbreakbench(data: Path) -> list[Pair]:
    """Read the 200 harmful requests; the last 100 rows are benign requests, which say nothing of refusals."""
    found = rows(data / "jailbreakbench_judge" / "judge-comparison.csv")[:200]
    return [(row["prompt"], row["target_response"], row["human_majority"] == "1") for row in found]


def jailbreakbench_benign(data: Path) -> list[tuple[str, str]]:
    """Read the benign requests of the judge comparison."""
    found = rows(data / "jailbreakbench_judge" / "judge-comparison.csv")[200:]
    return [(row["prompt"], row["target_response"]) for row in found]


def hh_replies(data: Path, part: str) -> list[tuple[str, str]]:
    """Read the preferred last replies of HH-RLHF, with the last human turn."""
    pairs = []
    with gzip.open(data / "hh_rlhf" / f"{part}_test.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            before, reply = json.loads(line)["chosen"].rsplit("\n\nAssistant:", 1)
            pairs.append((before.rsplit("\n\nHuman:", 1)[-1].strip(), reply))
    return pairs


def dolly(data: Path) -> list[tuple[str, str]]:
    """Read instructions with answers that people wrote."""
    found = rows(data / "instruction_prompts" / "dolly_1000_mobileaibench.csv.gz")
    return [(row["instruction"], row["response"]) for row in found]


def count(pairs: Iterable[Pair]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (hits, positives) and (rejections, negatives)."""
    seen = Counter((complies, label_reply(prompt, reply).label == "complied") for prompt, reply, complies in pairs)
    positives, negatives = seen[True, True] + seen[True, False], seen[False, True] + seen[False, False]
    return (seen[True, True], positives), (seen[False, False], negatives)


def shown(hits: int, n: int) -> str:
    """Show a share with its 95 % interval."""
    low, high = clopper_pearson(hits, n)
    return f"{hits / n:.3f} [{low:.3f}, {high:.3f}] ({hits}/{n})"


def tables(data: Path) -> tuple[str, bool]:
    """Return both tables in Markdown, and whether MEASURED still holds."""
    sets = {
        "GPTFuzz, training split (the rules were written on it)": gptfuzz(data, "train"),
        MEASURED[0].where: gptfuzz(data, "evaluate"),
        MEASURED[1].where: jailbreakbench(data),
    }
    counts = {name: count(pairs) for name, pairs in sets.items()}
    lines = ["| replies labelled by people | sensitivity: complied | specificity: not complied |", "|---|---|---|"]
    lines += [f"| {name} | {shown(*hits)} | {shown(*rejections)} |" for name, (hits, rejections) in counts.items()]
    lines += ["", "| replies to ordinary requests | labelled refused | labelled incoherent |", "|---|---|---|"]
    ordinary = {
        "JailbreakBench judge comparison, 100 benign requests": jailbreakbench_benign(data),
        "HH-RLHF helpful-base, preferred replies (some do refuse)": hh_replies(data, "helpful-base"),
        "Dolly, written by people (some are made of one word)": dolly(data),
    }
    for name, pairs in ordinary.items():
        labels = Counter(label_reply(prompt, reply).label for prompt, reply in pairs)
        lines.append(f"| {name} | {shown(labels['refused'], len(pairs))} | {shown(labels['incoherent'], len(pairs))} |")
    holds = all(counts[measured.where] == (measured.complied, measured.not_complied) for measured in MEASURED)
    return "\n".join(lines), holds


def main() -> int:
    """Print the tables, or write them into the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/metrics.md")
    options = parser.parse_args()
    text, holds = tables(options.data)
    print(text)
    if options.write:
        path = Path(__file__).parents[1] / "docs" / "metrics.md"
        before, rest = path.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    if not holds:
        print("harness_metrics.compliance.MEASURED says otherwise: put these counts there", file=sys.stderr)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
