"""What a run record says of where it ran: versions, by metadata and without an import."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from harness.engine.replies import FORMAT, REPLY_FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.plugins import PluginInfo
    from harness.types import RunRecord

_PACKAGES = ("torch", "transformers", "peft", "numpy", "scipy")
_PLUGIN = "plugin "


def environment(plugins: Iterable[PluginInfo]) -> dict[str, str]:
    """Return the format of cached replies, and versions of Python, deciding packages and plugins of others."""
    found = {REPLY_FORMAT: str(FORMAT), "python": platform.python_version(), "platform": platform.platform(terse=True)}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found | plugin_versions(plugins)


def plugin_versions(plugins: Iterable[PluginInfo]) -> dict[str, str]:
    """Return the version of every plugin that is not bundled, under the key that run records have for it."""
    return {f"{_PLUGIN}{info.name}": info.version for info in plugins if info.origin != "bundled"}


def plugin_versions_of(record: RunRecord) -> dict[str, str]:
    """Return what `plugin_versions` gave when a stored run was made."""
    return {name: value for name, value in record.environment.items() if name.startswith(_PLUGIN)}
