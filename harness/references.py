"""Model references as people write them, and what they mean.

smollm2-135m                          a name of the weights' catalog
hf:org/name, hf:org/name@revision     a model of the hub
./folder, /folder, model.gguf         a model on this disk
openai:model@http://host:port/v1      any OpenAI-compatible server
echo:, replay:FILE                    answers without a model
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path
from urllib.parse import urlsplit

from harness.errors import InputError, nearest
from harness.terminal import redacted
from harness.types import ModelSpec
from harness.weights.catalog import catalog

DTYPES = ("auto", "float32", "bfloat16", "float16")


def resolve_model(
    reference: str, *, dtype: str = "auto", device: str = "auto", schemes: Collection[str] = ("hf",)
) -> ModelSpec:
    """Turn a reference into a model's specification. Nothing is opened, fetched or loaded.

    Args:
        reference: what the person wrote.
        dtype: `auto`, `float32`, `bfloat16` or `float16`.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        schemes: the registered model schemes.

    Raises:
        InputError: when it means nothing, with the nearest thing that does.
    """
    text = reference.strip()
    if not text:
        raise InputError("the model reference is empty", hint="try smollm2-135m, or see `harness list models`")
    if "://" in text and redacted(text) != text:
        raise InputError(
            f"the address in {redacted(text)} carries a user, password, query or fragment, which would end in records",
            hint="give the key in an environment variable: see docs/remote.md",
        )
    _check_device(dtype, device)

    def spec(scheme: str, name: str, *, revision: str | None = None, endpoint: str | None = None) -> ModelSpec:
        return ModelSpec(
            reference=text, scheme=scheme, name=name, revision=revision, endpoint=endpoint, dtype=dtype, device=device
        )

    scheme, colon, rest = text.partition(":")
    if colon and scheme in schemes:
        return _of_scheme(text, scheme, rest, spec)
    entry = catalog().get(text)
    if entry is not None:
        if entry.kind != "language-model":
            raise InputError(f"{text} is a {entry.kind}, not a language model", hint=_known_names())
        return spec("hf", text)
    if _looks_like_path(text):
        return spec("hf", str(Path(text).expanduser().resolve()))
    raise _unknown(text, scheme if colon else None, schemes)


def _of_scheme(text: str, scheme: str, rest: str, spec: Callable[..., ModelSpec]) -> ModelSpec:
    if scheme == "hf":
        if not rest:
            raise InputError("hf: names no model", hint="write hf:org/name, or hf:org/name@revision")
        if _looks_like_path(rest):
            return spec("hf", str(Path(rest).expanduser().resolve()))
        name, _, revision = rest.partition("@")
        return spec("hf", name, revision=revision or None)
    if scheme == "openai":
        return _remote(text, rest, spec)
    if scheme == "replay":
        if not rest:
            raise InputError("replay: names no file", hint="write replay:FILE, a .jsonl of prompts and responses")
        return spec("replay", str(Path(rest).expanduser().resolve()))
    return spec(scheme, rest)


def _remote(text: str, rest: str, spec: Callable[..., ModelSpec]) -> ModelSpec:
    """`model@url`; the model's own name may hold colons, slashes and `@`: the URL starts at the last `@…://`."""
    match = re.fullmatch(r"(?P<name>.+)@(?P<url>\w+://.*)", rest)
    if match is None:
        raise InputError(f"{text!r} names no server", hint="write openai:MODEL@http://host:port/v1")
    name, url = match["name"], match["url"]
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if wrong:
        raise InputError(f"the address of {name} is not an http or https one", hint="write http://host:port/v1")
    return spec("openai", name, endpoint=url.rstrip("/"))


def _looks_like_path(text: str) -> bool:
    return text.startswith(("./", "../", "/", "~", ".\\")) or text.endswith(".gguf") or Path(text).is_dir()


def _check_device(dtype: str, device: str) -> None:
    if dtype not in DTYPES:
        raise InputError(f"there is no dtype {dtype!r}", hint=f"known: {', '.join(DTYPES)}")
    several = [one.strip() for one in device.split(",")]
    for one in several:
        kind, colon, number = one.partition(":")
        if kind not in ("auto", "cpu", "cuda", "mps") or (colon and (kind != "cuda" or not number.isdigit())):
            raise InputError(f"there is no device {one!r}", hint="known: auto, cpu, cuda, cuda:N, mps")
    kinds = {one.partition(":")[0] for one in several}
    if len(several) > 1 and (len(kinds) > 1 or "auto" in kinds):
        raise InputError(
            f"--device {device} does not name devices of one kind",
            hint="name them as in cuda:0,cuda:1: one kind of reply",
        )


def _known_names() -> str:
    names = [entry.name for entry in catalog().values() if entry.kind == "language-model"]
    return f"known language models: {', '.join(names)}; or write hf:org/name, or a path"


def _unknown(text: str, scheme: str | None, schemes: Collection[str]) -> InputError:
    if scheme is not None and "/" not in scheme:
        close = nearest(scheme, schemes)
        hint = f"did you mean {close}:{text.partition(':')[2]}?" if close else f"known: {', '.join(sorted(schemes))}"
        return InputError(f"no model scheme is called {scheme!r}", hint=hint)
    language = [entry.name for entry in catalog().values() if entry.kind == "language-model"]
    close = nearest(text, language)
    if close is not None:
        return InputError(f"no model is called {text!r}", hint=f"did you mean {close!r}?")
    if text.count("/") == 1:
        return InputError(
            f"{text!r} is neither a folder here nor a name of the catalog", hint=f"for the hub, write hf:{text}"
        )
    return InputError(f"no model is called {text!r}", hint=_known_names())
