"""Where the project's own data and a person's weights live."""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import BrokenRunError


def data_dir(name: str) -> Path:
    """Return the folder `constitutions`, `suites` or `reports`: inside an installed wheel, or in the checkout.

    Raises:
        BrokenRunError: when the installation lacks it.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "_data" / name, here.parent / name):
        if folder.is_dir():
            return folder
    raise BrokenRunError(f"this installation lacks its {name} folder; install harness again")


def weights_dir() -> Path:
    """Return the store of downloaded weights: $HARNESS_WEIGHTS, or harness/weights in the user's cache folder."""
    given = os.environ.get("HARNESS_WEIGHTS")
    if given:
        return Path(given).expanduser().resolve()
    cache = os.environ.get("XDG_CACHE_HOME")
    base = Path(cache) if cache else Path.home() / ".cache"
    return base / "harness" / "weights"
