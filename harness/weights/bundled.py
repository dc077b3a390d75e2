"""Adapters that ship with harness, each file pinned by its SHA-256.

They lie beside the bundled plugin that uses them, in its `data/NAME/`; `data/adapters.json` there names them, the base
that each is for, and what every file must be. People name one as `harness:NAME`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from harness.errors import InputError, unknown_name
from harness.hashing import sha256_file
from harness.hookspecs import BUNDLED

BUNDLED_PREFIX = "harness:"
"""How a reference to one of them begins."""


@dataclass(frozen=True, kw_only=True)
class BundledAdapter:
    """One adapter that ships with harness."""

    folder: Path
    base: str
    """The catalog's name of the base that it was trained on."""
    files: Mapping[str, str]
    """SHA-256 by file name."""
    role: str = ""
    """Which role it plays where nobody else is bound; empty for none."""
    formerly: str = ""
    """The name that it had before; empty for none."""


@cache
def bundled_adapters() -> Mapping[str, BundledAdapter]:
    """Return them by name."""
    found: dict[str, BundledAdapter] = {}
    for package in BUNDLED:
        spec = find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            pins = Path(place) / "data" / "adapters.json"
            for name, row in json.loads(pins.read_text(encoding="utf-8")).items() if pins.is_file() else ():
                found[name] = BundledAdapter(
                    folder=pins.parent / name, base=row["base"], files=row["files"], role=row.get("role", ""),
                    formerly=row.get("formerly", ""),
                )  # fmt: skip
    return found


def shipped_for(role: str) -> tuple[str, str] | None:
    """Return the base and the adapter, as references, that play a role where nobody is bound; None where none ships."""
    found = (
        (one.base, f"{BUNDLED_PREFIX}{name}") for name, one in bundled_adapters().items() if role and one.role == role
    )
    return next(found, None)


@cache
def shipped_dtype() -> str:
    """Return the number format of the small base that shipped adapters stand on, where nobody names one.

    bfloat16 where the processor multiplies in it (some five times as fast), else `auto`. All such roles share one base.
    """
    try:
        return "bfloat16" if "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8") else "auto"
    except OSError:
        return "auto"


def bundled_hash(name: str) -> str:
    """Return the SHA-256 of the weights that `harness:NAME` is pinned to."""
    return bundled_adapters()[name.removeprefix(BUNDLED_PREFIX)].files["adapter_model.safetensors"]


def bundled_adapter(reference: str) -> Path:
    """Return the folder that `harness:NAME` means, its files checked.

    Raises:
        InputError: for an unknown or former name, or a file that is not the one that shipped.
    """
    known = {f"{BUNDLED_PREFIX}{name}": adapter for name, adapter in bundled_adapters().items()}
    for name, adapter in known.items():
        if reference == f"{BUNDLED_PREFIX}{adapter.formerly}" and adapter.formerly:
            raise InputError(f"the adapter {reference} is called {name} now", hint=f"write {name}")
    if reference not in known:
        raise unknown_name("adapter that ships with harness", reference, known)
    adapter = known[reference]
    for name, pin in adapter.files.items():
        file = adapter.folder / name
        found = sha256_file(file) if file.is_file() else "nothing"
        if found != pin:
            raise InputError(
                f"is not the file that ships with harness: its SHA-256 is {found}, not {pin}", file=file,
                hint="install harness again",
            )  # fmt: skip
    return adapter.folder
