"""What a run record says of where it ran: versions, by metadata and without an import."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.plugins import PluginInfo

_PACKAGES = ("torch", "transformers", "peft", "numpy", "scipy")


def environment(plugins: Iterable[PluginInfo]) -> dict[str, str]:
    """Return versions of Python, the packages that decide numbers, and every plugin that is not bundled."""
    found = {"python": platform.python_version(), "platform": platform.platform(terse=True)}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    found.update({f"plugin {info.name}": info.version for info in plugins if info.origin != "bundled"})
    return found
