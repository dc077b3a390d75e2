"""What is made and kept: artifacts/<kind>/<id>/, each with the artifact.json that says what it is and came from.

A kind is a name: adapter, dataset, calibration, or whatever a stage writes. An id is the first 16 hexadecimal digits of
the SHA-256 of the content. Earlier versions kept adapters/<id>/ and datasets/<id>/ with a stage.json, which are read
on.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, InputError
from harness.hashing import open_regular, sha256_file, sha256_json
from harness.serial import from_json, to_json
from harness.store.atomic import (
    explained,
    make_folder,
    put_in_place,
    remove_folder,
    temporary_folder,
    write_file,
    write_into,
)
from harness.types import Artifact
from harness.weights.identity import adapter_id
from harness.weights.lora import CONFIG_FILE, WEIGHTS_FILE, read_adapter_config

if TYPE_CHECKING:
    from harness.store.workspace import Workspace
    from harness.types import AdapterSpec

ARTIFACT_FILE = "artifact.json"
DIGITS = 16

_EARLIER_FILE = "stage.json"
_EARLIER_FOLDERS = {"adapter": "adapters", "dataset": "datasets"}
_IDENTITY: Mapping[str, Callable[[Path], str]] = {"adapter": lambda folder: adapter_id(folder, fresh=True)}
"""Where not every byte of a kind's files counts."""
_KEPT = {"adapter": (CONFIG_FILE, WEIGHTS_FILE, "README.md")}
"""Where not every file of a kind is kept: never tokenizers or optimizer states."""
_NAMES_CODE = {"auto_mapping", "runtime_config"}
_PICKLED = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"}


def content_of(kind: str, path: Path) -> dict[str, Path]:
    """Return what is kept of a file or folder, by the name under which it is kept.

    Raises:
        InputError: where a file is pickled: loading it runs whatever code is in it.
    """
    if path.is_dir():
        named = {one.relative_to(path).as_posix(): one for one in sorted(path.rglob("*")) if one.is_file()}
        content = {name: one for name, one in named.items() if name in _KEPT.get(kind, named)}
    else:
        content = {f"{kind}{path.suffix}": path}
    for name, one in content.items():
        if one.suffix in _PICKLED:
            raise InputError(f"{name} is pickled, and loading a pickle runs whatever code is in it", file=one,
                             hint="save weights as safetensors")  # fmt: skip
    return {name: one for name, one in content.items() if name not in {ARTIFACT_FILE, _EARLIER_FILE}}


def identity_of(kind: str, path: Path) -> str:
    """Return the id of a file or folder: of one file its hash's beginning, of several that of all their hashes."""
    if kind in _IDENTITY:
        return _IDENTITY[kind](path)
    files = _hashes(kind, path)
    return (next(iter(files.values())) if len(files) == 1 else sha256_json(files))[:DIGITS]


def _hashes(kind: str, folder: Path) -> dict[str, str]:
    return {name: sha256_file(path) for name, path in content_of(kind, folder).items()}


def is_kind(name: str) -> bool:
    """Tell whether a name may be a kind: small letters, digits, - and _."""
    return re.fullmatch("[a-z][a-z0-9_-]{0,39}", name) is not None


def is_id(name: str) -> bool:
    """Tell whether a name is an artifact's id."""
    return len(name) == DIGITS and set(name) <= set("0123456789abcdef")


def artifact_folder(workspace: Workspace, kind: str, identity: str) -> Path:
    """Return where an artifact lies, or would."""
    earlier = workspace.root / _EARLIER_FOLDERS.get(kind, "artifacts") / identity
    here = workspace.artifacts / kind / identity
    return earlier if kind in _EARLIER_FOLDERS and earlier.is_dir() and not here.is_dir() else here


def content_path(artifact: Artifact, folder: Path) -> Path:
    """Return what an artifact hands on: its file where it has one alone, else its folder."""
    names = tuple(artifact.files) or tuple(content_of(artifact.kind, folder))
    return folder / names[0] if len(names) == 1 else folder


def ids(workspace: Workspace, kind: str) -> list[str]:
    """Return the ids of all artifacts of a kind."""
    folders = [workspace.artifacts / kind]
    if kind in _EARLIER_FOLDERS:
        folders.append(workspace.root / _EARLIER_FOLDERS[kind])
    found = (path for folder in folders if folder.is_dir() for path in folder.iterdir())
    return sorted({path.name for path in found if is_id(path.name) and path.is_dir()})


def kinds(workspace: Workspace) -> list[str]:
    """Return the kinds of which the workspace has artifacts, or may have from earlier versions."""
    here = workspace.artifacts
    own = {path.name for path in here.iterdir() if path.is_dir()} if here.is_dir() else set()
    return sorted({name for name in own if is_kind(name)} | set(_EARLIER_FOLDERS))


def artifacts(workspace: Workspace, kind: str | None = None) -> Iterator[tuple[Artifact, Path]]:
    """Yield the artifacts of a kind or of all, with their folders; one whose record cannot be read is passed over."""
    for name in kinds(workspace) if kind is None else [kind]:
        for identity in ids(workspace, name):
            folder = artifact_folder(workspace, name, identity)
            try:
                record = read_artifact(folder)
            except InputError:
                continue
            yield record or Artifact(kind=name, id=identity), folder


def read_artifact(folder: Path) -> Artifact | None:
    """Return what a folder's artifact.json says, or the stage.json of an earlier version; None where it has neither.

    Raises:
        InputError: where it is there and cannot be read.
    """
    for name in (ARTIFACT_FILE, _EARLIER_FILE):
        file = folder / name
        try:
            with open_regular(file) as stream:
                text = stream.read()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", file=file) from error
        return from_json(Artifact, text if name == ARTIFACT_FILE else _earlier(text, file), file=file)
    return None


def _earlier(text: bytes, file: Path) -> str:
    """Return the stage.json of an earlier version as an artifact.json."""
    try:
        record = json.loads(text)
        inputs = {"base": record.get("base_hash"), "adapter": record.get("parent"), **record.get("inputs", {})}
        outputs = {kind: str(record[kind])[:DIGITS] for kind in _EARLIER_FOLDERS if record.get(kind)}
        kind = "dataset" if file.parent.parent.name == _EARLIER_FOLDERS["dataset"] else "adapter"
        return json.dumps({**record, "kind": kind, "id": file.parent.name, "outputs": outputs,
                           "inputs": {role: value for role, value in inputs.items() if value}})  # fmt: skip
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"cannot be read ({reason})", file=file, hint="restore it, or remove it") from error


def is_whole(kind: str, folder: Path) -> bool:
    """Tell whether an artifact's files still are what its id, the folder's name, says."""
    try:
        return identity_of(kind, folder) == folder.name
    except (HarnessError, OSError):
        return False


def made_by(workspace: Workspace, key: str) -> Artifact | None:
    """Return the record of what equal work has written, whether or not it is whole."""
    return next((record for record, _ in artifacts(workspace) if record.key == key), None)


def find_made(workspace: Workspace, key: str) -> tuple[Mapping[str, Artifact] | None, str]:
    """Return what equal work has written, by kind, and a note where there was some that is no longer whole."""
    found = made_by(workspace, key)
    if found is None:
        return None, ""
    made = {}
    for kind, identity in found.outputs.items():
        folder = artifact_folder(workspace, kind, identity)
        if not (is_kind(kind) and is_id(identity) and folder.is_dir() and is_whole(kind, folder)):
            return None, f"{folder.name} is no longer what was stored and was not reused"
        made[kind] = replace(found, kind=kind, id=identity, files=_hashes(kind, folder))
    return made, ""


def keep_artifact(workspace: Workspace, artifact: Artifact, content: Mapping[str, Path | bytes]) -> Artifact:
    """Keep files as an artifact, whole or not at all, and return its finished record.

    What has the same content already stays in place and gets the new record.

    Args:
        workspace: where.
        artifact: its id, files and, where it has none, the time are filled in here.
        content: files to copy, or their bytes, by name.

    Raises:
        BrokenRunError: when the disk is full or the place may not be written; nothing is left.
        InputError: where the content is not what its kind asks for.
    """
    parent = workspace.artifacts / artifact.kind
    with workspace.lock(), explained(parent):
        make_folder(parent)
        temporary = temporary_folder(parent)
        try:
            for name, given in content.items():
                (temporary / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                if isinstance(given, bytes):
                    write_into(temporary, name, given)
                else:
                    shutil.copyfile(given, temporary / name)
                    (temporary / name).chmod(0o600)
            if artifact.kind == "adapter":
                _leave_out_code(temporary)
            identity = identity_of(artifact.kind, temporary)
            artifact = replace(
                artifact, id=identity, files=_hashes(artifact.kind, temporary),
                outputs={**artifact.outputs, artifact.kind: identity},
                created=artifact.created or datetime.now(UTC).isoformat(timespec="seconds"),
            )  # fmt: skip
            target = artifact_folder(workspace, artifact.kind, identity)
            if target.is_dir() and is_whole(artifact.kind, target):  # another command may be reading it
                before = read_artifact(target)
                files = before.files if before is not None and before.files else _hashes(artifact.kind, target)
                artifact = replace(artifact, files=files)
                write_file(target / ARTIFACT_FILE, to_json(artifact, indent=2) + "\n")
                return artifact
            if target.is_dir():
                remove_folder(target)  # its content changed since it was kept; what was just made is the same again
            write_into(temporary, ARTIFACT_FILE, to_json(artifact, indent=2) + "\n")
            put_in_place(temporary, parent / identity)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return artifact


def _leave_out_code(folder: Path) -> None:
    """Take out of a copied configuration what names code to import: other programs follow the alias to it."""
    config = read_adapter_config(folder)
    if config.keys() & _NAMES_CODE:
        kept = {key: value for key, value in config.items() if key not in _NAMES_CODE}
        (folder / CONFIG_FILE).write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def distinct(*injected: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Return what several records say was injected, each thing once."""
    return tuple({sha256_json(dict(one)): one for some in injected for one in some}.values())


def injected_in(adapters: Sequence[AdapterSpec]) -> tuple[Mapping[str, Any], ...]:
    """Return what training stages injected in the data of adapters and of those that they continued, in order.

    An adapter without a record was trained elsewhere: nothing is known of it.

    Raises:
        InputError: where a record cannot be read: what is injected would go unseen.
    """
    return distinct(*injected_with(Path(adapter.path) for adapter in adapters))


def injected_with(folders: Iterable[Path]) -> Iterator[tuple[Mapping[str, Any], ...]]:
    """Yield what the record in each folder says was injected in the data that it came from."""
    records = (read_artifact(folder) for folder in folders)
    return (record.injected for record in records if record is not None)


def holding(workspace: Workspace, sha256: str) -> Iterator[Path]:
    """Yield the folders of artifacts that are a file with this hash."""
    folders = (artifact_folder(workspace, kind, sha256[:DIGITS]) for kind in kinds(workspace))
    return (folder for folder in folders if folder.is_dir())
