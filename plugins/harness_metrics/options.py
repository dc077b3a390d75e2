"""Strict reading of what a suite says under a metric's name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from harness.api import InputError, StrictModel, dotted, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

O = TypeVar("O", bound=StrictModel)  # noqa: E741 - the options' model


class NoOptions(StrictModel):
    """For metrics that have none."""


def read_options(model: type[O], options: Mapping[str, Any], metric: str) -> O:
    """Validate a metric's options; values keep their types (a text is not a number).

    Args:
        model: the options' model.
        options: what the suite says.
        metric: the factory's name; the reader of the suite puts it before the key.

    Raises:
        InputError: for the first unknown, missing or ill-typed option, naming its key.
    """
    try:
        # By way of JSON, where a list is a valid tuple and 1 a valid float, but "1" is not a number.
        return model.model_validate_json(json.dumps(dict(options), default=str), strict=True)
    except ValidationError as error:
        detail = error.errors()[0]
    key = dotted(detail["loc"]) or None
    known = [field.alias or name for name, field in model.model_fields.items()]
    if detail["type"] == "extra_forbidden":
        close = nearest(str(detail["loc"][-1]), known)
        if close:
            hint = f"did you mean {close!r}?"
        else:
            hint = f"known options: {', '.join(sorted(known))}" if known else f"{metric} has no options"
        raise InputError("unknown option", key=key, hint=hint)
    if detail["type"] == "missing":
        raise InputError(f"{metric} needs the option {str(detail['loc'][-1])!r}", hint="add it")
    message = detail["msg"].removeprefix("Value error, ")
    raise InputError(message[:1].lower() + message[1:], key=key)
