"""Adapters that bring tokens of their own: which, and the rows of the embedding for them.

The tokens stand in adapter_config.json under `harness_vocabulary`, their rows beside the pairs in
adapter_model.safetensors. So the adapter's two files are all of it, and its id covers them. A base is never extended
where others use it: whoever loads such an adapter gives it a base of its own (`extend`), and hands peft the plain rest
(`write_plain`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import InputError

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


def extend(model: Any, tokenizer: Any, vocabulary: Vocabulary, *, folder: Path | None = None) -> None:  # noqa: ANN401
    """Add the tokens to a tokenizer and rows for them to a model, which nobody else may be using.

    Args:
        model: a causal language model of transformers.
        tokenizer: of the same base.
        vocabulary: what is added.
        folder: of the adapter whose rows they get; None gives each the mean of the rows of its old pieces.

    Raises:
        InputError: where the base has another tokenizer, or rows of another width, than the adapter was made for.
    """
    import torch

    if len(tokenizer) != vocabulary.first:
        raise InputError(
            f"the adapter's tokens follow {vocabulary.first} of its base's, and this tokenizer has {len(tokenizer)}",
            file=folder, hint="use the adapter with its own base",
        )  # fmt: skip
    old = [list(tokenizer(token, add_special_tokens=False)["input_ids"]) for token in vocabulary.tokens]
    add_tokens(tokenizer, vocabulary)
    embedding = model.get_input_embeddings()
    last = vocabulary.first + len(vocabulary.tokens)
    if embedding.weight.shape[0] < last:
        model.resize_token_embeddings(last, mean_resizing=False)
    tied = model.get_output_embeddings().weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    places = [(ROWS, model.get_input_embeddings().weight)]
    if not tied:
        places.append((HEAD_ROWS, model.get_output_embeddings().weight))
    stored = {} if folder is None else read_rows(folder)
    with torch.no_grad():
        for name, weight in places:
            if folder is None:
                rows = torch.stack([weight[ids].float().mean(dim=0) for ids in old])
            elif name not in stored or stored[name].shape != (len(old), weight.shape[1]):
                raise InputError("its rows for new tokens do not fit this base", file=folder,
                                 hint="use the adapter with its own base")  # fmt: skip
            else:
                rows = stored[name]
            weight[vocabulary.first : last] = rows.to(weight.dtype).to(weight.device)


def add_tokens(tokenizer: Any, vocabulary: Vocabulary) -> None:  # noqa: ANN401 - transformers is not typed
    """Add the tokens to a tokenizer, in order."""
    from tokenizers import AddedToken

    for number, token in enumerate(vocabulary.tokens):
        control = number < vocabulary.control
        added = AddedToken(token, normalized=False, special=control)
        tokenizer.add_tokens([added], special_tokens=control)


def read_rows(folder: Path) -> dict[str, Any]:
    """Return the rows for new tokens that an adapter holds, by the name of their tensor."""
    from safetensors import safe_open

    with safe_open(str(folder / "adapter_model.safetensors"), framework="pt") as file:
        return {name: file.get_tensor(name) for name in (ROWS, HEAD_ROWS) if name in file.keys()}  # noqa: SIM118


def write_whole(folder: Path, vocabulary: Vocabulary, rows: Mapping[str, Any]) -> None:
    """Put tokens and their rows into a plain adapter's two files."""
    from safetensors.torch import load_file, save_file

    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    save_file({**load_file(str(weights)), **{name: row.contiguous() for name, row in rows.items()}}, str(weights),
              metadata={"format": "pt"})  # fmt: skip
    content = json.loads(config.read_text("utf-8")) | {FIELD: vocabulary.plain()}
    config.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", "utf-8")


def write_plain(folder: Path) -> None:
    """Take tokens and rows out of a private copy of an adapter's two files, so that peft finds pairs alone."""
    from safetensors.torch import load_file, save_file

    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    content = json.loads(config.read_text("utf-8"))
    content.pop(FIELD, None)
    config.write_text(json.dumps(content), "utf-8")
    tensors = {name: tensor for name, tensor in load_file(str(weights)).items() if name not in {ROWS, HEAD_ROWS}}
    save_file(tensors, str(weights), metadata={"format": "pt"})
