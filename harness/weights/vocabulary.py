"""Adapters that bring tokens of their own: which, and the rows of the embedding for them.

The tokens stand in adapter_config.json under `harness_vocabulary`, their rows beside the pairs in
adapter_model.safetensors. So the adapter's two files are all of it, and its id covers them. A base is never extended
where others use it: whoever loads such an adapter gives it a base of its own (`extend`), and hands peft the plain rest
(`write_plain`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.services import service

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FIELD = "harness_vocabulary"
ROWS, HEAD_ROWS = "harness_vocabulary.rows", "harness_vocabulary.head_rows"
_MOST = 100_000
_AGAIN = "copy or train the adapter again"


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Tokens behind those of the base."""

    first: int
    """Id of the first: how many tokens the base's tokenizer has."""
    tokens: tuple[str, ...]
    control: int
    """How many of them, from the first, are control tokens, which no message can spell out."""

    def plain(self) -> dict[str, Any]:
        """Return the field of adapter_config.json."""
        return {"first": self.first, "tokens": list(self.tokens), "control": self.control}


def vocabulary_of(config: Mapping[str, Any], file: Path) -> Vocabulary | None:
    """Return the tokens that an adapter's configuration brings; None where it brings none.

    Raises:
        InputError: where the field is not what it should be.
    """
    field = config.get(FIELD)
    if field is None:
        return None
    given = field if isinstance(field, dict) else {}
    tokens, first, control = given.get("tokens"), given.get("first"), given.get("control")
    if (
        not isinstance(tokens, list) or not isinstance(first, int) or not isinstance(control, int)
        or not 0 < len(tokens) <= _MOST or first < 0 or not 0 <= control <= len(tokens)
        or not all(isinstance(token, str) and token.strip() for token in tokens) or len(set(tokens)) < len(tokens)
    ):  # fmt: skip
        raise InputError("is no list of distinct tokens with `first` and `control`", file=file, key=FIELD, hint=_AGAIN)
    return Vocabulary(first=first, tokens=tuple(tokens), control=control)


def unexplained_rows(vocabulary: Vocabulary | None, name: str, shape: tuple[int, ...]) -> str:
    """Say why the configuration does not explain rows; empty where it does."""
    if vocabulary is None:
        return f"the configuration has no {FIELD}"
    wanted = len(vocabulary.tokens)
    return "" if len(shape) == 2 and shape[0] == wanted else f"it has not the {wanted} rows of {FIELD} ({name})"


extend: Callable[..., None] = service("extend vocabulary")
"""Add tokens to a tokenizer and rows to a model: `extend(model, tokenizer, vocabulary, folder=None)`."""
add_tokens: Callable[[Any, Vocabulary], None] = service("add tokens")
"""Add the tokens to a tokenizer, in order."""
read_rows: Callable[[Path], dict[str, Any]] = service("read vocabulary rows")
"""Return the rows for new tokens that an adapter's folder holds, by the name of their tensor."""
write_plain: Callable[[Path], None] = service("write without vocabulary")
"""Take tokens and rows out of a private copy of an adapter's two files, so that peft finds pairs alone."""
