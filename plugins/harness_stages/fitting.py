"""What every trainer shares: its arguments, quiet libraries, memory that runs out, threads and what it took."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import BrokenRunError, FreeCores, use_threads

if TYPE_CHECKING:
    from harness.api import StageInput
    from harness_stages.resuming import Keeper
    from harness_stages.tuning import OptimiserOptions
    from harness_stages.watcher import Watcher


def common_arguments(options: OptimiserOptions, inputs: StageInput, scratch: Path, device: str) -> dict[str, Any]:
    """Return the trainer's arguments that do not depend on what is learned."""
    return {
        "output_dir": str(scratch), "report_to": "none", "save_strategy": "no", "eval_strategy": "no",
        "push_to_hub": False, "disable_tqdm": True, "logging_strategy": "steps", "logging_steps": 1,
        "logging_nan_inf_filter": False, "seed": inputs.seed, "data_seed": inputs.seed, "use_cpu": device == "cpu",
        "num_train_epochs": options.epochs, "max_steps": options.max_steps or -1,
        "learning_rate": options.learning_rate, "lr_scheduler_type": options.scheduler,
        "warmup_steps": options.warmup, "weight_decay": options.weight_decay, "max_grad_norm": options.max_grad_norm,
        "per_device_train_batch_size": options.batch_size, "per_device_eval_batch_size": options.batch_size,
        "gradient_accumulation_steps": options.gradient_accumulation,
        "gradient_checkpointing": options.gradient_checkpointing, "bf16": False, "fp16": False,
        "dataloader_pin_memory": device == "cuda", "dataloader_num_workers": 0,
        "ddp_find_unused_parameters": False,
    }  # fmt: skip


def on_one_device(arguments: Any, device: str) -> Any:  # noqa: ANN401 - TRL is not typed
    """Keep one process to one GPU; TRL refuses DataParallel over several."""
    if device == "cuda":
        arguments._n_gpu = 1  # noqa: SLF001
    return arguments


def fit(
    trainer: Any,  # noqa: ANN401 - transformers is not typed
    watcher: Watcher, options: OptimiserOptions, device: str, *, inputs: StageInput,
    also: Mapping[str, Keeper] | None = None,
) -> None:  # fmt: skip
    """Train, from the last checkpoint where there is one, and explain what may go wrong.

    Args:
        trainer: of transformers or TRL.
        watcher: one of its callbacks; it is told from where training went on.
        options: of the stage.
        device: where it trains.
        inputs: of the stage.
        also: what notes something on the way besides the trainer's callbacks, by name.

    Raises:
        BrokenRunError: where memory runs out, the loss or a weight is no number any more, or a limit is reached.
    """
    import torch
    from transformers import PrinterCallback

    from harness_stages.quickness import keeping_memory
    from harness_stages.resuming import Checkpoints

    trainer.remove_callback(PrinterCallback)
    for one in trainer.callback_handler.callbacks:
        if hasattr(one, "observe"):
            one.observe = inputs.observe
    checkpoints = Checkpoints(trainer, inputs, device, also)
    try:
        with keeping_memory():
            trainer.train(resume_from_checkpoint=checkpoints.path)
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _out_of_memory(options, device) from error
    except RuntimeError as error:
        if "allocate memory" in str(error) or "out of memory" in str(error):
            raise _out_of_memory(options, device) from error
        raise
    finally:
        watcher.close()
    checkpoints.require_not_stopped()
    watcher.require_finite_weights(trainer.model)
    watcher.note, watcher.resumed = checkpoints.note, checkpoints.resumed


def _out_of_memory(options: OptimiserOptions, device: str) -> BrokenRunError:
    return BrokenRunError(
        f"memory ran out on {device} with batch_size {options.batch_size} and max_length {options.max_length}; lower "
        "them (raise gradient_accumulation to keep the step's size), or set gradient_checkpointing: true"
    )


class Measured:
    """Takes as many threads as are free or as before, and says what a training took.

    Make it before a model is loaded.

    Args:
        inputs: of the stage.
        device: where it trains.
    """

    def __init__(self, inputs: StageInput, device: str) -> None:
        self._cores, self._inputs, self._device = FreeCores(), inputs, device
        self._threads: int | None = None
        self._began = time.monotonic()

    def begin(self, width: int) -> None:
        """Take threads for a model whose hidden states have `width` numbers, and begin to count seconds."""
        from harness_stages.resuming import begun

        self._threads = begun(self._inputs, self._device, lambda: self._cores.threads(width))
        if self._threads is not None:
            use_threads(self._threads)
        self._began = time.monotonic()

    def figures(self) -> dict[str, float]:
        """Return seconds since `begin`, peak memory in bytes, and on a CPU the threads."""
        figures = {
            "seconds": round(time.monotonic() - self._began, 3),
            "peak_memory_bytes": float(_peak_memory(self._device)),
        }
        return figures if self._threads is None else figures | {"threads": float(self._threads)}


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
def quiet_libraries() -> Iterator[None]:
    """Keep the libraries' bars and advice off the terminal, and their reporting off the network, while training."""
    import warnings

    import datasets
    import transformers

    settings = {"HF_HUB_DISABLE_TELEMETRY": "1", "DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
    before = {name: os.environ.get(name) for name in settings}
    verbosity = transformers.logging.get_verbosity()
    bars = transformers.logging.is_progress_bar_enabled()
    own_bars = datasets.are_progress_bars_disabled()
    os.environ.update(settings)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.logging.enable_progress_bar()
        if not own_bars:
            datasets.enable_progress_bars()
        for name, value in before.items():
            with suppress(KeyError):
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
