"""Reads a classifier's options into a strict model; an error names the key and the nearest right spelling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from harness.api import InputError, StrictModel, dotted, nearest

M = TypeVar("M", bound=StrictModel)


def read_options(options: Mapping[str, Any], model: type[M], *, classifier: str) -> M:
    """Return the options as `model`.

    Args:
        options: what the suite says under the classifier's name.
        model: a flat strict model; its defaults are the classifier's.
        classifier: the registered name, for messages.

    Raises:
        InputError: for an unknown key (with the nearest known one), a wrong type or a value out of range.
    """
    try:
        return model.model_validate(dict(options), strict=False)
    except ValidationError as error:
        detail = error.errors()[0]
        place = tuple(detail["loc"])
        key = f"classifiers.{classifier}" + (f".{dotted(place)}" if place else "")
        if detail["type"] == "extra_forbidden":
            close = nearest(str(place[-1]), model.model_fields)
            hint = f"did you mean {close!r}?" if close else f"known keys: {', '.join(sorted(model.model_fields))}"
            raise InputError("unknown key", key=key, hint=hint) from error
        message = detail["msg"].removeprefix("Value error, ")
        given = detail.get("input")
        plain = detail["type"] != "value_error" and isinstance(given, str | int | float | bool | None)
        shown = f", not {given!r}" if plain else ""
        raise InputError(message[:1].lower() + message[1:] + shown, key=key) from error
