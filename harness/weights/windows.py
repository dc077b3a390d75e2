"""Makes any text safe to hand to tokenizers, and cuts a long one into windows that fit a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")


def encodable(text: str) -> str:
    """Return the text with each lone surrogate and NUL replaced by U+FFFD.

    Tokenizers written in Rust or C refuse lone surrogates, which are not encodable. One character stands for one, so
    that offsets into the result are offsets into the text.
    """
    return _SURROGATE.sub("\ufffd", text).replace("\x00", "\ufffd")


def cut_windows(texts: Sequence[str], tokenizer: Any, size: int) -> list[list[str]]:  # noqa: ANN401 - a transformers tokenizer
    """Return, for each text, the parts of it that hold at most `size` tokens each, in order.

    Lone surrogates and NULs are replaced first. Windows do not overlap and are cut between tokens. A text without
    tokens gives one window: itself.

    Args:
        texts: any strings.
        tokenizer: a fast transformers tokenizer.
        size: tokens per window, special tokens not counted.
    """
    cleaned = [encodable(text) for text in texts]
    if not cleaned:
        return []
    encoded = tokenizer(cleaned, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    windows: list[list[str]] = []
    for text, offsets in zip(cleaned, encoded["offset_mapping"], strict=True):
        if len(offsets) <= size:
            windows.append([text])
            continue
        starts = [0] + [int(offsets[index][0]) for index in range(size, len(offsets), size)]
        ends = [*starts[1:], len(text)]
        windows.append([text[start:end] for start, end in zip(starts, ends, strict=True)])
    return windows
