"""What decides a local model's replies, told without loading anything."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from harness.hashing import sha256_text
from harness.weights import base_hash
from harness_models.hf.checking import check_adapters
from harness_models.hf.device import placement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.contracts import Surroundings
    from harness.types import Candidate, ModelSpec

ENGINE = "1"
"""Raised whenever scoring or decoding would give other replies."""


def fingerprint(spec: ModelSpec, candidate: Candidate, surroundings: Surroundings) -> Mapping[str, str]:
    """Return base, adapters, dtype, device kind, backend, engine and template as flat text.

    Raises:
        InputError: when weights are absent or damaged, or an adapter does not fit the base.
    """
    place = placement(spec)
    base = base_hash(spec, surroundings)
    check_adapters(spec, candidate.adapters, surroundings)
    template = candidate.template
    return {
        "base": base,
        "adapters": ",".join(adapter.id for adapter in candidate.adapters),
        "dtype": place.dtype,
        "device": place.device.partition(":")[0],
        "backend": backend(with_adapters=bool(candidate.adapters)),
        "engine": ENGINE,
        "template": template if template in ("auto", "none") else sha256_text(template),
    }


def backend(*, with_adapters: bool) -> str:
    """Return the packages that compute, with their versions."""
    packages = ["transformers", "torch", "tokenizers", *(["peft"] if with_adapters else [])]
    return " ".join(f"{package} {_version(package)}" for package in packages)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
