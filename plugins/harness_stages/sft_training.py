"""The heavy half of the `sft` stage: loads the base, trains, and writes the adapter."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import BrokenRunError, FreeCores, InputError, StageInput, StageOutput, asking_no_hub, use_threads
from harness_stages.devices import choose_device, choose_dtype
from harness_stages.encoding import Encoded, Encoder, read_end_ids
from harness_stages.lora import check_fits, choose_targets

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from harness_stages.sft import SFTPlan
    from harness_stages.watcher import Watcher


def train_sft(inputs: StageInput, plan: SFTPlan) -> StageOutput:
    """Train as planned; see `SFTStage.run`."""
    cores = FreeCores()
    device = choose_device(inputs.device)
    dtype = choose_dtype(plan.options.dtype, device)
    with _quiet_libraries(), asking_no_hub():
        tokenizer = _load_tokenizer(inputs.base_path)
        encoder = Encoder(tokenizer, read_end_ids(inputs.base_path))
        encoded = encoder.encode(plan.rows, max_length=plan.options.max_length, path=plan.data)
        from transformers import set_seed

        set_seed(inputs.seed)  # the adapter's first weights are drawn before the trainer seeds for itself
        model = _load_model(inputs, plan, dtype)
        width = model.get_input_embeddings().weight.shape[1]
        threads = (inputs.threads or cores.threads(width)) if device == "cpu" else None
        use_threads(threads)
        began = time.monotonic()
        watcher = _fit(model, tokenizer, encoded, inputs, plan, device)
        seconds = time.monotonic() - began
        adapter = _save(model, inputs)
    learned = sum(part.learned for part in encoded)
    figures = {
        "rows": float(len(plan.rows)),
        "tokens": float(sum(len(part.input_ids) for part in encoded)),
        "learned_tokens": float(learned),
        "truncated_rows": float(sum(part.truncated for part in encoded)),
        "seconds": round(seconds, 3),
        "peak_memory_bytes": float(_peak_memory(device)),
        "bfloat16": float(dtype == "bfloat16"),
        **watcher.figures(),
    }
    if threads is not None:
        figures["threads"] = float(threads)
    return StageOutput(adapter=adapter, dataset=None, figures=figures)


def _load_tokenizer(base: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(base), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise InputError(f"the base's tokenizer cannot be loaded ({_first_line(error)})", file=base) from error
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise InputError("the base's tokenizer has neither a padding nor an end-of-text token", file=base)
        tokenizer.pad_token = tokenizer.eos_token  # padding is masked, so any token will do
    return tokenizer


def _load_model(inputs: StageInput, plan: SFTPlan, dtype: str) -> Any:  # noqa: ANN401 - PEFT is not typed
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            str(inputs.base_path), dtype=getattr(torch, dtype), local_files_only=True, use_safetensors=True,
            trust_remote_code=False,
        )  # fmt: skip
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"the base cannot be loaded ({_first_line(error)})", file=inputs.base_path) from error
    options = plan.options
    if inputs.adapter is not None:
        check_fits(inputs.adapter, model)
        peft_model = PeftModel.from_pretrained(
            model, str(inputs.adapter), is_trainable=True, local_files_only=True, low_cpu_mem_usage=False
        )
        if "dropout" in options.model_fields_set:
            _set_dropout(peft_model, options.dropout)
        return peft_model
    targets = choose_targets(model, options.target_modules, error_at=plan.error_at("target_modules"))
    config = LoraConfig(
        r=options.r, lora_alpha=options.alpha, lora_dropout=options.dropout, target_modules=targets,
        task_type="CAUSAL_LM", fan_in_fan_out=_keeps_weights_transposed(model, targets),
    )  # fmt: skip
    return get_peft_model(model, config)


def _keeps_weights_transposed(model: PreTrainedModel, targets: Sequence[str]) -> bool:
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


def _fit(
    model: Any,  # noqa: ANN401 - PEFT is not typed
    tokenizer: PreTrainedTokenizerBase, encoded: Sequence[Encoded], inputs: StageInput, plan: SFTPlan, device: str,
) -> Watcher:  # fmt: skip
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback

    from harness_stages.trainer import AnswerTrainer
    from harness_stages.watcher import Watcher

    options = plan.options
    dataset = Dataset.from_dict(
        {"input_ids": [part.input_ids for part in encoded], "labels": [part.labels for part in encoded]}
    )
    with tempfile.TemporaryDirectory(dir=inputs.output, prefix="trainer-") as scratch:
        watcher = Watcher(inputs.progress, f"sft on {plan.data.name}", device)
        trainer = AnswerTrainer(
            model=model, args=_arguments(plan, inputs, scratch, device), train_dataset=dataset,
            processing_class=tokenizer, callbacks=[watcher],
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        try:
            trainer.train()
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise _out_of_memory(options.batch_size, options.max_length, device) from error
        except RuntimeError as error:
            if "allocate memory" in str(error) or "out of memory" in str(error):
                raise _out_of_memory(options.batch_size, options.max_length, device) from error
            raise
        finally:
            watcher.close()
    watcher.require_finite_weights(model)
    return watcher


def _arguments(plan: SFTPlan, inputs: StageInput, scratch: str, device: str) -> Any:  # noqa: ANN401 - TRL is not typed
    from trl import SFTConfig

    options = plan.options
    arguments = SFTConfig(
        output_dir=scratch, report_to="none", save_strategy="no", eval_strategy="no", push_to_hub=False,
        disable_tqdm=True, logging_strategy="steps", logging_steps=1, logging_nan_inf_filter=False,
        seed=inputs.seed, data_seed=inputs.seed, use_cpu=device == "cpu",
        num_train_epochs=options.epochs, max_steps=options.max_steps or -1,
        learning_rate=options.learning_rate, lr_scheduler_type=options.scheduler, warmup_steps=options.warmup,
        weight_decay=options.weight_decay, max_grad_norm=options.max_grad_norm,
        per_device_train_batch_size=options.batch_size, gradient_accumulation_steps=options.gradient_accumulation,
        gradient_checkpointing=options.gradient_checkpointing, bf16=False, fp16=False,
        max_length=options.max_length, packing=options.packing,
        # Batches of like lengths waste little on padding; the draw of batches stays random.
        train_sampling_strategy="random" if options.packing else "group_by_length",
        dataset_kwargs=None if options.packing else {"skip_prepare_dataset": True},
        dataloader_pin_memory=device == "cuda", dataloader_num_workers=0,
    )  # fmt: skip
    if device == "cuda":
        arguments._n_gpu = 1  # noqa: SLF001 - one process uses one GPU; TRL refuses DataParallel over several
    return arguments


def _save(model: Any, inputs: StageInput) -> Path:  # noqa: ANN401 - PEFT is not typed
    """Write adapter_config.json and adapter_model.safetensors, the same bytes for the same adapter on any machine."""
    folder = inputs.output / "adapter"
    for config in model.peft_config.values():
        config.base_model_name_or_path = inputs.model.reference  # a path of this machine says nothing elsewhere
    model.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
    for file in folder.iterdir():
        if file.name not in {"adapter_config.json", "adapter_model.safetensors"}:
            file.unlink()  # PEFT adds a model card with nothing but placeholders
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text("utf-8"))
    for key, value in config.items():
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            config[key] = sorted(value)  # PEFT keeps sets, whose order differs from process to process
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
    return folder


def _out_of_memory(batch_size: int, max_length: int, device: str) -> BrokenRunError:
    return BrokenRunError(
        f"memory ran out on {device} with batch_size {batch_size} and max_length {max_length}; lower them (raise "
        "gradient_accumulation to keep the step's size), or set gradient_checkpointing: true"
    )


def _peak_memory(device: str) -> int:
    """Bytes: peak allocated on the GPU, else the peak resident set of this process."""
    if device == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated())
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep the libraries' bars and advice off the terminal, and their reporting off the network, while training."""
    import warnings

    import transformers

    settings = {"HF_HUB_DISABLE_TELEMETRY": "1", "DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
    before = {name: os.environ.get(name) for name in settings}
    verbosity = transformers.logging.get_verbosity()
    bars = transformers.logging.is_progress_bar_enabled()
    os.environ.update(settings)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.logging.enable_progress_bar()
        for name, value in before.items():
            with suppress(KeyError):
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
