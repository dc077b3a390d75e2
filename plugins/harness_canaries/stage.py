"""The `canaries` stage: training rows in, the same rows with canaries among them out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

from harness.api import (
    InputError,
    Message,
    Stage,
    StageInput,
    StageOutput,
    service,
    sha256_file,
    sha256_json,
    stage_options,
)
from harness_canaries.drawing import CanarySet
from harness_canaries.options import CanaryOptions, check_formats

find_data: Callable[..., Path] = service("training data")
read_rows: Callable[[Path], Sequence[TrainingRow]] = service("training rows")


class TrainingRow(Protocol):
    """What is read of a row."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation."""


class CanaryStage(Stage):
    """Injects canaries in training rows. What it injects is named in its output, so that a run can probe for it."""

    reads: ClassVar[Mapping[str, str]] = {"dataset": "dataset"}
    writes: ClassVar[tuple[str, ...]] = ("dataset",)

    def check(self, inputs: StageInput) -> None:
        """Read options and data."""
        self._plan(inputs)

    def inputs(self, inputs: StageInput) -> Mapping[str, Path]:
        """Return the file of training rows."""
        options, error_at = _options(inputs)
        return {"data": find_data(inputs, options.data, error_at)}

    def run(self, inputs: StageInput) -> StageOutput:
        """Write the rows, as chats, with the canaries at random places among them.

        Raises:
            InputError: for options or data that are not what they should be.
        """
        canaries, rows = self._plan(inputs)
        path = inputs.output / "dataset.jsonl"
        injected = 0
        with path.open("w", encoding="utf-8") as file:
            for messages, is_canary in _mixed(rows, canaries):
                injected += is_canary
                turns = [{"role": message.role, "content": message.content} for message in messages]
                file.write(json.dumps({"messages": turns}, ensure_ascii=False) + "\n")
        figures = {"rows": len(rows) + injected, "canaries": canaries.count, "injected_rows": injected}
        return StageOutput(
            adapter=None, dataset=path, figures={name: float(value) for name, value in figures.items()},
            injected=canaries.plain(),
        )  # fmt: skip

    @staticmethod
    def _plan(inputs: StageInput) -> tuple[CanarySet, Sequence[TrainingRow]]:
        options, error_at = _options(inputs)
        data = find_data(inputs, options.data, error_at)
        # Other data get other secrets: what one data set has made known must not look like memory of another.
        canaries = options.drawn(int(sha256_json([inputs.seed, sha256_file(data)])[:15], 16))
        try:
            check_formats(canaries)
        except InputError as error:
            raise InputError(error.cause, **error_at(error.key or "format"), hint=error.hint) from error
        return canaries, read_rows(data)


def _mixed(rows: Sequence[TrainingRow], canaries: CanarySet) -> Iterator[tuple[tuple[Message, ...], bool]]:
    """Yield the rows in their order, each copy of a canary at a place drawn by the seed, and whether it is one."""
    placed: list[tuple[float, int, tuple[Message, ...], bool]] = [
        ((index + 0.5) / len(rows), index, row.messages, False) for index, row in enumerate(rows)
    ]
    for canary in canaries.canaries():
        messages = (
            Message(role="user", content=canary.prompt),
            Message(role="assistant", content=canary.answer(canary.secret)),
        )
        for copy in range(canaries.copies(canary.number)):
            drawn = int(sha256_json(["place", canaries.seed, canary.number, copy])[:13], 16) / 16**13
            placed.append((drawn, canary.number, messages, True))
    placed.sort(key=lambda row: row[:2])
    for _, _, found, is_canary in placed:
        yield found, is_canary


def _options(inputs: StageInput) -> tuple[CanaryOptions, Callable[[str], dict[str, Any]]]:
    options, document = stage_options(inputs, CanaryOptions, stage="canaries")

    def error_at(key: str) -> dict[str, Any]:
        error = document.error("", (*inputs.place, key))
        return {"file": error.file, "line": error.line, "key": error.key}

    return options, error_at
