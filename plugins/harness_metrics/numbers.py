"""Reading numbers out of replies, exactly."""

from __future__ import annotations

import re
from fractions import Fraction

_PLAIN = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3}(?![\w]))?|\.\d+"
_NUMBER = re.compile(
    # The sign counts only where no word, digit or closing bracket stands before it: "10-5" holds 10 and 5.
    rf"(?<![\w.])(?P<sign>(?<![\w)\]])[-−–+]\s?(?=[$€£¥]?\.?\d))?[$€£¥]?\s?"
    rf"(?:(?P<whole>\d+)\s+(?P<over>\d+)\s?/\s?(?P<under>\d+)(?![\d/])"
    rf"|(?P<top>{_PLAIN})(?:\s?/\s?(?P<bottom>{_PLAIN})(?![\d/]))?)"
)
_LONGEST = 300
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
_TEX_FRACTION = re.compile(r"\\[dt]?frac\{(-?\d+)\}\{(\d+)\}")


def numbers(text: str) -> list[Fraction]:
    r"""Return the numbers in the text, in order.

    Read are: a sign (also the Unicode minus), a currency sign before the number, thousands separated by commas,
    decimals with a point, powers of ten (1e5), fractions a/b and \frac{a}{b}, and mixed numbers (1 1/2). A per-cent
    sign is dropped, so 50% is 50. Not read are: numbers in words, decimal commas, digits inside a word (H2O), and what
    takes more than 300 characters.
    """
    text = _TEX_FRACTION.sub(r" \1/\2 ", text)
    found = []
    for match in _NUMBER.finditer(text):
        if len(match.group()) > _LONGEST:
            continue
        value = _value(match)
        if value is not None:
            found.append(-value if (match["sign"] or "").strip() in {"-", "−", "–"} else value)
    return found


def _value(match: re.Match[str]) -> Fraction | None:
    if match["whole"] is not None:
        under = int(match["under"])
        return Fraction(match["whole"]) + Fraction(int(match["over"]), under) if under else None
    top = Fraction(match["top"].replace(",", ""))
    if match["bottom"] is None:
        return top
    bottom = Fraction(match["bottom"].replace(",", ""))
    return top / bottom if bottom else None


def final_number(text: str) -> Fraction | None:
    r"""Return the number a reply ends on: the first after its last `####`, else the last in its last \boxed{},
    else the last of all. None where there is none."""  # fmt: skip
    if "####" in text:
        after = numbers(text.rsplit("####", 1)[1])
        if after:
            return after[0]
    boxed = _BOXED.findall(_TEX_FRACTION.sub(r" \1/\2 ", text))
    if boxed and (inside := numbers(boxed[-1])):
        return inside[-1]
    found = numbers(text)
    return found[-1] if found else None
