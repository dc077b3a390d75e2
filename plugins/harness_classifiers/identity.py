"""What identifies a classifier in the cache, and the packages that it cannot do without."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from importlib import metadata

from harness.api import MissingDependencyError, sha256_json


def fingerprint_of(
    name: str, *, version: int, weights: str, options: Mapping[str, object], packages: Sequence[str]
) -> str:
    """Return the SHA-256 of all that decides a classifier's findings.

    Args:
        name: the registered name.
        version: raised whenever the code gives other findings for the same input.
        weights: hash of the weights.
        options: the effective options, defaults filled in; JSON values.
        packages: distributions whose version may change the findings.
    """
    return sha256_json(
        {
            "classifier": name, "version": version, "weights": weights, "options": dict(options),
            "packages": {package: version_of(package) for package in packages},
        }
    )  # fmt: skip


def version_of(distribution: str) -> str:
    """Return an installed distribution's version, or `absent`."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"


def require_package(module: str, *, distribution: str, needed_by: str) -> None:
    """Check that a module can be imported, without importing it.

    Raises:
        MissingDependencyError: naming the command that installs it.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingDependencyError(distribution, "safety", needed_by=needed_by)
