"""Cuts a long text into windows, so that each token is scored once with as much before it as fits well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness_models.hf.planning import Branches

if TYPE_CHECKING:
    from collections.abc import Sequence


def windows(ids: Sequence[int], start: int | None, window: int, stride: int | None = None) -> list[Branches]:
    """Return the windows of a text; their continuations, in order, are the text's tokens, each once.

    The first token is scored after `start`; where there is none it is not scored. The first window scores as many
    tokens as the model takes, each later one as many as the stride says; all are full, so that the tokens of a short
    last window have more before them. Without a stride these are the windows of lm-evaluation-harness
    (`get_rolling_token_windows` with a context of one token).

    Args:
        ids: the text's tokens.
        start: the token that stands before the text, or None.
        window: most tokens that the model takes at a time, at least 1; the last token of a sequence is only predicted.
        stride: most tokens that a later window scores; None or more than a window: a whole one.
    """
    tokens = ([] if start is None else [start]) + list(ids)
    step = window if stride is None else min(stride, window)
    result = []
    done, end = 1, min(len(tokens), window + 1)  # tokens before `done` are scored, or are the first
    while done < len(tokens):
        begin = max(0, end - window - 1)
        result.append(Branches(context=tuple(tokens[begin:done]), continuations=(tuple(tokens[done:end]),)))
        done, end = end, min(len(tokens), end + step)
    return result
