"""LoRA adapters on disk: their identity, and what a person may write to mean one."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import BrokenRunError, InputError, unknown_name
from harness.hashing import sha256_file, sha256_json
from harness.store.atomic import new_folder, write_into
from harness.store.promoted import promoted
from harness.types import AdapterSpec
from harness.weights.lora import CONFIG_FILE, WEIGHTS_FILE, check_lora, read_adapter_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.store.workspace import Workspace

__all__ = ["adapter_id", "list_adapters", "promoted", "resolve_adapters", "store_adapter"]

PROMOTED = "promoted"
"""The reference that means the adapters of what is promoted."""

_KEPT = (CONFIG_FILE, WEIGHTS_FILE, "stage.json", "README.md")
"""What is copied into the workspace; never tokenizers, optimizer states or pickles."""
_PICKLED = ("adapter_model.bin", "adapter_model.pt", "pytorch_model.bin")
_WITHOUT_EFFECT = frozenset(
    {
        "auto_mapping", "base_model_name_or_path", "inference_mode", "lora_dropout", "peft_version", "revision",
        "runtime_config", "task_type",
    }
)  # fmt: skip
"""Fields of adapter_config.json that say where the adapter came from or how it was trained. They do not change what a
stored adapter answers, and the base's own identity stands beside the adapter's; every other field counts."""


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
    """Return the fields that decide what the adapter answers; lists of names are sorted, as peft saves sets."""
    return {
        key: sorted(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else value
        for key, value in read_adapter_config(folder).items()
        if key not in _WITHOUT_EFFECT and value is not None
    }


def list_adapters(workspace: Workspace) -> list[str]:
    """Return the ids of the adapters that the workspace keeps."""
    return sorted(path.name for path in workspace.adapters.iterdir() if _is_id(path.name) and path.is_dir())


def _is_id(name: str) -> bool:
    return len(name) == 16 and set(name) <= set("0123456789abcdef")


def resolve_adapters(references: Sequence[str], workspace: Workspace | None) -> tuple[AdapterSpec, ...]:
    """Return the adapters that the references mean, in order.

    Args:
        references: each a folder, the id (or its unique beginning, at least 4 digits) of an adapter in the workspace,
            or `promoted`, which stands for all adapters of what is promoted: none while that is the bare base.
        workspace: where ids and `promoted` are looked up; None where there is none.

    Raises:
        InputError: for a reference that means nothing or several things, an adapter that is damaged or pickled, or
            one adapter named twice.
    """
    found: list[AdapterSpec] = []
    for reference in references:
        if reference == PROMOTED:
            candidate = None if workspace is None else promoted(workspace)
            specs = () if candidate is None else candidate.adapters
            for spec in specs:
                _check_stored(Path(spec.path), spec.id)
            found += (replace(spec, reference=PROMOTED) for spec in specs)
        else:
            found.append(_resolve(reference, workspace))
    seen: set[str] = set()
    for spec in found:
        if spec.id in seen:
            raise InputError(f"the adapter {spec.reference!r} is named twice", hint="name each adapter once")
        seen.add(spec.id)
    return tuple(found)


def _resolve(reference: str, workspace: Workspace | None) -> AdapterSpec:
    if not reference.strip():  # as a path it would be the current folder
        raise InputError("the adapter reference is empty", hint="name a folder, an adapter's id, or promoted")
    path = Path(reference).expanduser()
    if path.is_dir():
        folder = path.resolve()
        return AdapterSpec(id=adapter_id(folder), path=str(folder), reference=reference)
    looks_like_path = "/" in reference or "\\" in reference or reference.startswith((".", "~"))
    if looks_like_path and path.is_file():
        raise InputError(
            "this is a file, not an adapter's folder", file=reference, hint="name the folder that holds it"
        )
    if looks_like_path or workspace is None:
        raise InputError("no such adapter folder", file=reference, hint="check the path")
    known = list_adapters(workspace)
    meant = [name for name in known if len(reference) >= 4 and name.startswith(reference)]
    if len(meant) > 1:
        raise InputError(f"{reference!r} is the beginning of {len(meant)} adapters", hint="give more of the id")
    if not meant:
        error = unknown_name("adapter", reference, [PROMOTED, *known])
        raise InputError(f"{error.cause}, and there is no such folder", hint=error.hint)
    folder = workspace.adapters / meant[0]
    _check_stored(folder, meant[0])
    return AdapterSpec(id=meant[0], path=str(folder), reference=reference)


def _check_stored(folder: Path, expected: str, *, fresh: bool = False) -> None:
    found = adapter_id(folder, fresh=fresh)
    if found != expected:
        raise BrokenRunError(
            f"{folder}: the adapter has changed since it was stored (its content is {found}, not {expected}); "
            "restore the folder from a copy"
        )


def check_adapter(spec: AdapterSpec) -> None:
    """Read the adapter's files again, and check that they still are what `spec.id` says.

    Raises:
        BrokenRunError: when they are not.
        InputError: when they are gone or damaged.
    """
    _check_stored(Path(spec.path), spec.id, fresh=True)


def store_adapter(workspace: Workspace, folder: Path, *, reference: str | None = None) -> AdapterSpec:
    """Copy an adapter into the workspace's adapters/<id>, unless it is there; the copy is checked.

    Args:
        workspace: where to.
        folder: the adapter.
        reference: what the person wrote; None makes it the id.

    Raises:
        InputError: as `adapter_id`.
        BrokenRunError: when the disk is full or the place may not be written; nothing is left.
    """
    with workspace.lock():
        identity = adapter_id(folder, fresh=True)
        target = workspace.adapters / identity
        if target.is_dir():
            _check_stored(target, identity, fresh=True)
        else:
            with new_folder(target) as temporary:
                for name in _KEPT:
                    if (folder / name).is_file():
                        _copy(folder / name, temporary)
                _check_stored(temporary, identity, fresh=True)
    return AdapterSpec(id=identity, path=str(target), reference=reference or identity)


def _copy(source: Path, folder: Path) -> None:
    write_into(folder, source.name, source.read_bytes())
