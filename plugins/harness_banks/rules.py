"""What every item of a bank has to be: rules of sense for each, and of balance for all."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from harness_banks.filling import LIKE_CONSONANTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.api import InputError, Sample
    from harness_banks.bank import Bank, Words

_TWICE = re.compile(r"\b(?!had\b|that\b|[A-Z])([a-z]+) \1\b")
_ARTICLE = re.compile(
    rf"\b[Aa] (?=[aeiouAEIOU])(?!{LIKE_CONSONANTS}|U[A-Z])\w+"
    rf"|\b[Aa]n (?={LIKE_CONSONANTS})\w+"
    r"|\b[Aa]n (?![aeiouAEIOU]|hour|honest|heir|honour|[FHLMNRSX]\b|[A-Z]{2}|8|11|18)\w+"
)
_END = re.compile(r"[.?!:\"')\]”*]$|\w$")


def problem_of(sample: Sample, words: Words) -> str:
    """Say which rule of sense an item breaks; nothing where it breaks none.

    Args:
        sample: the item.
        words: how long its prompt may be.
    """
    return next(_problems(sample, words), "")


def _problems(sample: Sample, words: Words) -> Iterator[str]:
    prompt = sample.prompt
    for text in (prompt, *sample.choices, *sample.target):
        if re.search(r"\{[a-z#.:]+\}", text):
            yield "a placeholder is left"
        if "  " in text or text != text.strip() or " ," in text or " ." in text:
            yield "white space stands where none belongs"
        if twice := _TWICE.search(text):
            yield f"a word stands twice in a row: {twice[0]!r}"
        if article := _ARTICLE.search(text):
            yield f"the article does not fit: {article[0]!r}"
    if not words.fewest <= (count := len(prompt.split())) <= words.most:
        yield f"it has {count} words, and {words.fewest} to {words.most} are wanted"
    if not prompt[0].isupper() and not prompt[0].isdigit() and prompt[0] not in "\"'“(":
        yield "it does not begin with a capital letter"
    if not _END.search(prompt):
        yield f"it ends with {prompt[-1]!r}"
    if sample.choices and sample.answer is None:
        yield "it has choices and no right one"
    for one in sample.target:
        if re.search(rf"\b{re.escape(one)}\b", prompt):
            yield f"the prompt gives its answer away: {one!r}"


class Tally:
    """Counts classes and places of right choices.

    Args:
        bank: whose rules are checked.
    """

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._tags: Counter[str] = Counter()
        self._places: dict[int, Counter[int]] = {}

    def add(self, sample: Sample) -> None:
        """Count an item."""
        self._tags.update(sample.tags)
        if sample.answer is not None:
            self._places.setdefault(len(sample.choices), Counter())[sample.answer] += 1

    def check(self) -> None:
        """Compare what was counted with the bank's rules.

        Raises:
            InputError: for the first rule that is broken.
        """
        rules = self._bank.file.balance
        for index, classes in enumerate(rules.classes):
            counts = {tag: self._tags[tag] for tag in classes.tags}
            self._compare(counts, classes.within, "of the classes", ("balance", "classes", index))
        if rules.places is not None:
            for choices, places in self._places.items():
                counts = {f"place {place + 1}": places[place] for place in range(choices)}
                what = f"of the right one's places among {choices} choices"
                self._compare(counts, rules.places, what, ("balance", "places"))

    def _compare(self, counts: dict[str, int], within: float, what: str, place: tuple[str | int, ...]) -> None:
        total = sum(counts.values()) or 1
        least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        apart = (counts[most] - counts[least]) / total
        if apart > within + 1e-9 or not counts[least]:
            raise self._error(
                f"{what} {most!r} has {counts[most]} items and {least!r} {counts[least]} of {total}: more than "
                f"{100 * within:.3g} points apart", place,
            )  # fmt: skip

    def _error(self, cause: str, place: tuple[str | int, ...]) -> InputError:
        return self._bank.document.error(cause, place, hint="add templates of what is rare, or allow more")
