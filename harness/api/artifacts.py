"""What was made, adapters and datasets among it, and files that appear whole: for plugins that make some."""

from harness.store.adapters import (
    check_adapter,
    check_kept,
    file_hashes,
    list_adapters,
    resolve_adapters,
    store_adapter,
    stored_adapter,
)
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
    injected_with,
    is_whole,
    keep_artifact,
    made_by,
    read_artifact,
)
from harness.store.atomic import explained, temporary_beside, write_file
from harness.store.models import check_model, model_files

__all__ = [
    "DIGITS",
    "artifact_folder",
    "artifacts",
    "check_adapter",
    "check_kept",
    "check_model",
    "content_of",
    "content_path",
    "distinct",
    "explained",
    "file_hashes",
    "find_made",
    "holding",
    "identity_of",
    "injected_with",
    "is_whole",
    "keep_artifact",
    "list_adapters",
    "made_by",
    "model_files",
    "read_artifact",
    "resolve_adapters",
    "store_adapter",
    "stored_adapter",
    "temporary_beside",
    "write_file",
]
