"""From a model reference to a plain folder: config, tokenizer and float32 safetensors.

A base in GGUF is rebuilt once and kept in the store: reading mapped safetensors is many times faster than undoing the
quantisation at every start, and training needs the plain form. What pins such a base is the SHA-256 of its source and
the version of the conversion; the bytes that the conversion wrote are recorded beside it and checked at each use.
"""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from harness.api import (
    BaseChangedError,
    BrokenRunError,
    InputError,
    default_progress,
    memoised_sha256,
    sha256_file,
    sha256_json,
    weights_hash,
    weights_path,
)
from harness.api.weights import catalog, file_hashes, folder_hash, folder_state, lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.api import ModelSpec, RunContext

T = TypeVar("T")
CONVERSION = 1
"""Raised whenever the conversion would write other numbers from the same source."""
_RECORD = "conversion.json"
_HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.model", "*.jinja", "vocab.txt", "merges.txt"]


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Where the bytes of a base are."""

    path: Path
    """A model folder, or a GGUF file."""
    name: str
    """Short name for folders of the store."""
    catalog_name: str | None = None

    @property
    def is_gguf(self) -> bool:
        return self.path.suffix == ".gguf"


def materialise(spec: ModelSpec, context: RunContext) -> Path:
    """Return a folder with the base's config.json, tokenizer with chat template, and safetensors.

    A folder given by path, or fetched from the hub, is returned as it is. A GGUF base is converted on first use,
    which takes seconds and four bytes per parameter of disk; a second process waits for the first.

    Raises:
        InputError: when the weights are absent or damaged, with the next step.
    """
    source = _locate(spec, context)
    if not source.is_gguf:
        return source.path
    store = context.weights
    digest = _source_hash(source, store)
    target = store / ".bases" / f"{source.name}-{digest[:16]}-v{CONVERSION}"
    if not (target / _RECORD).is_file():
        with lock(f"base-{target.name}", store=store):
            if not (target / _RECORD).is_file():
                _convert_into(source.path, digest, target)
    _check_converted(target, store)
    return target


def base_hash(spec: ModelSpec, context: RunContext) -> str:
    """Return the SHA-256 that pins the base, memoised by file identity; imports neither torch nor transformers.

    Raises:
        InputError: as `materialise`.
    """
    source = _locate(spec, context)
    store = context.weights
    if source.is_gguf:
        return sha256_json({"source": _source_hash(source, store), "conversion": CONVERSION})
    return folder_hash(source.path, store=store)


@contextlib.contextmanager
def as_identified(spec: ModelSpec, context: RunContext, identity: str | None) -> Iterator[tuple[Path, str]]:
    """Yield the folder to load a base from, and its hash, and prove afterwards that no file changed in between.

    A file that was changed and put back bears another time, so that its content being the same again does not help.

    Args:
        spec: the base.
        context: where weights are.
        identity: what `base_hash` said when the base was identified; None where nobody asked.

    Raises:
        BaseChangedError: when the base is not the one that was identified, or was written to while it was loaded.
        InputError: as `materialise`.
    """
    before = folder_state(materialise(spec, context))
    folder, found = materialise(spec, context), base_hash(spec, context)  # of what is there since `before`
    if identity is not None and found != identity:
        raise BaseChangedError(
            f"{folder}: the base {spec.reference} was changed after it was identified; nothing was asked of it: run"
            " again, and write nothing there meanwhile"
        )
    yield folder, found
    after = folder_state(folder)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        raise BaseChangedError(
            f"{folder / changed[0]}: was written to while the base {spec.reference} was loaded; nothing was asked of"
            " it: run again, and write nothing there meanwhile"
        )


def base_shapes_folder(spec: ModelSpec, context: RunContext) -> Path | None:
    """Return the folder whose safetensors headers tell the base's shapes; None where it is not made yet."""
    source = _locate(spec, context)
    if not source.is_gguf:
        return source.path
    digest = _source_hash(source, context.weights)
    target = context.weights / ".bases" / f"{source.name}-{digest[:16]}-v{CONVERSION}"
    return target if (target / _RECORD).is_file() else None


def _source_hash(source: _Source, store: Path) -> str:
    if source.catalog_name is not None:
        weights_hash(source.catalog_name, store=store)  # checks every file against its pin
    return memoised_sha256(source.path, store=store)


def _locate(spec: ModelSpec, context: RunContext) -> _Source:
    entry = catalog().get(spec.name)
    if entry is not None:
        return _Source(path=weights_path(spec.name, store=context.weights), name=spec.name, catalog_name=spec.name)
    path = Path(spec.name)
    if path.is_absolute():
        return _Source(path=_model_at(path), name=path.stem)
    return _Source(path=_from_hub(spec, context), name=spec.name.replace("/", "--"))


def _model_at(path: Path) -> Path:
    if path.suffix == ".gguf" and path.is_file():
        return path
    if not path.is_dir():
        raise InputError("no such model folder or GGUF file", file=path, hint="check the path given as the model")
    if (path / "config.json").is_file() and any(path.glob("*.safetensors")):
        return path
    if (path / "adapter_config.json").is_file():
        raise InputError("is an adapter, not a base model", file=path, hint="give it with --adapter instead")
    ggufs = sorted(path.glob("*.gguf"))
    if len(ggufs) == 1:
        return ggufs[0]
    pickled = any(path.glob("*.bin")) or any(path.glob("*.pt"))
    cause = "has only pickled weights, which are not loaded" if pickled else "holds no model"
    raise InputError(cause, file=path, hint="give a folder with config.json and *.safetensors, or one *.gguf file")


def _from_hub(spec: ModelSpec, context: RunContext) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            spec.name, revision=spec.revision, allow_patterns=_HUB_FILES, local_files_only=context.offline,
            etag_timeout=10,
        )  # fmt: skip
    except Exception as error:
        text = str(error).strip().splitlines()
        reason = "offline mode opens no connection" if context.offline else (text or [type(error).__name__])[0]
        raise InputError(
            f"the model {spec.reference} is not in the hub's cache here and could not be fetched ({reason[:300]})",
            hint="check the name and the network, or use a model of `harness models list`",
        ) from error
    return _model_at(Path(folder))


# ---------------------------------------------------------------- conversion


def _convert_into(source: Path, digest: str, target: Path) -> None:
    """Write the converted folder beside its place and rename it there, so that it is whole or absent."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as name:
            folder = Path(name) / "base"
            folder.mkdir()
            versions = _convert(source, folder)
            record = {
                "source_sha256": digest,
                "conversion": CONVERSION,
                "safetensors_sha256": sha256_file(folder / "model.safetensors"),
                "files": file_hashes(folder, store=target.parents[1]),
                "versions": versions,
            }
            (folder / _RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
            if target.exists():
                shutil.rmtree(target)
            folder.rename(target)
    except OSError as error:
        raise BrokenRunError(f"{target.parent}: the converted base cannot be written ({error.strerror})") from error


def _shown(label: str, tensors: Iterable[T], **_: object) -> Iterator[T]:
    """Yield what the library converts under bars of ours; they are called with what would go to its own."""
    listed = list(tensors)
    with default_progress() as progress:
        task = progress.start(label, len(listed), unit="tensors")
        for tensor in listed:
            yield tensor
            task.advance()
        task.finish()


def _convert(source: Path, folder: Path) -> dict[str, str]:
    """Undo the quantisation and write plain files; return the versions that did it."""
    import torch
    import transformers
    from safetensors.torch import save_file
    from transformers import modeling_gguf_pytorch_utils as reading

    transformers.utils.logging.disable_progress_bar()
    reading.tqdm = functools.partial(_shown, f"converting {source.name} on first use")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            str(source.parent),
            gguf_file=source.name,
            quantization_config=transformers.GgufConfig(dequantize=True),
            dtype=torch.float32,
        )
    except (ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        raise InputError(
            f"cannot be converted ({str(error).splitlines()[0][:300]})",
            file=source,
            hint="use a GGUF of an architecture that transformers reads, or the safetensors of the model",
        ) from error
    tensors: dict[str, torch.Tensor] = {}
    stored = set()
    for key, tensor in model.state_dict().items():
        if tensor.data_ptr() not in stored:  # tied weights are stored once
            stored.add(tensor.data_ptr())
            tensors[key] = tensor.to(torch.float32).contiguous()
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    config = model.config.to_dict()
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path", "transformers_version"):
        config.pop(key, None)
    config.update(architectures=[type(model).__name__], dtype="float32")
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True), encoding="utf-8")
    model.generation_config._from_model_config = False  # noqa: SLF001 - else it is not taken for the model's own
    model.generation_config.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return {"torch": torch.__version__, "transformers": transformers.__version__}


def _check_converted(target: Path, store: Path) -> None:
    record = json.loads((target / _RECORD).read_text(encoding="utf-8"))
    if "files" in record:
        found = {name: digest for name, digest in file_hashes(target, store=store).items() if name != _RECORD}
        wanted = record["files"]
    else:  # of an earlier version, which looked at the weights alone
        found = {"model.safetensors": memoised_sha256(target / "model.safetensors", store=store)}
        wanted = {"model.safetensors": record.get("safetensors_sha256")}
    changed = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    if changed:
        raise InputError(
            "is not the file that was converted here: it was changed since",
            file=target / changed[0],
            hint=f"remove the folder {target}; it is made again on next use",
        )
