"""Weights: a catalog of pinned files, a store they are fetched into once, and their hashes.

`weights_path` and `weights_hash` find and check, `materialise` gives a base as a plain folder.
"""

from harness.weights.bases import base_hash, materialise
from harness.weights.catalog import CatalogEntry, catalog, catalog_entry
from harness.weights.header import tensor_shapes
from harness.weights.memo import folder_hash, memoised_sha256
from harness.weights.store import is_present, weights_folder, weights_hash, weights_path

__all__ = [
    "CatalogEntry",
    "base_hash",
    "catalog",
    "catalog_entry",
    "folder_hash",
    "is_present",
    "materialise",
    "memoised_sha256",
    "tensor_shapes",
    "weights_folder",
    "weights_hash",
    "weights_path",
]
