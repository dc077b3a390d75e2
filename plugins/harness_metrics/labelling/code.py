"""Telling code from prose, so that code is not read as broken prose."""

from __future__ import annotations

import re

FENCE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_LINE = re.compile(
    r"[;{}]\s*$|[\w\])]\([^()]*(?:\)|$)|^\s*[)\]}]+,?\s*$|\w[\])]?\s(?:=|==|!=|\+=|-=|->|=>|<=|>=|&&|\|\|"
    r"|:=)\s[\w\"'\[({*-]"
    r"|^\s*(?:import \w|from [\w.]+ import|def \w|class \w+\s*[:({]|return\b|assert \w|raise \w|@\w|#include|#!/|//"
    r"|/\*|<!--|</?\w+[ >/]"
    r"|SELECT\b|INSERT\b|CREATE\b|UPDATE\b|\$ \w|(?:if|elif|for|while|with|try|except|else)\b.*:\s*$)"
    r"|^\s*[\"'\[({].*[\"'\])}],?\s*$|^\s*(?:- )?[\w.-]+:(?:\s[\[{|>\"'].*|\s*)$|^\s*\|.*\|\s*$"
)
_BRACKET = re.compile(r"[(){};]")
_MINIFIED = re.compile(r"[(){};=<>:,]")
_MARK = re.compile(r"[{}()\[\];=<>_/\\|`\"#$%&*+:]")


def is_code(text: str) -> bool:
    """Tell whether a text without fences is mostly code: at least three lines of it, and two in five."""
    dense = "".join(text.split())
    brackets, marks = len(_BRACKET.findall(dense)), len(_MINIFIED.findall(dense))
    if len(dense) >= 40 and brackets > 0.04 * len(dense) and marks > 0.1 * len(dense):
        return True
    lines = [line for line in text.split("\n") if line.strip()]
    code = sum(_LINE.search(line) is not None for line in lines)
    return code >= 3 and code >= 0.4 * len(lines)


def without_code(text: str) -> str:
    """Return the prose of a text: no fenced block, nothing where the rest is code, else no line of many marks."""
    plain = FENCE.sub("\n", text)
    if is_code(plain):
        return ""
    return "\n".join(line for line in plain.split("\n") if not _dense(line))


def _dense(line: str) -> bool:
    """Tell whether a line of several words is full of the marks that code has."""
    packed = "".join(line.split())
    return len(_MARK.findall(packed)) > 0.12 * len(packed) and " " in line.strip()
