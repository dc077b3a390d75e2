"""The options that a suite gives a plugin, read strictly: a text is no number, and a misspelt key no default."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.errors import InputError, nearest
from harness.reading.strict import dotted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.reading.strict import Place

M = TypeVar("M", bound=BaseModel)


def read_options(
    model: type[M], options: Mapping[str, Any], what: str, *, at: Place = (), file: Path | None = None
) -> M:
    """Validate options into a model.

    Args:
        model: a strict model; its defaults are the plugin's.
        options: what the suite says.
        what: the registered name, for messages.
        at: where the options stand, such as `("critics", "judge")`; what the reader of the suite adds is left out.
        file: that they stand in, where the reader of the suite does not add it.

    Raises:
        InputError: for the first option that is unknown (with the nearest known one), missing or wrong, by its key.
    """
    try:
        # By way of JSON, where a list is a valid tuple and 1 a valid float, but "1" is not a number.
        return model.model_validate_json(json.dumps(dict(options), default=str), strict=True)
    except ValidationError as error:
        detail = error.errors()[0]
    place, known = detail["loc"], sorted(field.alias or name for name, field in model.model_fields.items())
    key = dotted((*at, *place)) or None
    if detail["type"] == "extra_forbidden":
        close = nearest(str(place[-1]), known)
        rest = f"known options: {', '.join(known)}" if known else f"{what} has no options"
        raise InputError("unknown option", file=file, key=key, hint=f"did you mean {close!r}?" if close else rest)
    if detail["type"] == "missing":
        raise InputError(
            f"{what} needs the option {str(place[-1])!r}", file=file, key=dotted(at) or None, hint="add it"
        )
    message, given = detail["msg"].removeprefix("Value error, "), detail["input"]
    plain = detail["type"] != "value_error" and isinstance(given, str | int | float | bool | None)
    raise InputError(f"{message[:1].lower()}{message[1:]}" + (f", not {given!r}" if plain else ""), file=file, key=key)
