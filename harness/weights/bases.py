"""A base as a plain folder, and its hash: services of the plugin that reads such weights."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from harness.contracts import RunContext
from harness.services import service
from harness.types import ModelSpec

materialise: Callable[[ModelSpec, RunContext], Path] = service("materialise")
"""Return a folder with the base's config.json, tokenizer with chat template, and safetensors; a GGUF is converted once.

Raises InputError when the weights are absent or damaged, with the next step."""
base_hash: Callable[[ModelSpec, RunContext], str] = service("base hash")
"""Return the SHA-256 that pins the base, memoised by file identity, without torch; raises as `materialise`."""
base_shapes_folder: Callable[[ModelSpec, RunContext], Path | None] = service("base shapes folder")
"""Return the folder whose safetensors headers tell the base's shapes; None where it is not made yet."""
asking_no_hub: Callable[[], AbstractContextManager[None]] = service("asking no hub")
"""Keep libraries that load from a local folder from asking the hub, for the length of a `with` block."""
