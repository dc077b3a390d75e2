"""LoRA adapters on disk, and what a person may write to mean one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import BrokenRunError, InputError, nearest
from harness.hashing import sha256_file
from harness.store.artifacts import artifact_folder, content_of, ids, keep_artifact, read_artifact
from harness.store.promoted import entered_files, promoted
from harness.types import AdapterSpec, Artifact
from harness.weights.bundled import BUNDLED_PREFIX, bundled_adapter
from harness.weights.identity import adapter_id
from harness.weights.lora import CONFIG_FILE, WEIGHTS_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.store.workspace import Workspace

__all__ = ["adapter_id", "list_adapters", "promoted", "resolve_adapters", "store_adapter", "stored_adapter"]

PROMOTED = "promoted"
"""The reference that means the adapters of what is promoted."""


def list_adapters(workspace: Workspace) -> list[str]:
    """Return the ids of the adapters that the workspace keeps."""
    return ids(workspace, "adapter")


def stored_adapter(workspace: Workspace, identity: str, *, reference: str | None = None) -> AdapterSpec:
    """Return a kept adapter with its folder; nothing is checked."""
    folder = artifact_folder(workspace, "adapter", identity)
    return AdapterSpec(id=identity, path=str(folder), reference=reference or identity)


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
                assert workspace is not None  # noqa: S101 - for the type checker
                check_kept(workspace, spec, fresh=False)
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
    path = bundled_adapter(reference) if reference.startswith(BUNDLED_PREFIX) else Path(reference).expanduser()
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
        close = nearest(reference, [PROMOTED, *known])
        hint = f"did you mean {close!r}?" if close else "see: harness list adapters"
        if not known and not close:
            hint = "none is kept here yet: harness train persona makes one, or write the path of an adapter's folder"
        raise InputError(f"no adapter is called {reference!r}, and there is no such folder", hint=hint)
    spec = stored_adapter(workspace, meant[0], reference=reference)
    _check_stored(Path(spec.path), spec.id)
    return spec


def _check_stored(folder: Path, expected: str, *, fresh: bool = False) -> None:
    found = adapter_id(folder, fresh=fresh)
    if found != expected:
        raise BrokenRunError(
            f"{folder}: the adapter has changed since it was stored (its content is {found}, not {expected}); "
            "restore the folder from a copy"
        )
    record = read_artifact(folder) if folder.name == expected else None
    if record is not None:
        _check_files(folder, record.files)


def _check_files(folder: Path, files: Mapping[str, str]) -> None:
    """Compare a kept configuration byte by byte: its id leaves out fields by which other programs load an adapter."""
    if CONFIG_FILE in files and sha256_file(folder / CONFIG_FILE) != files[CONFIG_FILE]:
        raise BrokenRunError(
            f"{folder / CONFIG_FILE}: the file has changed since the adapter was stored, in fields that change no"
            " answer here; restore it from a copy"
        )


def check_adapter(spec: AdapterSpec) -> None:
    """Read the adapter's files again, and check that they still are what `spec.id` says.

    Raises:
        BrokenRunError: when they are not.
        InputError: when they are gone or damaged.
    """
    _check_stored(Path(spec.path), spec.id, fresh=True)


def check_kept(workspace: Workspace, spec: AdapterSpec, *, fresh: bool = True) -> None:
    """Check a kept adapter as `check_adapter` does, and also that its files are those that the ledger has."""
    _check_stored(Path(spec.path), spec.id, fresh=fresh)
    _check_files(Path(spec.path), entered_files(workspace).get(spec.id, {}))


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of an adapter's configuration and weights, by file name."""
    return {name: sha256_file(folder / name) for name in (CONFIG_FILE, WEIGHTS_FILE)}


def store_adapter(workspace: Workspace, folder: Path, *, reference: str | None = None) -> AdapterSpec:
    """Copy an adapter into the workspace, with what its record says of it, unless it is there; the copy is checked.

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
        spec = stored_adapter(workspace, identity, reference=reference)
        if not Path(spec.path).is_dir():
            record = read_artifact(folder) or Artifact(kind="adapter")
            keep_artifact(workspace, replace(record, kind="adapter"), content_of("adapter", folder))
        _check_stored(Path(spec.path), identity, fresh=True)
    return spec
