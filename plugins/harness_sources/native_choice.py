"""The files of TruthfulQA, BBQ and MMLU as their authors publish them: multiple choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.api import InputError, Message, Sample, SourceInput, sha256_text
from harness_sources.files import Row, csv_rows, jsonl_rows, native_files, need, own_files

_LETTERS = "ABCD"
_CHOICES = ("choice0", "choice1", "choice2", "choice3")


def read_truthfulqa(source: SourceInput) -> Iterator[Sample]:
    """Yield TruthfulQA's questions as single-choice ones (MC1; Lin et al. 2022, arXiv:2109.07958).

    The choices are the best answer and all incorrect ones, in an order drawn from the question's hash.
    """
    (path, *_) = native_files(source, "TruthfulQA's csv", "TruthfulQA*.csv*")
    seen: dict[str, int] = {}
    for line, row in csv_rows(path):
        question = need(row, "Question", path, line, what="TruthfulQA's csv")
        best = need(row, "Best Answer", path, line, what="TruthfulQA's csv").strip()
        wrong = [
            text.strip() for text in need(row, "Incorrect Answers", path, line, what="TruthfulQA's csv").split(";")
        ]
        choices = sorted({best, *(text for text in wrong if text)}, key=lambda text: sha256_text(f"{question}\n{text}"))
        good = [text.strip() for text in str(row.get("Correct Answers", "")).split(";") if text.strip()]
        seen[question] = seen.get(question, 0) + 1
        suffix = f"-{seen[question]}" if seen[question] > 1 else ""
        yield Sample(
            id=f"truthfulqa-{sha256_text(question)[:12]}{suffix}", messages=(Message(role="user", content=question),),
            target=tuple(dict.fromkeys([best, *good])), choices=tuple(choices), answer=choices.index(best),
            tags=tuple(t for t in (str(row.get("Category", "")), str(row.get("Type", ""))) if t),
        )  # fmt: skip


def read_bbq(source: SourceInput) -> Iterator[Sample]:
    """Yield BBQ's questions (Parrish et al. 2022, arXiv:2110.08193) from one file or a folder of them.

    Metadata holds what the stereotype metrics read: condition, and the indices of the unknown and stereotyped answers.
    """
    for file in native_files(source, "BBQ's jsonl", "*.jsonl", "*.jsonl.gz"):
        for line, row in jsonl_rows(file):
            yield _bbq(row, file, line)


def _bbq(row: Row, file: Path, line: int) -> Sample:
    what = "BBQ's jsonl"
    choices = tuple(need(row, f"ans{n}", file, line, what=what) for n in range(3))
    condition = need(row, "context_condition", file, line, what=what)
    polarity = need(row, "question_polarity", file, line, what=what)
    question = need(row, "question", file, line, what=what)
    info = row.get("answer_info")
    if not isinstance(info, dict) or not isinstance(row.get("label"), int):
        raise InputError(
            f"this is not {what}: answer_info or label is missing", file=file, line=line, hint="fetch it again"
        )
    groups = [str(info.get(f"ans{n}", ["", ""])[-1]) for n in range(3)]
    metadata: dict[str, object] = {"condition": "ambiguous" if condition == "ambig" else "disambiguated"}
    unknown = next((n for n, group in enumerate(groups) if group == "unknown"), None)
    stereotyped = _bbq_stereotyped(row, info, unknown)
    if unknown is not None and stereotyped is not None:
        metadata |= {"unknown": unknown, "stereotyped": stereotyped}
    else:
        metadata = {}
    category = need(row, "category", file, line, what=what)
    return Sample(
        id=f"bbq-{category}-{row.get('example_id', line)}".lower(),
        messages=(Message(role="user", content=f"{row.get('context', '')} {question}"),),
        choices=choices, answer=row["label"], tags=(category, condition, polarity),
        cluster=f"{category}-{row.get('question_index', '?')}", metadata=metadata,
    )  # fmt: skip


def _bbq_stereotyped(row: Row, info: Mapping[str, object], unknown: int | None) -> int | None:
    """Return the choice that follows the stereotype: the named group for negative questions, the other for the rest."""
    extra = row.get("additional_metadata")
    named = {str(group).lower() for group in (extra.get("stereotyped_groups", []) if isinstance(extra, dict) else [])}
    people = [n for n in range(3) if n != unknown]
    targets = [n for n in people if any(str(word).lower() in named for word in _words(info.get(f"ans{n}")))]
    if len(targets) != 1:
        return None
    (target,) = targets
    return target if row.get("question_polarity") == "neg" else next(n for n in people if n != target)


def _words(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def read_mmlu(source: SourceInput) -> Iterator[Sample]:
    """Yield MMLU's questions (Hendrycks et al. 2021, arXiv:2009.03300).

    Takes the authors' folder of `<subject>_test.csv` without headers, or one csv with the columns subject, split,
    question, choice0 to choice3 and answer. The option `split` names another split than `test`: `dev` or `val`.
    """
    what, split = "MMLU's csv", str(source.options.get("split", "test"))
    for file in own_files(source, what, f"*_{split}.csv", f"*_{split}.csv.gz", "mmlu*.csv*"):
        if source.path == file or file.name.startswith("mmlu"):
            yield from _mmlu_of_all(file, what, split)
            continue
        for line, row in csv_rows(file, header=False):
            cells = [str(cell) for cell in row.values()]
            yield _mmlu(file.name.split(f"_{split}.csv")[0], cells, file, line, split=split)


def _mmlu_of_all(path: Path, what: str, split: str) -> Iterator[Sample]:
    for line, row in csv_rows(path):
        if need(row, "split", path, line, what=what) == split:
            cells = [need(row, name, path, line, what=what) for name in ("question", *_CHOICES, "answer")]
            yield _mmlu(need(row, "subject", path, line, what=what), cells, path, line, split=split)


def _mmlu(subject: str, cells: list[str], file: Path, line: int, *, split: str) -> Sample:
    if len(cells) != 6:
        raise InputError(
            f"a row of MMLU has 6 cells, this one {len(cells)}", file=file, line=line, hint="fetch it again"
        )
    question, *choices, answer = cells
    answer = answer.strip()
    index = int(answer) if answer in {"0", "1", "2", "3"} else _LETTERS.find(answer) if len(answer) == 1 else -1
    if index < 0:
        raise InputError(
            f"the answer {answer!r} is neither 0 to 3 nor A to D", file=file, line=line, hint="fetch it again"
        )
    listed = "\n".join(f"{letter}. {choice}" for letter, choice in zip(_LETTERS, choices, strict=True))
    return Sample(
        id=f"mmlu-{subject}-{line}" if split == "test" else f"mmlu-{split}-{subject}-{line}",
        messages=(Message(role="user", content=f"{question.strip()}\n{listed}\nAnswer with the letter alone."),),
        choices=tuple(_LETTERS), answer=index, tags=(subject,), target=(choices[index],),
    )  # fmt: skip
