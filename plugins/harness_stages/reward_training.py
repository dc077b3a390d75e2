"""The heavy half of the `reward` stage."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datasets import Dataset
from transformers import set_seed
from trl import RewardConfig, RewardTrainer

from harness.api import InputError, StageInput, StageOutput, asking_no_hub
from harness_stages.calibration import expected_calibration_error, fitted_temperature, log_logistic, logistic
from harness_stages.collapse import generated_share
from harness_stages.encoding import Encoder, read_end_ids
from harness_stages.fitting import Measured, common_arguments, fit, on_one_device, quiet_libraries
from harness_stages.loading import add_lora, choose_where, load_tokenizer
from harness_stages.monitors import Monitor
from harness_stages.pair_data import EncodedPair, PairPlan, encode_pairs
from harness_stages.preferences import held_out
from harness_stages.reward_model import SETTINGS_FILE, RewardModel, load_headed
from harness_stages.saving import save_adapter
from harness_stages.watcher import Watcher

if TYPE_CHECKING:
    from harness_stages.reward import RewardOptions


def train_reward(inputs: StageInput, plan: PairPlan) -> StageOutput:
    """Train as planned; see `RewardStage.run`."""
    options: RewardOptions = plan.options
    where = choose_where(inputs, options)
    measured = Measured(inputs, where.device)
    learned, held = held_out(plan.pairs, options.validation, inputs.seed)
    if not held:
        raise InputError(
            "all pairs have one prompt, so that none can be held out to measure the reward model on",
            file=plan.data, hint="add pairs with other prompts",
        )  # fmt: skip
    with quiet_libraries(), asking_no_hub():
        tokenizer = load_tokenizer(inputs.base_path)
        encoder = Encoder(tokenizer, read_end_ids(inputs.base_path))
        train, validation = (
            encode_pairs(encoder, pairs, max_length=options.max_length, path=plan.data) for pairs in (learned, held)
        )
        set_seed(inputs.seed)
        headed = load_headed(inputs.base_path, where, pad=int(tokenizer.pad_token_id), quantise=options.quantise)
        model = add_lora(headed, options, error_at=plan.error_at, task="SEQ_CLS", more={"modules_to_save": ["score"]})
        measured.begin(model.get_input_embeddings().weight.shape[1])
        watcher = Watcher(
            inputs.progress, f"reward on {plan.data.name}", where.device,
            also={"accuracy": "accuracy", "margin": "margin"},
        )  # fmt: skip
        judge = RewardModel(model=model, pad=int(tokenizer.pad_token_id), batch_size=options.batch_size)
        generated = generated_share(pair.source for pair in learned)

        def look(_: object) -> dict[str, float]:
            margins = judge.margins(validation)
            loss = -sum(log_logistic(margin) for margin in margins) / len(margins)
            return {"loss": loss, "held_out_accuracy": _right(margins), "self_generated": generated}

        monitor = Monitor(options.stop_if, look, every=options.evaluate_every)
        with tempfile.TemporaryDirectory(dir=inputs.output, prefix="trainer-") as scratch:
            config = RewardConfig(
                **common_arguments(options, inputs, Path(scratch), where.device), max_length=None,
                center_rewards_coefficient=options.centre or None,
            )  # fmt: skip
            trainer = RewardTrainer(
                model=model, args=on_one_device(config, where.device), train_dataset=_rows(train),
                processing_class=tokenizer, callbacks=[watcher, monitor],
            )  # fmt: skip
            fit(trainer, watcher, options, where.device, inputs=inputs)
        taken = measured.figures()
        margins = judge.margins(validation)
        folder = save_adapter(model, inputs, "reward")
        temperature = fitted_temperature(margins)
        (folder / SETTINGS_FILE).write_text(
            json.dumps({"dtype": where.dtype, "max_length": options.max_length, "temperature": temperature}) + "\n"
        )
    figures = {
        "pairs": float(len(plan.pairs)), "validation_pairs": float(len(held)), "bad_rows": float(plan.bad_rows),
        "truncated_pairs": float(sum(pair.truncated for pair in (*train, *validation))), **taken,
        "bfloat16": float(where.dtype == "bfloat16"), **watcher.figures(),
        **{f"validation_{name}": value for name, value in monitor.figures().items() if name.startswith("loss_")},
        "validation_accuracy": _right(margins),
        "validation_ece": expected_calibration_error([logistic(margin) for margin in margins]),
        "validation_margin": sum(margins) / len(margins), "temperature": temperature,
    }  # fmt: skip
    note = "; ".join(filter(None, (plan.note, monitor.note, watcher.note)))
    curves = watcher.curves() | monitor.curves() | {"validation_loss": monitor.signs.seen["loss"]}
    return StageOutput(others={"reward": folder}, figures=figures, curves=curves, note=note)


def _right(margins: Sequence[float]) -> float:
    """Return the share of pairs whose preferred answer has the higher reward; a tie is half."""
    return sum(1.0 if margin > 0 else 0.5 if margin == 0 else 0.0 for margin in margins) / len(margins)


def _rows(pairs: Sequence[EncodedPair]) -> Dataset:
    return Dataset.from_list([
        {"chosen_ids": pair.prompt_ids + pair.chosen_ids, "rejected_ids": pair.prompt_ids + pair.rejected_ids}
        for pair in pairs
    ])  # fmt: skip
