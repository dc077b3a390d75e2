"""The catalog of pinned weights, the store that they are fetched into, and adapters that bring tokens of their own."""

from harness.paths import weights_dir
from harness.weights.bundled import bundled_adapter, bundled_hash, shipped_dtype
from harness.weights.catalog import CatalogEntry, HubSource, Pin, WheelSource, catalog, catalog_entry
from harness.weights.lora import read_vocabulary
from harness.weights.memo import file_hashes, reading_anew
from harness.weights.store import is_present, lock, weights_folder
from harness.weights.vocabulary import (
    FIELD,
    HEAD_ROWS,
    ROWS,
    Vocabulary,
    add_tokens,
    extend,
    read_rows,
    write_plain,
    write_whole,
)

__all__ = [
    "FIELD",
    "HEAD_ROWS",
    "ROWS",
    "CatalogEntry",
    "HubSource",
    "Pin",
    "Vocabulary",
    "WheelSource",
    "add_tokens",
    "bundled_adapter",
    "bundled_hash",
    "catalog",
    "catalog_entry",
    "extend",
    "file_hashes",
    "is_present",
    "lock",
    "read_rows",
    "read_vocabulary",
    "reading_anew",
    "shipped_dtype",
    "weights_dir",
    "weights_folder",
    "write_plain",
    "write_whole",
]
