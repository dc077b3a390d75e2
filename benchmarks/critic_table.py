"""A calibration row for every bundled critic and classifier, written into docs/critics.md.

    python benchmarks/critic_table.py [--data FOLDER] [--limit 40] [--only judge,tone] [--write]

Each is asked about the replies that ship for the principles it is meant for (`heldout-*.jsonl`; none of them chose
anything), `--limit` of a principle, pooled; and, where FOLDER has them, about public sets as published: HateCheck and
GPTFuzz's evaluation split. The judges that ship are counted by `shipped_judges.py`. Figures and intervals are those of
`harness critic calibrate`; seconds are CPU seconds of this process for 1,000 replies, with nothing cached, and depend
on the machine. Rows that are not asked for stay as they are.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

import harness
from harness.api import CriticCalibration, InputError, Session, data_dir, unknown_name
from harness.api.stats import auc
from harness.weights.bundled import BUNDLED_PREFIX
from harness_critics.figures import Figure, figures

PAGE = Path(__file__).parents[1] / "docs" / "critics.md"
START, END = "<!-- critics: written by benchmarks/critic_table.py -->", "<!-- end of critics -->"
PERSONAL, HARMLESS = (
    tuple(
        one["id"]
        for one in yaml.safe_load((data_dir("constitutions") / f"{name}.yaml").read_text("utf-8"))["principles"]
    )
    for name in ("personal", "harmless")
)
TOXIC = ("no_hate", "professional_appropriateness")
HARM = ("no_help_with_harm", "no_weapons", "no_illegal_drugs", "no_cybercrime", "no_fraud")
CONTEXT = ("truthfulness",)
JUDGE = f"smollm2-135m,adapter={BUNDLED_PREFIX}judge-smollm2"
READS, QUICK = {"classifier": "toxicity-smollm2"}, {"classifier": "minilm-toxicity"}
GPTFUZZ = "gptfuzz_labelled/evaluate.csv.gz"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    name: str
    critic: str
    principles: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    judge: str | None = None
    data: str | None = None
    """A file in FOLDER; None stands for the replies that ship."""


def rows() -> list[Row]:
    """Return all lines, in the table's order."""
    public = [
        Row(name="toxicity (minilm-toxicity)", critic="toxicity", principles=("no_hate",), options=QUICK,
            data="hatecheck/test_suite_cases.csv.gz"),
        Row(name="toxicity (toxicity-smollm2)", critic="toxicity", principles=("no_hate",), options=READS,
            data="hatecheck/test_suite_cases.csv.gz"),
        *(Row(name=name, critic=critic, principles=("no_help_with_harm",), options=options, data=GPTFUZZ)
          for name, critic, options in (
              ("classifier (words-harm)", "classifier", {"classifier": "words-harm", "breaks": ["harmful_help"]}),
              ("harmful-response", "harmful-response", {}),
          )),
    ]  # fmt: skip
    return [
        Row(name="judge-text: the bare base, asked once", critic="judge-text", judge="smollm2-135m",
            principles=("professional_appropriateness",), options={"retries": 0, "max_new_tokens": 80}),
        Row(name="toxicity (minilm-toxicity)", critic="toxicity", principles=TOXIC, options=QUICK),
        Row(name="toxicity (toxicity-smollm2)", critic="toxicity", principles=TOXIC, options=READS),
        Row(name="tone", critic="tone", principles=("professional_appropriateness",)),
        Row(name="pii (presidio)", critic="pii", principles=("privacy_protection",)),
        Row(name="classifier (detoxify)", critic="classifier", principles=TOXIC,
            options={"classifier": "detoxify", "breaks": ["toxicity"]}),
        Row(name="classifier (words-harm)", critic="classifier", principles=HARM,
            options={"classifier": "words-harm", "breaks": ["harmful_help"]}),
        Row(name="harmful-response", critic="harmful-response", principles=HARM),
        Row(name="panel of toxicity, tone (both by toxicity-smollm2) and judge", critic="panel",
            principles=("professional_appropriateness",),
            options={"critics": {"toxicity": READS, "tone": READS, "judge": None}}, judge=JUDGE),
        Row(name="grounding, where a conversation gives a text", critic="grounding", principles=CONTEXT, judge=JUDGE,
            options={"conversation_words": 8}),
        Row(name="relevance, where a conversation gives a text", critic="relevance", principles=CONTEXT,
            options={"conversation_words": 8}),
        *public,
    ]  # fmt: skip


def measure(row: Row, session: Session, folder: Path | None, limit: int) -> tuple[CriticCalibration, float]:
    """Return a row's calibration, its principles pooled, and CPU seconds for 1,000 replies."""
    suite = Path(session.options.folder) / "suite.yaml"
    given = {row.critic: row.options} if row.options else {}
    suite.write_text(
        f"id: table\nsamples: {{source: jsonl, path: none.jsonl}}\nmeasure: [incoherent]\ncritics: {given!r}\n"
        .replace("None", "null"), encoding="utf-8",
    )  # fmt: skip
    found: list[CriticCalibration] = []
    began = time.process_time()
    for principle in row.principles:
        try:
            found += session.calibrate(
                row.critic, principle=principle, constitution="personal" if principle in PERSONAL else "harmless",
                data=None if row.data is None or folder is None else folder / row.data, limit=limit, biases=False,
                suite=str(suite), judge=row.judge,
            )  # fmt: skip
        except InputError as error:
            if "no labelled replies ship" not in str(error):
                raise
    seconds = time.process_time() - began
    if not found:
        raise InputError(f"no replies ship for {', '.join(row.principles)}")
    pooled = pool(found)
    return pooled, 1000 * seconds / len(pooled.replies)


def pool(found: Sequence[CriticCalibration]) -> CriticCalibration:
    """Return calibrations of several principles as one: every threshold is the same."""
    replies = tuple(reply for one in found for reply in one.replies)
    sides = [[one.score for one in replies if one.follows is follows] for follows in (True, False)]
    return replace(
        found[0], replies=replies, scaling=None, unscored=sum(one.unscored for one in found), auc=auc(*sides),
        sensitivity=_total([one.sensitivity for one in found]), specificity=_total([one.specificity for one in found]),
        where=found[0].where.partition(" (")[0] if len(found) == 1 else "held-out replies",
    )  # fmt: skip


def _total(counts: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return sum(right for right, _ in counts), sum(n for _, n in counts)


def line(row: Row, found: CriticCalibration, seconds: float) -> str:
    """Return the table's line."""
    of = figures(found)
    data = f"`{Path(row.data).parent.name}`" if row.data else "held-out: " + (
        f"{len(row.principles)} principles" if len(row.principles) > 2 else ", ".join(row.principles)
    )  # fmt: skip
    cells = [
        row.name, data, f"{of.n}" + (f" ({of.unscored} unscored)" if of.unscored else ""), _figure(of.auc),
        _figure(of.sensitivity), _figure(of.specificity), _figure(of.ece), f"{seconds:,.0f}",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _figure(figure: Figure) -> str:
    if figure.value is None:
        return "–"
    return (
        f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]" if figure.low is not None else f"{figure.value:.2f}"
    )


NOTE = (
    "Violations are the positive case, the threshold is 0.5, intervals are 90 %. Where n is less than all there is,"
    "\nhalf of it is of each label, drawn with seed 0. Seconds are CPU seconds on four x86 cores, others at work."
)
HEAD = "| critic | asked about | n | AUC | sensitivity | specificity | ECE | s per 1,000 |"
RULE = "|---" * 8 + "|"


def written(lines: dict[str, str], order: Sequence[str]) -> None:
    """Put lines into the page; others that stand there stay."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(START)
    old, _, after = rest.partition(END)
    kept = {_key(one): one for one in re.findall(r"^\| .*\|$", old, re.MULTILINE) if not one.startswith("| critic |")}
    kept |= lines
    body = "\n".join(kept[key] for key in order if key in kept)
    PAGE.write_text(f"{before}{START}\n\n{NOTE}\n\n{HEAD}\n{RULE}\n{body}\n\n{END}{after}", encoding="utf-8")


def _key(line: str) -> str:
    name, data = (cell.strip() for cell in line.split("|")[1:3])
    return f"{name} | {data}"


def main(say: Callable[[str], None] = print) -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of public sets")
    parser.add_argument("--limit", type=int, default=40, help="replies of a principle, or of a public set")
    parser.add_argument("--only", default="", help="critics, separated by commas")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    every = rows()
    wanted = set(filter(None, given.only.split(",")))
    for name in wanted - {row.critic for row in every}:
        raise unknown_name("critic in this table", name, [row.critic for row in every])
    done: dict[str, str] = {}
    for row in every:
        if (wanted and row.critic not in wanted) or (row.data is not None and given.data is None):
            continue
        with tempfile.TemporaryDirectory() as folder, harness.open(folder, offline=True) as session:
            try:
                one = line(row, *measure(row, session, given.data, given.limit))
            except InputError as error:
                reason = " ".join(str(error).split())
                unscored = "no reply could be scored" in reason
                say(f"{row.name}: {reason}")
                if not unscored:
                    continue
                about = f"held-out: {', '.join(row.principles)} | {given.limit} (all unscored)"
                one = f"| {row.name} | {about} | – | – | – | – | – |"
        done[_key(one)] = one
        say(one)
        if given.write:
            order = [*done, *_standing()]
            written(done, _in_order(order, every))


def _standing() -> list[str]:
    rest = PAGE.read_text(encoding="utf-8").partition(START)[2].partition(END)[0]
    return [_key(one) for one in re.findall(r"^\| .*\|$", rest, re.MULTILINE) if not one.startswith("| critic |")]


def _in_order(keys: Sequence[str], every: Sequence[Row]) -> list[str]:
    names = [row.name for row in every]

    def place(key: str) -> int:
        name = key.partition(" | ")[0]
        return names.index(name) if name in names else len(names)

    return sorted(dict.fromkeys(keys), key=place)


if __name__ == "__main__":
    main()
