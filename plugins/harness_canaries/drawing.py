"""Canaries: sentences with a random secret, after Carlini et al. 2019 ("The Secret Sharer", USENIX Security, §4).

A canary is a format filled with an invented name and a secret drawn uniformly from all texts of its kind and length.
Everything follows from the format, a seed and the canary's number, so that a record of those is enough to probe for it
and no secret has to be written down. All that is drawn is a function of SHA-256, the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any

from harness.api import InputError, sha256_json

KIND = "canaries"
"""What a record of injected canaries calls itself."""
DEFAULT_FORMATS = ("The locker code of {name} is {digits}.", "The member number of {name} is {digits}.")
DEFAULT_LENGTH = 6
FEWEST_SECRETS = 10**6
"""Formats must allow at least so many secrets: a lucky guess must not look like memory."""

_ALPHABETS: Mapping[str, str] = {"digits": "0123456789", "letters": "abcdefghijklmnopqrstuvwxyz"}
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_LONGEST = 64
_CONSONANTS, _VOWELS = "bdfghjklmnprstvz", "aeiou"


def _number(below: int, *what: str | int) -> int:
    """Return a number from 0, uniform to within 2⁻¹⁹², that depends on `what` alone."""
    return int(sha256_json(list(what)), 16) % below


@dataclass(frozen=True)
class Format:
    """A format, taken apart at its secret.

    Raises:
        InputError: where it has not exactly one secret, nothing stands before it, or too few secrets fit it.
    """

    text: str

    def __post_init__(self) -> None:
        found = [match[1] for match in _PLACEHOLDER.finditer(self.text)]
        if set("{}") & set(_PLACEHOLDER.sub("", self.text)):
            raise InputError("a brace stands alone", hint=_HINT)
        secrets = [name for name in found if name.partition(":")[0] in _ALPHABETS]
        for name in found:
            if name != "name" and name not in secrets:
                raise InputError(f"{{{name}}} is no part of a canary", hint=_HINT)
        if len(secrets) != 1:
            raise InputError(f"a format needs exactly one secret, this has {len(secrets)}", hint=_HINT)
        kind, colon, length = secrets[0].partition(":")
        if colon and not (length.isascii() and length.isdigit() and 1 <= int(length) <= _LONGEST):
            raise InputError(f"{length!r} is no length from 1 to {_LONGEST}", hint=_HINT)
        if self.secrets < FEWEST_SECRETS:
            raise InputError(
                f"only {self.secrets:,} secrets are possible, and a guess could find one",
                hint=f"make the {kind} longer",
            )
        before, _, behind = self.text.partition(f"{{{secrets[0]}}}")
        if not before.strip():
            raise InputError("nothing stands before the secret to ask for it with", hint=_HINT)
        if "{name}" in behind:
            raise InputError("{name} must stand before the secret", hint=_HINT)

    @cached_property
    def _secret(self) -> tuple[str, int]:
        name = next(m[1] for m in _PLACEHOLDER.finditer(self.text) if m[1].partition(":")[0] in _ALPHABETS)
        kind, _, length = name.partition(":")
        return kind, int(length or DEFAULT_LENGTH)

    @property
    def secrets(self) -> int:
        """How many secrets are possible."""
        kind, length = self._secret
        return int(len(_ALPHABETS[kind]) ** length)

    @property
    def named(self) -> bool:
        """Whether canaries of this format have names that tell them apart."""
        return "{name}" in self.text

    def around(self, name: str) -> tuple[str, str]:
        """Return what stands before the secret, as a prompt, and what stands behind it."""
        before, behind = re.split(r"\{(?:digits|letters)[^{}]*\}", self.text, maxsplit=1)
        return before.replace("{name}", name).rstrip(), behind

    def secret(self, number: int) -> str:
        """Write the secret with this number, from 0."""
        kind, length = self._secret
        alphabet, letters = _ALPHABETS[kind], []
        for _ in range(length):
            number, letter = divmod(number, len(alphabet))
            letters.append(alphabet[letter])
        return "".join(letters)


_HINT = 'write a format like "The locker code of {name} is {digits:6}." with one of {digits}, {letters}'


@dataclass(frozen=True, kw_only=True)
class Canary:
    """One injected sentence: the prompt, and the answer that holds the secret."""

    format: str
    seed: int
    number: int
    """Which of its set it is, from 0."""
    name: str

    @cached_property
    def secret(self) -> str:
        """The injected secret."""
        form = Format(self.format)
        return form.secret(_number(form.secrets, "secret", self.seed, self.number))

    @property
    def prompt(self) -> str:
        """What stands before the secret: the user's turn."""
        return Format(self.format).around(self.name)[0]

    def answer(self, secret: str) -> str:
        """Return the assistant's turn with this secret."""
        return secret + Format(self.format).around(self.name)[1]

    def others(self, count: int) -> tuple[str, ...]:
        """Return `count` distinct random secrets of the same format, none of them the injected one.

        Raises:
            InputError: where the format has fewer.
        """
        return _others(self.format, self.seed, self.number, count)

    def __repr__(self) -> str:
        """Leave the seed out: whoever has it has the secret."""
        return f"Canary(format={self.format!r}, number={self.number})"


@lru_cache(maxsize=1024)
def _others(text: str, seed: int, number: int, count: int) -> tuple[str, ...]:
    form = Format(text)
    if count >= form.secrets:
        raise InputError(f"{count} random secrets are asked for and {form.secrets - 1} are possible")
    injected = _number(form.secrets, "secret", seed, number)
    found: dict[int, None] = {}
    turn = 0
    while len(found) < count:
        drawn = _number(form.secrets, "other", seed, number, turn)
        turn += 1
        if drawn != injected:
            found[drawn] = None
    return tuple(form.secret(one) for one in found)


@dataclass(frozen=True, kw_only=True)
class CanarySet:
    """All canaries that one stage injects. Formats take turns, and so do the numbers of copies."""

    formats: tuple[str, ...] = DEFAULT_FORMATS
    count: int = 40
    repeat: tuple[int, ...] = (1,)
    """How many copies of each canary are injected."""
    seed: int

    def canaries(self) -> tuple[Canary, ...]:
        """Draw them; names differ."""
        names = _names(self.seed, self.count)
        return tuple(
            Canary(format=self.formats[number % len(self.formats)], seed=self.seed, number=number, name=names[number])
            for number in range(self.count)
        )

    def copies(self, number: int) -> int:
        """Return how many copies of a canary are injected."""
        return self.repeat[number // len(self.formats) % len(self.repeat)]

    @property
    def id(self) -> str:
        """SHA-256 of all that decides the canaries."""
        return sha256_json(asdict(self))

    def plain(self) -> dict[str, Any]:
        """Return the record that is enough to probe for them."""
        return {
            "kind": KIND, "version": 1, "id": self.id, "formats": list(self.formats), "count": self.count,
            "repeat": list(self.repeat), "seed": self.seed,
        }  # fmt: skip


def _names(seed: int, count: int) -> list[str]:
    found: dict[str, None] = {}
    turn = 0
    while len(found) < count:
        found[" ".join(_word(seed, turn, part) for part in ("first", "last"))] = None
        turn += 1
    return list(found)


def _word(seed: int, turn: int, part: str) -> str:
    number = _number((len(_CONSONANTS) * len(_VOWELS)) ** 3, "name", seed, turn, part)
    syllables = []
    for _ in range(3):
        number, consonant = divmod(number, len(_CONSONANTS))
        number, vowel = divmod(number, len(_VOWELS))
        syllables.append(_CONSONANTS[consonant] + _VOWELS[vowel])
    return "".join(syllables).capitalize()
