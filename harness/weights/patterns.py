"""Regular expressions that came with an adapter, refused where matching one could take for ever.

peft matches them against the name of every module, and Python's engine tries all ways in which a name may be split up
between wildcards. So the ways are bounded before anything is matched.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import log2
from re import _constants, _parser  # type: ignore[attr-defined] # the parser has no public name
from typing import Any

_LONGEST_NAME = 200
"""Characters of a module's name."""
_LONGEST_PATTERN = 2_000
_MOST_BITS = 36.0
"""Two to this many ways at most to match: four wildcards, and a few choices besides."""
_WILDCARD = 8.0
"""Bits: a wildcard may end at any character of a name."""
_MOST_REPEATS = 1_000


def matches(pattern: str, name: str, *, whole: bool = False) -> re.Match[str] | None:
    """Match the beginning of a module's name, or the whole of it.

    Raises:
        ValueError: for a name or a pattern that is too long, and a pattern with too many ways to match.
        re.error: for what is no pattern.
    """
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"a module's name has {len(name)} characters, and at most {_LONGEST_NAME} are read")
    compiled = bounded(pattern)
    return compiled.fullmatch(name) if whole else compiled.match(name)


@lru_cache(maxsize=4096)
def bounded(pattern: str) -> re.Pattern[str]:
    """Return the compiled pattern; raises as `matches`."""
    if len(pattern) > _LONGEST_PATTERN:
        raise ValueError(f"a pattern has {len(pattern)} characters, and at most {_LONGEST_PATTERN} are read")
    if _bits(_parser.parse(pattern), repeated=False) > _MOST_BITS:
        raise ValueError(f"the pattern {pattern[:80]!r} has so many wildcards that matching it could take for ever")
    return re.compile(pattern)


def _bits(parsed: Any, *, repeated: bool) -> float:  # noqa: ANN401 - the parser's own tree
    """Return the logarithm to base 2 of the ways in which a name may match, roughly and never too low by much.

    Raises:
        ValueError: where a repeated part itself can match in several ways: those multiply with each repetition.
    """
    bits = 0.0
    for code, value in parsed:
        if code in (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT):
            least, most, inner = value
            several = most > 1
            if repeated and (several or least != most):
                raise ValueError("a pattern repeats what repeats in itself, so that matching it could take for ever")
            if least > _MOST_REPEATS:
                raise ValueError(f"a pattern repeats more than {_MOST_REPEATS} times")
            bits += (_WILDCARD if several else 1.0) if least != most else 0.0
            bits += _bits(inner, repeated=repeated or several)
        elif code is _constants.BRANCH:
            choices = 0.0 if _exclusive(value[1]) else log2(len(value[1]))
            if repeated and choices:
                raise ValueError("a pattern repeats a choice, so that matching it could take for ever")
            bits += choices + max(_bits(one, repeated=repeated) for one in value[1])
        elif code is _constants.SUBPATTERN:
            bits += _bits(value[-1], repeated=repeated)
        elif code in (_constants.ASSERT, _constants.ASSERT_NOT):
            bits += _bits(value[1], repeated=repeated)
        elif code is _constants.ATOMIC_GROUP:
            bits += _bits(value, repeated=repeated)
        elif code is _constants.GROUPREF_EXISTS:
            raise ValueError("a pattern has a condition, which is not read")
    return bits


def _exclusive(alternatives: Any) -> bool:  # noqa: ANN401
    """Tell whether at most one of the alternatives can match: all are plain text, and none begins another."""
    texts = []
    for one in alternatives:
        if any(code is not _constants.LITERAL for code, _ in one):
            return False
        texts.append("".join(chr(value) for _, value in one))
    return not any(first != second and second.startswith(first) for first in texts for second in texts) and len(
        set(texts)
    ) == len(texts)
