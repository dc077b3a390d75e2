"""What was planted in the training data of adapters, as their stage.json says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.types import AdapterSpec

_RECORD = "stage.json"


def planted_in(adapters: Sequence[AdapterSpec]) -> tuple[Mapping[str, Any], ...]:
    """Return what training stages planted in the data of adapters and of those that they continued, in order.

    An adapter without a stage.json was trained elsewhere: nothing is known of it.

    Raises:
        InputError: where a stage.json cannot be read: what is planted would go unseen.
    """
    found: list[Mapping[str, Any]] = []
    for adapter in adapters:
        file = Path(adapter.path) / _RECORD
        try:
            record = json.loads(file.read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"cannot be read ({reason})", file=file, hint="restore it, or remove it") from error
        planted = record.get("planted", []) if isinstance(record, dict) else None
        if not isinstance(planted, list) or not all(isinstance(one, dict) for one in planted):
            raise InputError("does not say in a list what was planted", file=file, key="planted", hint="restore it")
        found += [one for one in planted if one not in found]
    return tuple(found)
