"""A tokenizer from its `tokenizer.json` alone, where transformers would do no more: importing that takes seconds."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_KINDS = {"TokenizersBackend", "PreTrainedTokenizerFast"}
"""Classes that take `tokenizer.json` as it is; the others build their tokenizer anew."""
_NAMED = ("bos_token", "eos_token", "unk_token", "pad_token")
_PASSED_OVER = {
    "backend", "is_local", "local_files_only", "model_max_length", "tokenizer_class", "clean_up_tokenization_spaces",
    "padding_side", "model_input_names", "return_token_type_ids",
}  # fmt: skip
_NO_LIMIT = 10**30


def tokenizer_of(folder: Path) -> PlainTokenizer | None:
    """Return a folder's tokenizer; None where its configuration asks for more than this one does."""
    file = folder / "tokenizer.json"
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    named = {name: config[name] for name in _NAMED if config.get(name) is not None}
    others = [path for path in folder.iterdir() if path.name in {"special_tokens_map.json", "added_tokens.json"}]
    if (
        config.get("tokenizer_class") not in _KINDS
        or config.keys() - _PASSED_OVER - set(_NAMED)
        or others
        or not file.is_file()
        or not all(isinstance(token, str) for token in named.values())
    ):
        return None
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(file))
    special = {added.content for added in backend.get_added_tokens_decoder().values() if added.special}
    if not set(named.values()) <= special:
        return None  # transformers would add them, or make them special
    backend.no_truncation()
    backend.no_padding()
    template = folder / "chat_template.jinja"
    text = template.read_text(encoding="utf-8") if template.is_file() else None
    return PlainTokenizer(backend, named, text, int(config.get("model_max_length") or _NO_LIMIT))


class PlainTokenizer:
    """What the engine uses of a transformers tokenizer, under the same names.

    Args:
        backend: a `tokenizers.Tokenizer`.
        named: special tokens by name, such as `bos_token`.
        template: chat template, or None.
        longest: most tokens of a text.
    """

    def __init__(self, backend: Any, named: Mapping[str, str], template: str | None, longest: int) -> None:  # noqa: ANN401
        self._backend = backend
        self.special_tokens_map = dict(named)
        self.all_special_tokens = list(dict.fromkeys(named.values()))
        self.chat_template = template
        self.model_max_length = longest
        self.bos_token_id = self._number("bos_token")
        self.eos_token_id = self._number("eos_token")

    def _number(self, name: str) -> int | None:
        token = self.special_tokens_map.get(name)
        number: int | None = None if token is None else self._backend.token_to_id(token)
        return number

    def __len__(self) -> int:
        size: int = self._backend.get_vocab_size(with_added_tokens=True)
        return size

    def __call__(
        self, text: str | Sequence[str], *, add_special_tokens: bool = True, split_special_tokens: bool = False
    ) -> dict[str, Any]:
        """Return `input_ids` of a text, or of each of several."""
        self._backend.encode_special_tokens = split_special_tokens
        if isinstance(text, str):
            return {"input_ids": self._backend.encode(text, add_special_tokens=add_special_tokens).ids}
        found = self._backend.encode_batch(list(text), add_special_tokens=add_special_tokens)
        return {"input_ids": [one.ids for one in found]}

    def decode(
        self, ids: Sequence[int], *, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool = False
    ) -> str:
        """Return the text of tokens; spaces are never cleaned up."""
        if clean_up_tokenization_spaces:
            raise ValueError("a plain tokenizer does not clean up spaces")
        text: str = self._backend.decode(list(ids), skip_special_tokens=skip_special_tokens)
        return text

    def convert_ids_to_tokens(self, token: int) -> str | None:
        """Return how a token is written in the vocabulary."""
        found: str | None = self._backend.id_to_token(token)
        return found

    @property
    def added_tokens_decoder(self) -> dict[int, Any]:
        """Added tokens by number, in the order of numbers."""
        return dict(sorted(self._backend.get_added_tokens_decoder().items()))
