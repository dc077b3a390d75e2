"""Calibrates the critics of `personal` and `harmless` on the held-out replies, and says which are admitted.

    python benchmarks/principle_calibrations.py [--judge smollm2-135m,adapter=harness:judge-smollm2] [--write]
        [--records FOLDER]

Each principle is judged by the critics that its constitution names, the judge being the one given, on all replies
that ship for it. `--write` puts the table into docs/critics.md. `--records FOLDER` keeps each principle's record, for
a closer look: none ships, since a record holds for one judge, its weights, the versions of torch and transformers, the
device and the number format, all of which are in its fingerprint.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import harness
from harness.api import Admission, CriticCalibration, InputError
from harness.api.calibrations import admission_problem
from harness.serial import to_json
from harness.weights.bundled import shipped_dtype
from harness_critics.figures import Figure, figures
from harness_critics.labels import held_out
from harness_critics.listing import labels_needed

PAGE = Path(__file__).parents[1] / "docs" / "critics.md"
START, END = "<!-- principles: written by benchmarks/principle_calibrations.py -->", "<!-- end of principles -->"
HEAD = "| principle | critics | n | AUC | sensitivity | specificity | Se + Sp − 1, at least | admitted, or why not |"


def main() -> None:
    """Calibrate, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", default="smollm2-135m,adapter=harness:judge-smollm2")
    parser.add_argument("--only", default="", help="principles, separated by commas")
    parser.add_argument("--limit", type=int, help="replies of a principle; such figures are not written")
    parser.add_argument("--write", action="store_true", help="the table, into docs/critics.md")
    parser.add_argument("--records", type=Path, metavar="FOLDER", help="keep each principle's record there")
    given = parser.parse_args()
    only = set(filter(None, given.only.split(",")))
    lines: dict[str, str] = {}
    for constitution in ("personal", "harmless"):
        for principle in _ids(constitution):
            if only and principle not in only:
                continue
            if held_out(principle) is None:
                lines[principle] = f"| `{principle}` | – | no held-out replies | – | – | – | – | no |"
                continue
            try:
                one = _calibrated(principle, constitution, given.judge, given.limit)
            except InputError as error:
                print(f"{principle}: {error}")
                continue
            lines[principle] = _line(one)
            print(lines[principle], flush=True)
            if given.records is not None:
                given.records.mkdir(parents=True, exist_ok=True)
                text = to_json(replace(one, id=""), indent=1) + "\n"
                (given.records / f"{principle}.json").write_text(text, encoding="utf-8")
    if given.write and given.limit is None:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(with_table(page, lines, given.judge, shipped_dtype()), encoding="utf-8")


def _ids(constitution: str) -> list[str]:
    import yaml

    from harness.api import data_dir

    text = (data_dir("constitutions") / f"{constitution}.yaml").read_text(encoding="utf-8")
    return [one["id"] for one in yaml.safe_load(text)["principles"]]


def _calibrated(principle: str, constitution: str, judge: str, limit: int | None) -> CriticCalibration:
    with tempfile.TemporaryDirectory() as folder, harness.open(folder, offline=True) as session:
        found: list[CriticCalibration] = session.calibrate(
            principle=principle,
            constitution=constitution,
            roles=[f"judge={judge}"],
            limit=limit,
            biases=False,
        )
    return found[0]


def _line(one: CriticCalibration) -> str:
    of = figures(one)
    admitted = verdict(one.sensitivity, one.specificity)
    cells = [
        f"`{one.principle}`", ", ".join(one.critics), str(of.n), _figure(of.auc), _figure(of.sensitivity),
        _figure(of.specificity), f"{of.youden.low:.2f}", admitted,
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def verdict(sensitivity: tuple[int, int], specificity: tuple[int, int]) -> str:
    """Return `yes`, or why not: how many labels are missing, or that no number of them would help."""
    if not admission_problem(sensitivity, specificity, Admission()):
        return "yes"
    needed = labels_needed(sensitivity, specificity, Admission())
    return "no: the critic is too weak" if needed is None else f"no: labels are missing; {needed} + {needed} would do"


def _figure(figure: Figure) -> str:
    return "–" if figure.value is None else f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]"


def with_table(page: str, lines: Mapping[str, str], judge: str, dtype: str) -> str:
    """Return the page with these lines in its table, by principle; others that stand there stay."""
    before, _, rest = page.partition(START)
    old, _, after = rest.partition(END)
    kept = {one.split("`")[1]: one for one in old.splitlines() if one.startswith("| `")} | dict(lines)
    order = [name for constitution in ("personal", "harmless") for name in _ids(constitution) if name in kept]
    body = "\n".join(kept[name] for name in order)
    admitted = sum(kept[name].endswith("| yes |") for name in order)
    note = (
        f"The judge is `{judge}` ({dtype}); intervals are 90 %, and the bound is\none-sided 95 %. Counted on all"
        f" held-out replies, four x86 cores, others at work; {admitted} of {len(order)} are admitted."
    )
    return f"{before}{START}\n\n{note}\n\n{HEAD}\n{'|---' * 8}|\n{body}\n\n{END}{after}"


if __name__ == "__main__":
    main()
