"""Which file of preference pairs a stage reads, and the pairs as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import InputError, StageInput, TemplateRefusalError, check_lora, read_adapter_config, resolve_path
from harness_stages.lora import check_shape
from harness_stages.preferences import Pair, read_pairs
from harness_stages.tuning import Places, TuningOptions
from harness_stages.workloads import workload

if TYPE_CHECKING:
    from harness_stages.encoding import Encoded, Encoder


@dataclass(frozen=True, kw_only=True)
class PairPlan:
    """A stage that learns from pairs, read and checked as far as it can be without the model."""

    options: Any
    data: Path
    pairs: tuple[Pair, ...]
    note: str
    """Which rows were left out."""
    bad_rows: int
    error_at: Places


def find_pairs(inputs: StageInput, reference: str | None, error_at: Places) -> Path:
    """Return the file that `data` names, or the preferences of the stage before where it names none.

    Raises:
        InputError: where there is neither, or no such file.
    """
    if reference is None:
        found = inputs.others.get("preferences")
        if found is None:
            raise InputError(
                "the key 'data' is missing, and no stage before wrote preferences",
                **error_at(), hint="add data: FILE.jsonl",
            )  # fmt: skip
        path = found / "preferences.jsonl" if found.is_dir() else found
    else:
        where = error_at("data")
        path = resolve_path(reference, inputs.recipe_path, line=where["line"], key=where["key"])
    if not path.is_file():
        cause = "is a folder, not a file of pairs" if path.is_dir() else f"there is no file {path}"
        raise InputError(cause, **error_at("data"), hint="write the path relative to the recipe's folder, or absolute")
    return inputs.instead.get(path, path)


def plan_pairs(inputs: StageInput, options: TuningOptions, error_at: Places, *, least: float | None) -> PairPlan:
    """Read the pairs and check the adapter that training continues.

    Args:
        inputs: of the stage.
        options: of the stage.
        error_at: for errors.
        least: leave out pairs whose confidence is below.

    Raises:
        InputError: for data or an adapter that are not what they should be.
    """
    data = find_pairs(inputs, options.data, error_at)
    rows = read_pairs(data, most_bad=options.max_bad_rows)
    kept = [pair for pair in rows.good if least is None or pair.confidence is None or pair.confidence >= least]
    if len(kept) < 2:
        raise InputError(
            f"{len(kept)} of {len(rows.good)} pairs are left to learn from, and two are the least", file=data,
            hint="add pairs" if least is None else "lower min_confidence",
        )  # fmt: skip
    if inputs.adapter is not None:
        check_lora(inputs.adapter)
        check_shape(read_adapter_config(inputs.adapter), options.shape, adapter=inputs.adapter, error_at=error_at)
    return PairPlan(options=options, data=data, pairs=tuple(kept), note=rows.note, bad_rows=len(rows.bad),
                    error_at=error_at)  # fmt: skip


def pair_workload(options: TuningOptions, pairs: Sequence[Pair]) -> dict[str, float]:
    """Return what it is to learn from pairs: each is read twice, once with either answer."""
    done = workload(
        options, (sum(len(turn.content) for turn in pair.prompt) + (len(pair.chosen) + len(pair.rejected)) / 2
                  for pair in pairs)
    )  # fmt: skip
    return done | {"tokens": 2 * done["tokens"]}


@dataclass(frozen=True, kw_only=True)
class EncodedPair:
    """One pair for a trainer."""

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    truncated: bool
    """Whether an answer was cut at `max_length`."""


def answered(pair: EncodedPair) -> Encoded:
    """Return a pair's prompt with its chosen answer, as a row whose loss is the answer's."""
    from harness_stages.encoding import IGNORED, Encoded

    return Encoded(
        input_ids=[*pair.prompt_ids, *pair.chosen_ids], labels=[*[IGNORED] * len(pair.prompt_ids), *pair.chosen_ids],
        line=0,
    )  # fmt: skip


def encode_pairs(encoder: Encoder, pairs: Sequence[Pair], *, max_length: int, path: Path) -> list[EncodedPair]:
    """Encode pairs as the model sees them at inference.

    Raises:
        InputError: naming file and line, where a prompt alone fills `max_length` or the template refuses a row.
    """
    encoded = []
    for pair in pairs:
        try:
            prompt, chosen = encoder.turn(pair.prompt, pair.chosen, ended=not pair.chosen_cut)
            _, rejected = encoder.turn(pair.prompt, pair.rejected, ended=not pair.rejected_cut)
        except TemplateRefusalError as error:
            raise InputError(str(error), file=path, line=pair.line, hint="see the model's chat template") from error
        room = max_length - len(prompt)
        if room < 1:
            raise InputError(
                f"the prompt alone takes {len(prompt)} of max_length {max_length} tokens, so nothing of the answers is "
                "left", file=path, line=pair.line, hint="raise max_length or shorten the row",
            )  # fmt: skip
        encoded.append(EncodedPair(
            prompt_ids=prompt, chosen_ids=chosen[:room], rejected_ids=rejected[:room],
            truncated=max(len(chosen), len(rejected)) > room,
        ))  # fmt: skip
    return encoded
