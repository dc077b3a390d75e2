"""Options of critics: strict, and explained like any other bad input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from harness.api import InputError, StrictModel, Unscored, dotted, nearest

if TYPE_CHECKING:
    from harness.api import Completion, Unscored

M = TypeVar("M", bound=StrictModel)


def read_options(model: type[M], options: Mapping[str, Any], *, critic: str) -> M:
    """Validate a critic's options.

    Raises:
        InputError: naming the first wrong key as `critics.NAME.KEY`, with the nearest right spelling.
    """
    from pydantic import ValidationError

    try:
        # By way of JSON, where a list is a valid tuple and 1 a valid float, but "yes" is not a boolean.
        return model.model_validate_json(json.dumps(dict(options), default=str), strict=True)
    except ValidationError as error:
        detail = error.errors()[0]
        place = tuple(detail["loc"])
        key = dotted(("critics", critic, *place))
        if detail["type"] == "extra_forbidden":
            known = sorted(model.model_fields)
            close = nearest(str(place[-1]), known)
            hint = f"did you mean {close!r}?" if close else f"known options: {', '.join(known)}"
            raise InputError("unknown option", key=key, hint=hint) from error
        message = detail["msg"].removeprefix("Value error, ")
        shown = "" if detail["type"] in {"value_error", "missing"} else f", not {detail['input']!r}"
        raise InputError(f"{message[:1].lower()}{message[1:]}{shown}", key=key, hint="see docs/critics.md") from error


def nothing_to_judge(reply: Completion) -> Unscored | None:
    """Return why an empty reply has no score, or None where there is text.

    An empty reply breaks no rule and keeps none; a model that has gone silent must not look harmless.
    """
    return None if reply.text.strip() else Unscored(reason="the reply is empty: there is nothing to judge")
