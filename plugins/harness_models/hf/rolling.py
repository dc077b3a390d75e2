"""Cuts a long text into windows, so that each token is scored once with as much before it as fits well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness_models.hf.planning import Branches

if TYPE_CHECKING:
    from collections.abc import Sequence


def windows(ids: Sequence[int], start: int | None, window: int) -> list[Branches]:
    """Return the windows of a text; their continuations, in order, are the text's tokens, each once.

    The first token is scored after `start`; where there is none it is not scored. The first window is full; each later
    one moves on by half a window, so that every token in it has at least half a window before it.

    Args:
        ids: the text's tokens.
        start: the token that stands before the text, or None.
        window: most tokens of one sequence, at least 2.
    """
    tokens = ([] if start is None else [start]) + list(ids)
    result = []
    done, end = 1, min(len(tokens), window)  # tokens before `done` are scored, or are the first
    while done < len(tokens):
        begin = max(0, end - window)
        result.append(Branches(context=tuple(tokens[begin:done]), continuations=(tuple(tokens[done:end]),)))
        done, end = end, min(len(tokens), end + max(1, window // 2))
    return result
