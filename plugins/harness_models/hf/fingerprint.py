"""What decides a local model's replies, told without loading anything."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import base_hash, sha256_text
from harness_models.hf.checking import check_adapters
from harness_models.hf.device import placement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.api import Candidate, ModelSpec, RunContext

_DATE = "strftime_now"
"""What chat templates call for today's date."""
ENGINE = "7"
"""Raised whenever scoring or decoding would give other replies, or what was stored must not be believed."""


def fingerprint(spec: ModelSpec, candidate: Candidate, context: RunContext) -> Mapping[str, str]:
    """Return base, adapters, dtype, device kind, backend, engine and template as flat text.

    Raises:
        InputError: when weights are absent or damaged, or an adapter does not fit the base.
    """
    place = placement(spec)
    base = base_hash(spec, context)
    check_adapters(spec, candidate.adapters, context)
    template = candidate.template
    return {
        "base": base,
        "adapters": ",".join(adapter.id for adapter in candidate.adapters),
        "dtype": place.dtype,
        "device": place.device.partition(":")[0],
        "backend": backend(with_adapters=bool(candidate.adapters)),
        "engine": ENGINE,
        "template": template if template in ("auto", "none") else sha256_text(template),
        **({"day": datetime.now(UTC).date().isoformat()} if _dated(spec, template) else {}),
    }


def _dated(spec: ModelSpec, template: str) -> bool:
    """Tell whether the chat template writes today's date, so that yesterday's replies are not today's."""
    if template == "none":
        return False
    if template != "auto":
        return _DATE in template
    folder = Path(spec.name)
    files = [folder / "chat_template.jinja", folder / "tokenizer_config.json"]
    return any(path.is_file() and _DATE in path.read_text(encoding="utf-8", errors="replace") for path in files)


def backend(*, with_adapters: bool) -> str:
    """Return the packages that compute, with their versions."""
    packages = ["transformers", "torch", "tokenizers", *(["peft"] if with_adapters else [])]
    return " ".join(f"{package} {package_version(package)}" for package in packages)


def package_version(package: str) -> str:
    """Return an installed package's version, or `absent`."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
