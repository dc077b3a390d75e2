"""A reward model: the base with a LoRA adapter and one number per conversation in place of the next token."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import InputError, check_lora, parse_json, read_text
from harness_stages.loading import Where, load_base

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness_stages.pair_data import EncodedPair

SETTINGS_FILE = "reward.json"
FILES = ("adapter_config.json", "adapter_model.safetensors", SETTINGS_FILE)


@dataclass(frozen=True, kw_only=True)
class RewardModel:
    """Gives rewards to conversations of tokens."""

    model: Any
    pad: int
    batch_size: int = 8

    def rewards(self, sequences: Sequence[Sequence[int]]) -> list[float]:
        """Return the reward of each sequence, in the logits' unit: differences are log-odds of being preferred."""
        import torch

        order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
        found = [0.0] * len(sequences)
        training = self.model.training
        self.model.eval()
        device = next(self.model.parameters()).device
        try:
            with torch.no_grad():
                for start in range(0, len(order), self.batch_size):
                    chosen = order[start : start + self.batch_size]
                    longest = max(len(sequences[index]) for index in chosen)
                    ids = torch.full((len(chosen), longest), self.pad)
                    mask = torch.zeros_like(ids)
                    for row, index in enumerate(chosen):
                        ids[row, : len(sequences[index])] = torch.tensor(list(sequences[index]))
                        mask[row, : len(sequences[index])] = 1
                    logits = self.model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
                    for index, value in zip(chosen, logits.float().view(-1).tolist(), strict=True):
                        found[index] = value
        finally:
            self.model.train(training)
        return found

    def margins(self, pairs: Sequence[EncodedPair]) -> list[float]:
        """Return, of each pair, the chosen answer's reward less the rejected one's."""
        chosen = self.rewards([pair.prompt_ids + pair.chosen_ids for pair in pairs])
        rejected = self.rewards([pair.prompt_ids + pair.rejected_ids for pair in pairs])
        return [one - other for one, other in zip(chosen, rejected, strict=True)]


def load_headed(base: Path, where: Where, *, pad: int, quantise: str = "none") -> Any:  # noqa: ANN401 - transformers is not typed
    """Return the base with a head of one number, drawn at random; raises as `load_base`."""
    with _missing_head():
        model = load_base(
            base, where, quantise=quantise, head="AutoModelForSequenceClassification", num_labels=1, pad_token_id=pad
        )
    model.config.get_text_config().pad_token_id = pad
    return model


def load_reward_model(folder: Path, base: Path, *, device: str, pad: int) -> RewardModel:
    """Return a reward model as the stage `reward` keeps it.

    Raises:
        InputError: where the folder is none, or holds what its configuration does not explain.
    """
    from peft import PeftModel

    check_lora(folder)
    settings = read_settings(folder)
    headed = load_headed(base, Where(device=device, dtype=settings["dtype"]), pad=pad)
    try:
        model = PeftModel.from_pretrained(headed, str(folder), local_files_only=True, low_cpu_mem_usage=False)
    except (RuntimeError, ValueError, KeyError) as error:
        raise InputError("the reward model does not fit this base", file=folder,
                         hint="train the reward model on the base of this recipe") from error  # fmt: skip
    return RewardModel(model=model.to(device).requires_grad_(requires_grad=False), pad=pad)


def read_settings(folder: Path) -> dict[str, Any]:
    """Return what a reward model's own file says: number format, tokens at most, temperature.

    Raises:
        InputError: where the folder is no reward model.
    """
    file = folder / SETTINGS_FILE
    if not file.is_file():
        raise InputError(f"the folder is no reward model: it has no {SETTINGS_FILE}", file=folder,
                         hint="name the artifact of a reward stage")  # fmt: skip
    settings = parse_json(read_text(file), file)
    if not isinstance(settings, dict) or settings.get("dtype") not in {"float32", "bfloat16"}:
        raise InputError(f"cannot be understood: {json.dumps(settings)[:80]}", file=file, hint="train it again")
    return settings


@contextmanager
def _missing_head() -> Iterator[None]:
    """Say nothing of a head that the base does not have; it is what is trained."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
