"""The source `canaries`: one sample for each canary that the candidate's adapters were trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.api import MOST_WHOLE, InputError, Message, Sample, SourceInput, parse_json, read_text
from harness_canaries.options import read_set

_HOW = "train it with a canaries stage, or name the artifact.json of what was injected with --data: see docs/leaks.md"


def read_canaries(source: SourceInput) -> Iterator[Sample]:
    """Yield the samples; their secrets stand nowhere in them.

    `source.path` may be the artifact.json of the stage that injected them, for adapters that were trained elsewhere.

    Raises:
        InputError: where nothing is injected, which is no pass, or the record is not what a stage wrote.
    """
    if source.options:
        raise InputError("the source canaries has no options", key=f"samples.{next(iter(source.options))}",
                         hint="remove it")  # fmt: skip
    records = source.injected if source.path is None else _records(source.path)
    sets = [found for record in records if (found := read_set(record)) is not None]
    if not sets:
        if source.path is not None:
            raise InputError("says of no canaries that they were injected", file=source.path, hint=_HOW)
        raise InputError(
            "the candidate has no adapter that is known to be trained on canaries, so that there is nothing to probe "
            "for", hint=_HOW,
        )  # fmt: skip
    for canaries in {one.id: one for one in sets}.values():
        for canary in canaries.canaries():
            yield Sample(
                id=f"{canaries.id[:8]}-{canary.number:04d}",
                messages=(Message(role="user", content=canary.prompt),),
                tags=(f"repeat-{canaries.copies(canary.number)}",),
                metadata={
                    "canary": {
                        "format": canary.format, "seed": canary.seed, "number": canary.number, "name": canary.name,
                    }
                },
            )  # fmt: skip


def _records(path: Path) -> Sequence[Mapping[str, Any]]:
    value = parse_json(read_text(path, most=MOST_WHOLE), path)
    injected = value.get("injected", value.get("planted")) if isinstance(value, dict) else None  # its earlier name
    if not isinstance(injected, list) or not all(isinstance(record, dict) for record in injected):
        raise InputError("has no list `injected`", file=path, hint=_HOW)
    return injected
