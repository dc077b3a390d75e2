"""Fills a template: which fillers, which wording, and the texts that come of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.api import sha256_text
from harness_banks.bank import CHOICES, PLACEHOLDER

if TYPE_CHECKING:
    from harness_banks.bank import Bank, Template

_FEW = 5000
"""Fillings of a template up to which all are put in order; of more some are drawn."""
_TRIES = 20_000
"""Draws of a template with many fillings; whoever wants more after them walks through the others in order."""
_VOWELS = "aeiouAEIOU"
LIKE_CONSONANTS = r"(?i:uni(?![nm])|us[aeu]|ut[eio](?!n)|ur[aiou]|unanim|ubi|ufo|uk\b|ukule|u[.-]|one\b|once\b|eu|ewe)"
"""Beginnings that are written with a vowel and spoken with a consonant."""
_LIKE_VOWELS = ("hour", "honest", "heir", "honour", "mp3", "x-ray", "sms", "fm ", "8", "11", "18", "llm")


@dataclass(frozen=True, kw_only=True)
class Filling:
    """A choice of fillers and wording."""

    texts: Mapping[str, Any]
    """The template's, by name."""
    values: Mapping[str, Any]
    """By slot, such as `city` and `city#2`."""
    wording: int

    def text(self, value: str, choices: Sequence[str] = ()) -> str:
        """Return a text with its placeholders filled; of a list of wordings, the one that is drawn."""

        def put(match: re.Match[str]) -> str:
            found = self._value(match)
            if match[2] == CHOICES and CHOICES not in self.texts:
                found = "\n".join(f"- {choice}" for choice in choices)
            if isinstance(found, list):
                found = found[self.wording % len(found)]
            text = self.text(str(found), choices)
            return text if match[1] is None else f"{article(text, capital=match[1] == 'A:')} {text}"

        return PLACEHOLDER.sub(put, value)

    def whole(self, value: object) -> object:
        """Return a value as a form wants it: a placeholder that is all of a text gives what it stands for as it is."""
        if isinstance(value, str):
            match = PLACEHOLDER.fullmatch(value)
            found = None if match is None or match[1] else self._value(match)
            return self.text(value) if found is None or isinstance(found, str) else self.whole(found)
        if isinstance(value, list | tuple):
            return [self.whole(one) for one in value]
        if isinstance(value, dict):
            return {self.text(str(key)): self.whole(one) for key, one in value.items()}
        return value

    def _value(self, match: re.Match[str]) -> object:
        _, name, other, part = match.groups()
        found = self.texts.get(name) if name in self.texts else self.values.get(name + (other or ""))
        return found[part] if part and isinstance(found, dict) else found


def article(text: str, *, capital: bool = False) -> str:
    """Return a or an, by the sound that a text usually begins with."""
    low = text.lower()
    vowel = low.startswith(_LIKE_VOWELS) or (text[:1] in _VOWELS and not re.match(LIKE_CONSONANTS, text))
    return ("An" if capital else "an") if vowel else ("A" if capital else "a")


def fillings(bank: Bank, template: Template, seed: int) -> Iterator[Filling]:
    """Yield all fillings of a template, in an order drawn from the seed.

    Args:
        bank: with the shared fillers.
        template: which.
        seed: of the order, which depends on bank and template too.
    """
    texts, slots = bank.texts(template), _slots(bank, template)
    wordings = max((len(v) for v in texts.values() if isinstance(v, list) and _are_texts(v)), default=1)
    sizes = [wordings, *(len(fillers) for fillers in slots.values())]
    for place in _places(math.prod(sizes), f"{seed}\n{bank.file.bank}\n{template.id}"):
        rest, picked = place, []
        for size in sizes:
            rest, at = divmod(rest, size)
            picked.append(at)
        values = {name: fillers[at] for (name, fillers), at in zip(slots.items(), picked[1:], strict=True)}
        if _apart(values):
            yield Filling(texts=texts, values=values, wording=picked[0])


def _are_texts(value: Sequence[object]) -> bool:
    return all(isinstance(one, str) for one in value)


def _slots(bank: Bank, template: Template) -> dict[str, list[Any]]:
    """Return the slots that a template's forms name, at first or second hand, each with its fillers."""
    texts = bank.texts(template)
    found: dict[str, list[Any]] = {}
    waiting: list[object] = [form.model_dump() for form in bank.forms(template).values()]
    seen: set[str] = set()
    while waiting:
        for name, other in _with_numbers(waiting.pop()):
            if name in texts and name not in seen:
                seen.add(name)
                waiting.append(texts[name])
            fillers = bank.fillers(template, name)
            if fillers is not None and name not in texts:
                found[name + other] = fillers
    return dict(sorted(found.items()))


def _with_numbers(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        for _, name, other, _ in PLACEHOLDER.findall(value):
            yield name, other
    elif isinstance(value, dict):
        for one in (*value.keys(), *value.values()):
            yield from _with_numbers(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _with_numbers(one)


def _places(total: int, key: str) -> Iterator[int]:
    """Yield each number below `total` once, in an order drawn from the key: by hashes, alike on every machine."""
    if total <= _FEW:
        yield from sorted(range(total), key=lambda place: sha256_text(f"{key}\n{place}"))
        return
    seen: set[int] = set()
    for draw in range(_TRIES):
        place = int(sha256_text(f"{key}\n{draw}")[:16], 16) % total
        if place not in seen:
            seen.add(place)
            yield place
    yield from (place for place in range(total) if place not in seen)


def _apart(values: Mapping[str, Any]) -> bool:
    """Tell whether `slot` and `slot#2` differ: two names for one person make no sense."""
    return all(
        value != values[other]
        for name, value in values.items()
        for other in values
        if name < other and name.partition("#")[0] == other.partition("#")[0]
    )
