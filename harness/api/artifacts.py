"""What was made, adapters and datasets among it, and files that appear whole: for plugins that make some."""

from harness.store.adapters import check_kept, resolve_adapters, store_adapter, stored_adapter
from harness.store.artifacts import (
    DIGITS,
    artifact_folder,
    artifacts,
    content_of,
    content_path,
    distinct,
    find_made,
    holding,
    identity_of,
    keep_artifact,
    made_by,
    planted_with,
    read_artifact,
)
from harness.store.atomic import explained, temporary_beside, write_file

__all__ = [
    "DIGITS",
    "artifact_folder",
    "artifacts",
    "check_kept",
    "content_of",
    "content_path",
    "distinct",
    "explained",
    "find_made",
    "holding",
    "identity_of",
    "keep_artifact",
    "made_by",
    "planted_with",
    "read_artifact",
    "resolve_adapters",
    "store_adapter",
    "stored_adapter",
    "temporary_beside",
    "write_file",
]
