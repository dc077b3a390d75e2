"""The catalog of pinned weights, the store that they are fetched into, and adapters that bring tokens of their own."""

from harness.paths import weights_dir as weights_dir
from harness.weights.bundled import bundled_adapter as bundled_adapter
from harness.weights.bundled import bundled_hash as bundled_hash
from harness.weights.bundled import shipped_dtype as shipped_dtype
from harness.weights.catalog import CatalogEntry as CatalogEntry
from harness.weights.catalog import HubSource as HubSource
from harness.weights.catalog import Pin as Pin
from harness.weights.catalog import WheelSource as WheelSource
from harness.weights.catalog import catalog as catalog
from harness.weights.catalog import catalog_entry as catalog_entry
from harness.weights.lora import pair_scale as pair_scale
from harness.weights.lora import read_vocabulary as read_vocabulary
from harness.weights.memo import file_hashes as file_hashes
from harness.weights.memo import folder_hash as folder_hash
from harness.weights.memo import folder_state as folder_state
from harness.weights.memo import reading_anew as reading_anew
from harness.weights.store import is_present as is_present
from harness.weights.store import lock as lock
from harness.weights.store import weights_folder as weights_folder
from harness.weights.vocabulary import FIELD as FIELD
from harness.weights.vocabulary import HEAD_ROWS as HEAD_ROWS
from harness.weights.vocabulary import ROWS as ROWS
from harness.weights.vocabulary import Vocabulary as Vocabulary
from harness.weights.vocabulary import add_tokens as add_tokens
from harness.weights.vocabulary import extend as extend
from harness.weights.vocabulary import read_rows as read_rows
from harness.weights.vocabulary import write_plain as write_plain

__all__ = [name for name in globals() if name[0] != "_"]
