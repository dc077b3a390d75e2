"""The heavy half of the `dpo` stage."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset
from transformers import set_seed
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

from harness.api import InputError, StageInput, StageOutput, asking_no_hub
from harness_stages.collapse import generated_share
from harness_stages.encoding import Encoder, read_end_ids
from harness_stages.fitting import Measured, common_arguments, fit, on_one_device, quiet_libraries
from harness_stages.loading import choose_where, load_lora, load_tokenizer
from harness_stages.monitored import Monitored, monitor_of
from harness_stages.pair_data import EncodedPair, PairPlan, answered, encode_pairs
from harness_stages.pair_head import project_answers_only
from harness_stages.preferences import held_out
from harness_stages.saving import save_adapter
from harness_stages.watcher import Watcher

if TYPE_CHECKING:
    from harness_stages.dpo import DPOOptions

_LOGGED = {
    "rewards/accuracies": "accuracy", "rewards/margins": "margin", "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected", "kl": "kl",
}  # fmt: skip


class _Tokens:
    """For TRL's trainers: the rows are tokens already, encoded as at inference."""

    def _prepare_dataset(self, dataset: Dataset, *_: object) -> Dataset:
        return dataset


class _PairTrainer(_Tokens, DPOTrainer):  # type: ignore[misc]  # TRL is not typed
    pass


class _AnswerTrainer(_Tokens, KTOTrainer):  # type: ignore[misc]  # TRL is not typed
    pass


@dataclass(frozen=True, kw_only=True)
class _Given:
    model: Any
    tokenizer: Any
    train: Sequence[EncodedPair]
    validation: Sequence[EncodedPair]


def train_dpo(inputs: StageInput, plan: PairPlan) -> StageOutput:
    """Train as planned; see `DPOStage.run`."""
    options: DPOOptions = plan.options
    where = choose_where(inputs, options)
    measured = Measured(inputs, where.device)
    learned, held = held_out(plan.pairs, options.validation, inputs.seed)
    if options.loss == "kto" and (2 * len(learned) < options.batch_size or options.batch_size < 2):
        raise InputError(
            f"KTO compares answers within a batch, and batch_size is {options.batch_size} for {2 * len(learned)} "
            "answers", **plan.error_at("batch_size"), hint="choose one between 2 and the number of answers",
        )  # fmt: skip
    with quiet_libraries(), asking_no_hub():
        tokenizer = load_tokenizer(inputs.base_path, inputs.adapter)
        encoder = Encoder(tokenizer, read_end_ids(inputs.base_path))
        train, validation = (
            encode_pairs(encoder, pairs, max_length=options.max_length, path=plan.data) for pairs in (learned, held)
        )
        set_seed(inputs.seed)
        model = load_lora(inputs, options, where, plan.error_at)
        measured.begin(model.get_input_embeddings().weight.shape[1])
        watcher = Watcher(inputs.progress, f"dpo on {plan.data.name}", where.device, also=_LOGGED)
        with tempfile.TemporaryDirectory(dir=inputs.output, prefix="trainer-") as scratch:
            given = _Given(model=model, tokenizer=tokenizer, train=train, validation=validation)
            config = _config(options, common_arguments(options, inputs, Path(scratch), where.device))
            on_one_device(config, where.device)
            trainer = (_kto if options.loss == "kto" else _dpo)(given, config, inputs.seed)
            project_answers_only(model, checkpointing=options.gradient_checkpointing)
            trainer.add_callback(watcher)
            monitor = None
            if validation or options.stop_if.model_fields_set:
                rows = [answered(pair) for pair in validation or train]
                watched = Monitored(rows=rows, options=options, seed=inputs.seed,
                                    generated=generated_share(pair.source for pair in learned))  # fmt: skip
                monitor = monitor_of(model, tokenizer, where, watched, held_out=rows if validation else ())
                trainer.add_callback(monitor)
            fit(trainer, watcher, options, where.device, inputs=inputs)
            judged = _judged(trainer, validation)
        taken = measured.figures()
        adapter = save_adapter(model, inputs)
    figures = {
        "pairs": float(len(plan.pairs)), "validation_pairs": float(len(held)), "bad_rows": float(plan.bad_rows),
        "truncated_pairs": float(sum(pair.truncated for pair in (*train, *validation))),
        "tokens": float(sum(2 * len(pair.prompt_ids) + len(pair.chosen_ids) + len(pair.rejected_ids)
                            for pair in train)),
        **taken, "bfloat16": float(where.dtype == "bfloat16"), **watcher.figures(),
        **({} if monitor is None else monitor.figures()), **judged,
    }  # fmt: skip
    note = "; ".join(filter(None, (plan.note, "" if monitor is None else monitor.note, watcher.note)))
    curves = watcher.curves() | ({} if monitor is None else monitor.curves())
    return StageOutput(adapter=adapter, figures=figures, curves=curves, note=note)


def _judged(trainer: Any, validation: Sequence[EncodedPair]) -> Mapping[str, float]:  # noqa: ANN401
    """Return what the held-out pairs say of the trained model."""
    if not validation:
        return {}
    found = trainer.evaluate()
    wanted = {"eval_loss": "validation_loss"} | {
        f"eval_{log}": f"validation_{name}" for log, name in _LOGGED.items() if name in {"accuracy", "margin"}
    }
    return {name: float(found[key]) for key, name in wanted.items() if key in found}


def _config(options: DPOOptions, common: Mapping[str, Any]) -> Any:  # noqa: ANN401 - TRL is not typed
    if options.loss == "kto":
        # In this order each batch holds the answers whose KL term its neighbours estimate.
        return KTOConfig(**common, beta=options.beta, max_length=None, train_sampling_strategy="sequential")
    return DPOConfig(
        **common, loss_type=[options.loss], beta=options.beta, label_smoothing=options.label_smoothing, max_length=None
    )


def _dpo(given: _Given, config: DPOConfig, seed: int) -> DPOTrainer:  # noqa: ARG001 - the trainer draws the order
    train, validation = (
        Dataset.from_list([
            {"prompt_ids": pair.prompt_ids, "chosen_ids": pair.chosen_ids, "rejected_ids": pair.rejected_ids}
            for pair in pairs
        ])
        for pairs in (given.train, given.validation)
    )  # fmt: skip
    return _PairTrainer(
        model=given.model, args=config, train_dataset=train, eval_dataset=validation if given.validation else None,
        processing_class=given.tokenizer,
    )  # fmt: skip


def _kto(given: _Given, config: KTOConfig, seed: int) -> KTOTrainer:
    size = config.per_device_train_batch_size
    train, validation = (_answers(pairs, size, seed) for pairs in (given.train, given.validation))
    return _AnswerTrainer(
        model=given.model, args=config, train_dataset=train, eval_dataset=validation if given.validation else None,
        processing_class=given.tokenizer,
    )  # fmt: skip


def _answers(pairs: Sequence[EncodedPair], size: int, seed: int) -> Dataset:
    """Return each answer by itself, shuffled, with a neighbour's answer in its batch for the KL term (as TRL does)."""
    rows = [
        {"prompt_ids": pair.prompt_ids, "completion_ids": answer, "label": label}
        for pair in pairs
        for answer, label in ((pair.chosen_ids, True), (pair.rejected_ids, False))
    ]
    random.Random(seed).shuffle(rows)  # noqa: S311 - an order, not a secret
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        for before, row in zip([batch[-1], *batch[:-1]], batch, strict=True):
            row["KL_completion_ids"] = before["completion_ids"]
    return Dataset.from_list(rows)
