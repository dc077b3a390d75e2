"""The catalog of pinned weights and the store that they are fetched into, for plugins that fetch."""

from harness.paths import weights_dir
from harness.weights.catalog import CatalogEntry, HubSource, Pin, WheelSource, catalog, catalog_entry
from harness.weights.memo import reading_anew
from harness.weights.store import is_present, lock, weights_folder

__all__ = [
    "CatalogEntry",
    "HubSource",
    "Pin",
    "WheelSource",
    "catalog",
    "catalog_entry",
    "is_present",
    "lock",
    "reading_anew",
    "weights_dir",
    "weights_folder",
]
