"""The formats and what each needs; imports nothing heavy."""

from __future__ import annotations

import importlib.util

from harness.api import InputError, MissingDependencyError

FORMATS = {
    "hf": ("float32", "bfloat16", "float16"),
    "gguf": ("f16", "f32", "bf16", "q8_0", "q4_0", "q4_1"),
    "onnx": ("float32", "int8"),
}
"""By format the number formats that it may be written in, the first being the default."""


def check_numbers(kind: str, numbers: str | None) -> str:
    """Return the number format that is meant.

    Raises:
        InputError: where the format has none of that name.
    """
    known = FORMATS[kind]
    if numbers is None:
        return known[0]
    if numbers not in known:
        raise InputError(f"{kind} is not written in {numbers!r}", hint=f"known: {', '.join(known)}")
    return numbers


def require_format(kind: str, *, needed_by: str) -> None:
    """See that what a format needs is installed.

    Raises:
        MissingDependencyError: naming the first package that is not.
    """
    for package in ("onnx", "onnxscript", "onnxruntime") if kind == "onnx" else ():
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, "export", needed_by=needed_by)
