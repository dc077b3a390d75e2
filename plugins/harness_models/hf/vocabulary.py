"""Tokens that adapters bring: put into a tokenizer and a model, and taken out of what peft reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.api import InputError
from harness.api.weights import FIELD, HEAD_ROWS, ROWS, Vocabulary


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


def write_plain(folder: Path) -> None:
    """Take tokens and rows out of a private copy of an adapter's two files, so that peft finds pairs alone."""
    from safetensors.torch import load_file, save_file

    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    content = json.loads(config.read_text("utf-8"))
    content.pop(FIELD, None)
    config.write_text(json.dumps(content), "utf-8")
    tensors = {name: tensor for name, tensor in load_file(str(weights)).items() if name not in {ROWS, HEAD_ROWS}}
    save_file(tensors, str(weights), metadata={"format": "pt"})
