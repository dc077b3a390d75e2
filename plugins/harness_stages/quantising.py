"""A frozen base in 8 or 4 bits, by bitsandbytes."""

from __future__ import annotations

from typing import Any

from harness.api import MissingDependencyError


def quantisation(kind: str, dtype: str) -> Any:  # noqa: ANN401 - transformers is not typed
    """Return transformers' configuration for a base in few bits; None for `none`.

    Args:
        kind: `none`, `int8` (LLM.int8, arXiv 2208.07339) or `4bit` (NF4, arXiv 2305.14314).
        dtype: in which 4-bit weights are multiplied.

    Raises:
        MissingDependencyError: where bitsandbytes is not installed.
    """
    if kind == "none":
        return None
    import importlib.util

    import torch
    from transformers import BitsAndBytesConfig

    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingDependencyError("bitsandbytes", "quantise", needed_by=f"quantise: {kind}")
    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=getattr(torch, dtype)
    )
