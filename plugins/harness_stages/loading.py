"""Loads what a stage trains: tokenizer, base, and the adapter that is new or goes on."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import InputError
from harness.api.weights import add_tokens, extend, read_vocabulary, write_plain
from harness_stages.devices import choose_device, choose_dtype
from harness_stages.lora import check_fits, choose_targets
from harness_stages.quantising import quantisation

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from harness.api import StageInput
    from harness_stages.tuning import LoraOptions, Places


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where training runs, and in which number format the base is held there."""

    device: str
    dtype: str


def choose_where(inputs: StageInput, options: LoraOptions) -> Where:
    """Choose device and number format; raises as `choose_device`."""
    device = choose_device(inputs.device)
    return Where(device=device, dtype=choose_dtype(options.dtype, device))


def load_tokenizer(base: Path, adapter: Path | None = None) -> PreTrainedTokenizerBase:
    """Return the base's tokenizer, with a padding token, and with the tokens that an adapter brings.

    Raises:
        InputError: where it cannot be loaded or has no token to pad with.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(base), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise InputError(f"the base's tokenizer cannot be loaded ({first_line(error)})", file=base) from error
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise InputError("the base's tokenizer has neither a padding nor an end-of-text token", file=base)
        tokenizer.pad_token = tokenizer.eos_token  # padding is masked, so any token will do
    vocabulary = None if adapter is None else read_vocabulary(adapter)
    if vocabulary is not None:
        add_tokens(tokenizer, vocabulary)
    return tokenizer


def load_base(
    base: Path, where: Where, *, quantise: str = "none", head: str = "AutoModelForCausalLM", **more: object
) -> Any:  # noqa: ANN401 - transformers is not typed
    """Return a base as it stands in a folder.

    Args:
        base: folder with config and safetensors.
        where: device and number format.
        quantise: `none`, `int8` or `4bit`.
        head: the class of transformers that loads it.
        more: what else its `from_pretrained` takes.

    Raises:
        InputError: where it cannot be loaded, or not in so few bits.
    """
    import torch
    import transformers

    settings: dict[str, Any] = {
        "dtype": getattr(torch, where.dtype), "local_files_only": True, "use_safetensors": True,
        "trust_remote_code": False, **more,
    }  # fmt: skip
    config = quantisation(quantise, where.dtype)
    if config is not None:
        settings |= {"quantization_config": config, "device_map": {"": where.device}}
    try:
        return getattr(transformers, head).from_pretrained(str(base), **settings)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise InputError(f"the base cannot be loaded ({first_line(error)})", file=base) from error


def load_lora(inputs: StageInput, options: LoraOptions, where: Where, error_at: Places) -> Any:  # noqa: ANN401 - PEFT is not typed
    """Return the base with the adapter that training continues, or a new one.

    Raises:
        InputError: where base, adapter or options do not fit each other.
    """
    from peft import PeftModel

    from harness_stages.quickness import lighten

    model = load_base(inputs.base_path, where, quantise=options.quantise)
    if inputs.adapter is None:
        return add_lora(model, options, error_at=error_at, task="CAUSAL_LM")
    check_fits(inputs.adapter, model)
    with plain_adapter(inputs.adapter, model, inputs.base_path) as folder:
        peft_model = PeftModel.from_pretrained(
            model, str(folder), is_trainable=True, local_files_only=True, low_cpu_mem_usage=False
        )
    if "dropout" in options.model_fields_set:
        _set_dropout(peft_model, options.dropout)
    return lighten(peft_model)


@contextmanager
def plain_adapter(adapter: Path, model: Any, base: Path) -> Iterator[Path]:  # noqa: ANN401 - transformers is not typed
    """Give a model the tokens that an adapter brings, if any, and yield a folder with the plain rest for peft."""
    vocabulary = read_vocabulary(adapter)
    if vocabulary is None:
        yield adapter
        return
    extend(model, load_tokenizer(base), vocabulary, folder=adapter)
    with tempfile.TemporaryDirectory(prefix="harness-adapter-") as name:
        for file in ("adapter_config.json", "adapter_model.safetensors"):
            shutil.copyfile(adapter / file, Path(name) / file)
        write_plain(Path(name))
        yield Path(name)


def add_lora(
    model: Any,  # noqa: ANN401 - transformers is not typed
    options: LoraOptions, *, error_at: Places, task: str, more: Mapping[str, Any] | None = None,
) -> Any:  # noqa: ANN401 # fmt: skip
    """Return a model with a new LoRA adapter around it; raises as `choose_targets`."""
    from peft import LoraConfig, get_peft_model

    from harness_stages.quickness import lighten

    targets = choose_targets(model, options.target_modules, error_at=error_at("target_modules"))
    layers = int(model.config.get_text_config().num_hidden_layers)
    if options.from_layer >= layers:
        raise InputError(f"the base has {layers} layers, numbered from 0", **error_at("from_layer"),
                         hint=f"choose at most {layers - 1}")  # fmt: skip
    chosen = list(range(options.from_layer, layers)) if options.from_layer else None
    config = LoraConfig(
        r=options.r, lora_alpha=options.alpha, lora_dropout=options.dropout, target_modules=targets,
        layers_to_transform=chosen, use_dora=options.dora, use_rslora=options.rslora, task_type=task,
        fan_in_fan_out=_keeps_weights_transposed(model, targets), **(more or {}),
    )  # fmt: skip
    return lighten(get_peft_model(model, config))


def _keeps_weights_transposed(model: Any, targets: Sequence[str]) -> bool:  # noqa: ANN401
    from transformers.pytorch_utils import Conv1D

    return any(
        isinstance(module, Conv1D) and name.rsplit(".", 1)[-1] in targets for name, module in model.named_modules()
    )


def _set_dropout(model: Any, share: float) -> None:  # noqa: ANN401 - PEFT is not typed
    import torch

    for config in model.peft_config.values():
        config.lora_dropout = share
    for name, module in model.named_modules():
        if name.endswith("lora_dropout.default") and isinstance(module, torch.nn.Dropout | torch.nn.Identity):
            parent = model.get_submodule(name.rsplit(".", 1)[0])
            parent["default"] = torch.nn.Dropout(share) if share else torch.nn.Identity()


def first_line(error: Exception) -> str:
    """Return the first line of what an exception says."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
