"""Where a text ends, and which part of a growing text is settled: stop strings and streaming, token by token.

Neither decodes the whole text at every token. A stop string can only be completed by a token that brings its last
character, which is looked up; the few tokens that could are followed by decoding the end of the text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

Decode = Callable[[Sequence[int]], str]
"""Token ids to text, without control tokens."""

_BROKEN = "\N{REPLACEMENT CHARACTER}"
"""What a decoder writes for bytes that are no character (yet)."""
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_SLACK = 8
"""Tokens decoded before those that can hold a stop string, because tokens may be empty or cut a character."""


class Stops:
    """The stop strings of a request.

    Args:
        stops: non-empty strings; none at all is allowed. Those that are control tokens never stand in a decoded text.
        decode: token ids to text.
    """

    def __init__(self, stops: Sequence[str], decode: Decode) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._decode = decode
        self._last = frozenset(stop[-1] for stop in self._stops)
        self._longest = max((len(stop.encode()) for stop in self._stops), default=0)
        self._may_complete: dict[int, bool] = {}

    def met(self, tokens: Sequence[int]) -> bool:
        """Tell whether the newest of the tokens completes a stop string."""
        if not self._stops:
            return False
        newest = tokens[-1]
        possible = self._may_complete.get(newest)
        if possible is None:
            # Twice, because some decoders drop the space before a first token.
            text = self._decode([newest, newest])
            possible = self._may_complete[newest] = _BROKEN in text or not self._last.isdisjoint(text)
        return possible and self._at_the_end(tokens)

    def cut(self, text: str) -> str | None:
        """Return the text before the first stop string; None where none is in it."""
        found = [place for place in map(text.find, self._stops) if place >= 0]
        return text[: min(found)] if found else None

    def safe_length(self, text: str) -> int:
        """Return how much of the text is certainly before a stop string that its end may have begun."""
        held = 0
        for stop in self._stops:
            for length in range(min(len(stop) - 1, len(text)), held, -1):
                if text.endswith(stop[:length]):
                    held = length
                    break
        return len(text) - held

    def _at_the_end(self, tokens: Sequence[int]) -> bool:
        """Look for a stop string in the last tokens, of which each brings a byte or is empty."""
        count = self._longest + _SLACK
        while True:
            text = self._decode(tokens[-count:])
            if any(stop in text for stop in self._stops):
                return True
            # Some decoders give up a whole run of bytes where its first ones are cut off.
            if count >= len(tokens) or (len(text) >= self._longest + _SLACK and _BROKEN not in text):
                return False
            count *= 2


def control_tokens(tokenizer: Any) -> dict[str, int]:  # noqa: ANN401 - a transformers tokenizer
    """Return the control tokens by how they are written; decoding leaves them out, so no text shows them."""
    return {str(token): number for number, token in tokenizer.added_tokens_decoder.items() if token.special}


def byte_tokens(tokenizer: Any) -> Callable[[int], bool]:  # noqa: ANN401 - a transformers tokenizer
    """Return what tells the tokens that stand for a byte where a vocabulary lacks a character."""

    @functools.cache
    def is_byte(token: int) -> bool:
        return _BYTE.fullmatch(str(tokenizer.convert_ids_to_tokens(token))) is not None

    return is_byte


class TextStream:
    """Hands out a growing text in pieces that add up to the final text.

    A piece never ends within a character, nor holds any part of a stop string.

    Args:
        decode: token ids to text.
        stops: the stop strings of the request.
        emit: called with each new piece, never empty.
        is_byte: tells whether a token stands for a single byte. A run of such tokens is decoded as a whole: one more
            can still change what the ones before it mean.
    """

    def __init__(
        self, decode: Decode, stops: Stops, emit: Callable[[str], None], is_byte: Callable[[int], bool]
    ) -> None:
        self._decode = decode
        self._stops = stops
        self._emit = emit
        self._is_byte = is_byte
        self._context = 0
        self._read = 0
        self._held = ""
        self._sent = 0

    def push(self, tokens: Sequence[int]) -> None:
        """Take note of all tokens so far, the newest of which completes no stop string."""
        if self._is_byte(tokens[-1]):
            return
        # Decoding from the place before the last one gives the new text as it reads behind what precedes it.
        text = self._decode(tokens[self._context :])
        new = text[len(self._decode(tokens[self._context : self._read])) :]
        if not new or text.endswith(_BROKEN):
            return
        self._context, self._read = self._read, len(tokens)
        self._held += new
        safe = self._stops.safe_length(self._held)
        self._send(self._held[:safe])
        self._held = self._held[safe:]

    def close(self, text: str) -> None:
        """Hand out what is left of the final text."""
        self._send(text[self._sent :])

    def _send(self, piece: str) -> None:
        if piece:
            self._sent += len(piece)
            self._emit(piece)
