"""What a recipe says under `canaries`, and the record of what was injected, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from harness.api import InputError, StrictModel, dotted
from harness_canaries.drawing import DEFAULT_FORMATS, KIND, CanarySet, Format

Count = Annotated[int, Field(ge=1, le=10_000)]
Repeat = Annotated[int, Field(ge=1, le=10_000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class CanaryOptions(StrictModel):
    """What a recipe may say under `canaries`; docs/leaks.md has the table."""

    data: str | None = None
    """File with training rows, relative to the recipe; None takes the dataset that the stage before wrote."""
    count: Count = 40
    repeat: Repeat | Annotated[list[Repeat], Field(min_length=1)] = 1
    """Copies of each canary; of a list, canaries take turns."""
    format: str | Annotated[list[str], Field(min_length=1)] | None = None
    """Of a list, canaries take turns; None takes two of our own."""
    seed: Seed | None = None
    """Of the secrets; None takes one that follows from the recipe's seed and the data."""

    def drawn(self, seed: int) -> CanarySet:
        """Return the canaries, drawn by `seed` where the options give none."""
        return CanarySet(
            formats=(self.format,) if isinstance(self.format, str) else tuple(self.format or DEFAULT_FORMATS),
            count=self.count,
            repeat=(self.repeat,) if isinstance(self.repeat, int) else tuple(self.repeat),
            seed=seed if self.seed is None else self.seed,
        )  # fmt: skip


def check_formats(canaries: CanarySet) -> None:
    """Refuse formats that cannot be filled or told apart.

    Raises:
        InputError: naming the key.
    """
    for index, text in enumerate(canaries.formats):
        key = f"format[{index}]" if len(canaries.formats) > 1 else "format"
        try:
            form = Format(text)
        except InputError as error:
            raise InputError(error.cause, key=key, hint=error.hint) from error
        if not form.named and canaries.count > len(canaries.formats):
            raise InputError(
                "several canaries would share this prompt and could not be told apart", key=key,
                hint="add {name} before the secret, or inject one canary for each format",
            )  # fmt: skip
    if len(set(canaries.formats)) < len(canaries.formats):
        raise InputError("a format stands twice", key="format", hint="keep one")


class _Record(StrictModel):
    kind: Literal["canaries"]
    version: Literal[1]
    id: str
    formats: Annotated[tuple[str, ...], Field(min_length=1)]
    count: Count
    repeat: Annotated[tuple[Repeat, ...], Field(min_length=1)]
    seed: Seed


def read_set(record: Mapping[str, Any]) -> CanarySet | None:
    """Return the canaries of a record; None for a record of something else that was injected.

    Raises:
        InputError: for a record of canaries that is not what a stage wrote.
    """
    if record.get("kind") != KIND:
        return None
    try:
        # Strict, but JSON has lists where the record has tuples.
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}
        read = _Record.model_validate(given)
    except ValidationError as error:
        detail = error.errors()[0]
        raise InputError(f"the record of the injected canaries is malformed: {detail['msg']}",
                         key=dotted(("injected", *detail["loc"]))) from error  # fmt: skip
    found = CanarySet(formats=read.formats, count=read.count, repeat=read.repeat, seed=read.seed)
    check_formats(found)
    if found.id != read.id:
        raise InputError("the record of the injected canaries was changed: its id does not fit", key="injected.id",
                         hint="restore artifact.json, or train again")  # fmt: skip
    return found
