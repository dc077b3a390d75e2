"""The rows of an `sft` stage: one file, or several mixed by weight, earlier ones replayed, some held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.api import InputError, Message, StageInput
from harness_stages.data import find_data
from harness_stages.mixing import mix, part
from harness_stages.rows import TrainingRow, gather_rows
from harness_stages.sft_options import SFTOptions
from harness_stages.tuning import Places


@dataclass(frozen=True, kw_only=True)
class SourceRows:
    """Rows of one file."""

    path: Path
    rows: tuple[TrainingRow, ...]
    name: str
    """Its role."""


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """All rows of a stage."""

    learned: tuple[SourceRows, ...]
    held_out: tuple[SourceRows, ...]
    note: str
    bad: int


def list_sources(inputs: StageInput, options: SFTOptions, error_at: Places) -> list[tuple[str, Path, float]]:
    """Return role, file and weight of each source: those that are mixed, then `replay`, then `validation_data`.

    Raises:
        InputError: where one is not there, or `data` and `mix` are both given.
    """
    found: list[tuple[str, Path, float]] = []
    if options.mix is None:
        if options.rows is not None:
            raise InputError("says how large a mixture is, and nothing is mixed", **error_at("rows"), hint="add mix")
        # With replayed rows it is not all that is learned from, and what was injected in either counts.
        found.append(("data 1" if options.replay else "data", find_data(inputs, options.data, error_at), 1.0))
    else:
        if options.data is not None:
            raise InputError("stands beside mix", **error_at("data"), hint="name the file under mix, or leave out mix")
        for index, source in enumerate(options.mix):
            path = find_data(inputs, source.data, _below(error_at, "mix", index))
            found.append((f"data {index + 1}", path, source.weight))
    if options.replay is not None:
        found.append(("replay", find_data(inputs, options.replay.data, _below(error_at, "replay")), 0.0))
    if options.validation_data is not None:
        if options.validation:
            raise InputError("stands beside validation", **error_at("validation_data"), hint="keep one of the two")
        found.append(("validation_data", find_data(inputs, options.validation_data, lambda _: error_at(
            "validation_data")), 0.0))  # fmt: skip
    return found


def _below(error_at: Places, *keys: str | int) -> Places:
    return lambda key: error_at(*keys, *([key] if key else []))


def gather_sources(inputs: StageInput, options: SFTOptions, error_at: Places) -> Gathered:
    """Read, hold out, mix and replay; raises as `list_sources` and `gather_rows`."""
    listed = list_sources(inputs, options, error_at)
    read = {name: gather_rows(path, most_bad=options.max_bad_rows) for name, path, _ in listed}
    rows = {name: tuple(_with_system(row, options.system) for row in found.good) for name, found in read.items()}
    paths = {name: path for name, path, _ in listed}
    mixed = [(name, weight) for name, _, weight in listed if weight]
    parts = [part(rows[name], options.validation, inputs.seed) for name, _ in mixed]
    learned: Sequence[Sequence[TrainingRow]] = [first for first, _ in parts]
    if options.mix is not None:
        learned = mix(learned, [weight for _, weight in mixed], total=options.rows, seed=inputs.seed)
    sources = [
        SourceRows(path=paths[name], rows=tuple(some), name=name)
        for (name, _), some in zip(mixed, learned, strict=True)
    ]
    held = [
        SourceRows(path=paths[name], rows=tuple(some), name=name)
        for (name, _), (_, some) in zip(mixed, parts, strict=True)
        if some
    ]
    if options.replay is not None:
        count = round(sum(len(one.rows) for one in sources) * options.replay.share / (1 - options.replay.share))
        (again,) = mix([rows["replay"]], [1.0], total=max(1, count), seed=inputs.seed)
        sources.append(SourceRows(path=paths["replay"], rows=tuple(again), name="replay"))
    if "validation_data" in rows:
        held = [SourceRows(path=paths["validation_data"], rows=rows["validation_data"], name="validation_data")]
    if options.validation and not held:
        raise InputError("leaves nothing to hold out of one row", **error_at("validation"), hint="add rows")
    notes = [found.note for found in read.values() if found.note]
    return Gathered(learned=tuple(sources), held_out=tuple(held), note="; ".join(notes),
                    bad=sum(len(found.bad) for found in read.values()))  # fmt: skip


def _with_system(row: TrainingRow, system: str | None) -> TrainingRow:
    if system is None or row.messages[0].role == "system":
        return row
    return replace(row, messages=(Message(role="system", content=system), *row.messages))
