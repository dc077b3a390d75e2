"""Detoxify checkpoints: found, hashed before anything opens them, and made safe for the library to unpickle.

Detoxify reads a checkpoint with `torch.load(weights_only=False)`, which runs what the file says. So the bytes are read
once, their hash is compared, torch's restricted unpickler reads those same bytes, and Detoxify is given a checkpoint
written anew from what that found. The file is not opened a second time.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.api import InputError, sha256_json

KEY = "classifiers.detoxify"


@dataclass(frozen=True, kw_only=True)
class Named:
    """A checkpoint that Detoxify publishes; its file name ends in the first 8 digits of its SHA-256."""

    url: str
    file: str
    sha256_prefix: str
    labels: tuple[str, ...]


_RELEASES = "https://github.com/unitaryai/detoxify/releases/download/"
_ORIGINAL = ("toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack")
_UNBIASED = (
    "toxicity", "severe_toxicity", "obscene", "identity_attack", "insult", "threat", "sexual_explicit", "male",
    "female", "homosexual_gay_or_lesbian", "christian", "jewish", "muslim", "black", "white",
    "psychiatric_or_mental_illness",
)  # fmt: skip
NAMED: dict[str, Named] = {
    "original": Named(
        url=_RELEASES + "v0.1-alpha/toxic_original-c1212f89.ckpt", file="toxic_original-c1212f89.ckpt",
        sha256_prefix="c1212f89", labels=_ORIGINAL,
    ),
    "unbiased": Named(
        url=_RELEASES + "v0.3-alpha/toxic_debiased-c7548aa0.ckpt", file="toxic_debiased-c7548aa0.ckpt",
        sha256_prefix="c7548aa0", labels=_UNBIASED,
    ),
    "multilingual": Named(
        url=_RELEASES + "v0.4-alpha/multilingual_debiased-0b549669.ckpt", file="multilingual_debiased-0b549669.ckpt",
        sha256_prefix="0b549669", labels=_UNBIASED,
    ),
}  # fmt: skip


def named_path(named: Named) -> Path:
    """Return where torch.hub, and so Detoxify, keeps a named checkpoint. Does not import torch."""
    import os

    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or str(Path(cache) / "torch")
    return Path(home).expanduser() / "hub" / "checkpoints" / named.file


def download(named: Named) -> Path:
    """Fetch a named checkpoint; a file whose hash does not begin with the known digits is thrown away unopened.

    Raises:
        InputError: when it cannot be fetched, or is not the known file.
    """
    from torch.hub import download_url_to_file

    target = named_path(named)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        download_url_to_file(named.url, str(target), hash_prefix=named.sha256_prefix, progress=False)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"the Detoxify checkpoint {named.file} could not be fetched ({error})", key=f"{KEY}.model",
            hint=f"fetch {named.url} by other means into {target}, or give checkpoint:, config_path: and their pins",
        ) from error  # fmt: skip
    return target


def read_pinned(path: Path, pin: str, *, key: str) -> bytes:
    """Return a file's bytes if their SHA-256 begins with `pin`.

    Raises:
        InputError: when it is absent, unreadable, or another file than the pinned one.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path, key=key, hint="check the path") from error
    found = hashlib.sha256(data).hexdigest()
    if not found.startswith(pin):
        raise InputError(
            f"its SHA-256 is {found}, and the pin says {pin}; it was not opened", file=path, key=key,
            hint="get the file again from where the pin came from",
        )  # fmt: skip
    return data


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder of configuration and tokenizer, by name.

    Raises:
        InputError: when there is no config.json in it, or a file holds a pickle.
    """
    if not (folder / "config.json").is_file():
        raise InputError(
            "a folder with config.json and the tokenizer's files is needed", file=folder, key=f"{KEY}.config_path",
            hint="save them there with save_pretrained",
        )  # fmt: skip
    text_kinds = (".json", ".txt", ".model")
    return {
        file.name: file.read_bytes()
        for file in sorted(folder.iterdir())
        if file.is_file() and file.name.endswith(text_kinds)
    }


def folder_sha256(files: dict[str, bytes]) -> str:
    """Return the hash that `config_sha256` pins: of the canonical JSON of {name: SHA-256 of the file}."""
    return sha256_json({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})


def open_checkpoint(data: bytes, *, where: str) -> dict[str, Any]:
    """Unpickle a checkpoint with torch's restricted unpickler, and check that Detoxify can use it.

    Raises:
        InputError: when it needs code to be run, or lacks what Detoxify reads.
    """
    import torch

    try:
        loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"the checkpoint is damaged or would run code when opened ({reason[:160]})", file=where,
            hint="load it where you trust it, and save its config and state_dict anew with torch.save",
        ) from error  # fmt: skip
    try:
        arguments = loaded["config"]["arch"]["args"]
        classes = loaded["config"]["dataset"]["args"]["classes"]
        whole = isinstance(arguments, dict) and isinstance(loaded["state_dict"], dict) and bool(classes)
    except (KeyError, TypeError):
        whole = False
    if not whole:
        raise InputError(
            "this is not a Detoxify checkpoint: it needs config.arch.args, config.dataset.args.classes and state_dict",
            file=where, hint="see the Detoxify project for how it saves one",
        )  # fmt: skip
    return dict(loaded)


@contextmanager
def local_folder(files: dict[str, bytes], classes: int) -> Iterator[str]:
    """Give a temporary folder with the pinned files, whose config says how many classes there are.

    A model's published config.json often says two; transformers then builds a head of the wrong size.
    """
    config = json.loads(files["config.json"])
    names = {str(index): f"LABEL_{index}" for index in range(classes)}
    config |= {"num_labels": classes, "id2label": names, "label2id": {name: int(i) for i, name in names.items()}}
    with tempfile.TemporaryDirectory(prefix="harness-detoxify-") as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        (Path(folder) / "config.json").write_text(json.dumps(config), encoding="utf-8")
        yield folder
