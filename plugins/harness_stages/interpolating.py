"""The `interpolate` stage: an adapter weakened until it declines little more of harmless prompts than the base does."""

from __future__ import annotations

import json
import shutil
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from harness.api import (
    CONFIG_FILE,
    BrokenRunError,
    Decoding,
    InputError,
    Stage,
    StageInput,
    StageOutput,
    StrictModel,
    asking_no_hub,
    check_lora,
    read_adapter_config,
    sha256_text,
)
from harness_stages.data import find_data
from harness_stages.prompts import PromptRow, read_prompts
from harness_stages.served import label_of, make_renderer, make_rollouts
from harness_stages.tuning import read_stage_options

if TYPE_CHECKING:
    from harness_stages.tuning import Places

Scale = Annotated[float, Field(gt=0, le=1)]
Ask = Callable[[Sequence[PromptRow], float], list[str]]
"""Answers prompts greedily with the adapter at a scale; at 0 the base answers."""


class InterpolateOptions(StrictModel):
    """What a recipe may say under `interpolate`; docs/training.md has the table."""

    data: str
    """File of prompts that nothing was trained on and nothing will be judged by; those that say `harmful` are left
    out."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Most prompts, drawn by the seed."""
    scales: Annotated[list[Scale], Field(min_length=1, default_factory=lambda: [1.0, 0.9, 0.8, 0.7, 0.6, 0.5])]
    """What the adapter's share may be; the largest that is within the limit is taken, found by halving."""
    max_refusals: Annotated[float, Field(ge=0, le=1)] = 0.03
    """Most prompts that it may decline beyond the base's own, as a share of all."""
    max_new_tokens: Annotated[int, Field(ge=8, le=512)] = 24
    """Of a reply: how it opens tells whether it declines."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the base, as for `sft`."""

    @field_validator("scales")
    @classmethod
    def _once(cls, scales: list[float]) -> list[float]:
        if len(set(scales)) != len(scales):
            raise ValueError("names a scale twice")
        return sorted(scales, reverse=True)


class InterpolateStage(Stage):
    """Writes the adapter with its share of the weights scaled: base + scale × what was learned.

    That lies between the base and the tuned model, as in WiSE-FT (Wortsman et al. 2022, arXiv 2109.01903). The scale is
    the largest at which the share of harmless prompts that are declined, by the wording of greedy replies, is at most
    `max_refusals` above the base's. It is found by halving: the less is left of what was learned, the fewer are
    declined.
    """

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "peft")
    reads: ClassVar[Mapping[str, str]] = {"adapter": "adapter"}

    def check(self, inputs: StageInput) -> None:
        """Read options and prompts, and see that the adapter can be scaled."""
        _plan(inputs)
        if inputs.adapter is not None:
            _require_plain(inputs.adapter)

    def inputs(self, inputs: StageInput) -> Mapping[str, Path]:
        """Return the file of prompts."""
        options, error_at = read_stage_options(inputs, InterpolateOptions, stage="interpolate")
        return {"data": find_data(inputs, options.data, error_at)}

    def run(self, inputs: StageInput) -> StageOutput:
        """Ask the model at scales, by halving, and write the adapter at the largest that is within the limit.

        Raises:
            InputError: where there is no adapter, or it is one of DoRA.
            BrokenRunError: where even the smallest scale declines too much.
        """
        options, prompts, error_at = _plan(inputs)
        if inputs.adapter is None:
            raise InputError("there is no adapter to weaken", **error_at(),
                             hint="put it behind a stage that trains one, or add adapter: to the recipe")  # fmt: skip
        _require_plain(inputs.adapter)
        with asking_no_hub():
            ask = _asker(inputs, options)
            base = _declined(prompts, ask(prompts, 0.0))
            found: dict[float, float] = {}

            def fits(scale: float) -> bool:
                found[scale] = _declined(prompts, ask(prompts, scale))
                return found[scale] <= base + options.max_refusals

            scale = first_fitting(options.scales, fits)
            if scale is None:
                raise BrokenRunError(
                    "at every scale that was asked more harmless prompts are declined than allowed: "
                    f"{100 * min(found.values()):.1f} % at the least, {100 * base:.1f} % by the base; add a smaller "
                    "scale, raise max_refusals, or train on more harmless rows"
                )
        figures = {
            "scale": scale, "prompts": float(len(prompts)), "declined_base": base, "declined": found[scale],
            **{f"declined_at_{one:g}": share for one, share in found.items()},
        }  # fmt: skip
        return StageOutput(adapter=_write(inputs.adapter, scale, inputs.output / "adapter"), figures=figures)


def first_fitting(scales: Sequence[float], fits: Callable[[float], bool]) -> float | None:
    """Return the first scale that fits, by halving: behind one that fits all others are taken to fit.

    Args:
        scales: the largest first.
        fits: tells whether one does; it is asked of one for each halving alone.

    Returns:
        None where none does; the last has been asked then.
    """
    index = bisect_left(scales, 1, key=lambda scale: int(fits(scale)))
    return scales[index] if index < len(scales) else None


def scaled(config: Mapping[str, Any], scale: float) -> dict[str, Any]:
    """Return an adapter's configuration that gives `scale` times its share of the weights."""
    patterns = {name: scale * float(alpha) for name, alpha in (config.get("alpha_pattern") or {}).items()}
    return {**config, "lora_alpha": scale * float(config["lora_alpha"]), "alpha_pattern": patterns}


def _write(adapter: Path, scale: float, folder: Path) -> Path:
    shutil.copytree(adapter, folder, ignore=lambda _, names: [name for name in names if name.startswith("artifact")])
    for file in folder.rglob("*"):
        file.chmod(0o700 if file.is_dir() else 0o600)
    config = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
    text = json.dumps(scaled(config, scale), indent=2, sort_keys=True) + "\n"
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
    return folder


def _require_plain(adapter: Path) -> None:
    check_lora(adapter)
    if read_adapter_config(adapter).get("use_dora"):
        raise InputError(
            "an adapter of DoRA has magnitudes of its own, and cannot be weakened by its scale",
            file=adapter / CONFIG_FILE, key="use_dora", hint="train it without dora",
        )  # fmt: skip


def _asker(inputs: StageInput, options: InterpolateOptions) -> Ask:
    from harness_stages.fitting import Measured, quiet_libraries
    from harness_stages.loading import choose_where, load_lora, load_tokenizer
    from harness_stages.tuning import LoraOptions

    lora = LoraOptions.model_validate({"dtype": options.dtype})
    where = choose_where(inputs, lora)
    measured = Measured(inputs, where.device)
    with quiet_libraries():
        tokenizer = load_tokenizer(inputs.base_path, inputs.adapter)
        model = load_lora(inputs, lora, where, lambda *_: {"file": inputs.recipe_path})
    measured.begin(model.get_input_embeddings().weight.shape[1])
    layers = [layer for layer in model.modules() if isinstance(getattr(layer, "scaling", None), dict)]
    whole = [dict(layer.scaling) for layer in layers]
    renderer = make_renderer(tokenizer, "auto")
    rollouts = make_rollouts(model, tokenizer, device=where.device, dtype=where.dtype)
    decoding = Decoding(max_new_tokens=options.max_new_tokens)

    def ask(prompts: Sequence[PromptRow], scale: float) -> list[str]:
        for layer, before in zip(layers, whole, strict=True):
            layer.scaling.update({name: scale * value for name, value in before.items()})
        encoded = [renderer.encode([renderer.render(prompt.messages)])[0] for prompt in prompts]
        return [one.text for one in rollouts(encoded, decoding)]

    return ask


def _declined(prompts: Sequence[PromptRow], replies: Sequence[str]) -> float:
    """Return the share of prompts that are declined."""
    said = zip(prompts, replies, strict=True)
    return sum(label_of(row.messages[-1].content, reply) == "refused" for row, reply in said) / len(prompts)


def _plan(inputs: StageInput) -> tuple[InterpolateOptions, list[PromptRow], Places]:
    options, error_at = read_stage_options(inputs, InterpolateOptions, stage="interpolate")
    file = find_data(inputs, options.data, error_at)
    rows = [row for row in read_prompts(file).good if not row.harmful]
    if not rows:
        raise InputError("none of these prompts is harmless", **error_at("data"), hint='see "harmful" in its rows')
    order = sorted(rows, key=lambda row: sha256_text(f"{inputs.seed} {row.messages[-1].content}"))
    return options, order[: options.limit], error_at
