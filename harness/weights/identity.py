"""An adapter's identity: a hash of what decides its answers."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.hashing import sha256_file, sha256_json
from harness.weights.lora import WEIGHTS_FILE, check_lora, read_adapter_config

if TYPE_CHECKING:
    from pathlib import Path

_PICKLED = ("adapter_model.bin", "adapter_model.pt", "pytorch_model.bin")
_WITHOUT_EFFECT = frozenset(
    {
        "auto_mapping", "base_model_name_or_path", "inference_mode", "lora_dropout", "peft_version", "revision",
        "runtime_config", "task_type",
    }
)  # fmt: skip
"""Fields of adapter_config.json that say where the adapter came from or how it was trained. They do not change what a
stored adapter answers, and the base's own identity stands beside the adapter's; every other field counts."""

_IN_ORDER = frozenset({"alpha_pattern", "rank_pattern"})


def adapter_id(folder: Path, *, fresh: bool = False) -> str:
    """Return an adapter's identity: 16 hexadecimal digits of the SHA-256 over its weights and its configuration.

    Args:
        folder: holds adapter_config.json and adapter_model.safetensors.
        fresh: read the weights again even where the file looks unchanged since this process hashed it.

    Raises:
        InputError: when the folder is no adapter, its configuration is malformed, its weights are damaged, hold a
            tensor that the configuration does not explain, or are pickled, since loading a pickle runs the code in it.
    """
    config = _config(folder)
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        pickled = next((name for name in _PICKLED if (folder / name).is_file()), None)
        if pickled:
            raise InputError(
                "the adapter is pickled, and loading a pickle runs whatever code is in it", file=folder / pickled,
                hint="save it again with peft's save_pretrained, which writes adapter_model.safetensors",
            )  # fmt: skip
        raise InputError("the adapter has no adapter_model.safetensors", file=folder, hint="copy or train it again")
    if not check_lora(folder):
        raise InputError("holds no tensors", file=weights, hint="copy or train the adapter again")
    if fresh:
        digest = sha256_file(weights)
    else:
        stat = weights.stat()
        digest = _weights_sha256(
            weights.resolve(), (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        )
    return sha256_json({"config": config, "weights": digest})[:16]


@lru_cache(maxsize=256)
def _weights_sha256(path: Path, identity: tuple[int, ...]) -> str:  # noqa: ARG001 - the identity is the memo's key
    return sha256_file(path)


def _config(folder: Path) -> dict[str, Any]:
    """Return the fields that decide what the adapter answers."""
    config = read_adapter_config(folder).items()
    return {key: _counted(key, value) for key, value in config if key not in _WITHOUT_EFFECT and value is not None}


def _counted(key: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a value as it counts: lists of names sorted, as peft saves sets; patterns in order, the first that matches
    being the one that peft takes. peft saves them sorted, which counts as it did before order was looked at.
    """
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return sorted(value)
    if key in _IN_ORDER and isinstance(value, dict) and list(value) != sorted(value):
        return [[name, one] for name, one in value.items()]
    return value
