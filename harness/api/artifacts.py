"""What was made, adapters and datasets among it, and files that appear whole: for plugins that make some."""

from harness.store.adapters import check_adapter as check_adapter
from harness.store.adapters import check_kept as check_kept
from harness.store.adapters import file_hashes as file_hashes
from harness.store.adapters import list_adapters as list_adapters
from harness.store.adapters import resolve_adapters as resolve_adapters
from harness.store.adapters import store_adapter as store_adapter
from harness.store.adapters import stored_adapter as stored_adapter
from harness.store.artifacts import DIGITS as DIGITS
from harness.store.artifacts import artifact_folder as artifact_folder
from harness.store.artifacts import artifacts as artifacts
from harness.store.artifacts import content_of as content_of
from harness.store.artifacts import content_path as content_path
from harness.store.artifacts import distinct as distinct
from harness.store.artifacts import find_made as find_made
from harness.store.artifacts import holding as holding
from harness.store.artifacts import identity_of as identity_of
from harness.store.artifacts import ids as ids
from harness.store.artifacts import injected_with as injected_with
from harness.store.artifacts import is_whole as is_whole
from harness.store.artifacts import keep_artifact as keep_artifact
from harness.store.artifacts import kinds as kinds
from harness.store.artifacts import made_by as made_by
from harness.store.artifacts import read_artifact as read_artifact
from harness.store.atomic import explained as explained
from harness.store.atomic import remove_folder as remove_folder
from harness.store.atomic import temporary_beside as temporary_beside
from harness.store.atomic import write_file as write_file

__all__ = [name for name in globals() if name[0] != "_"]
