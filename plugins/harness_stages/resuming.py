"""Goes on with a training that was stopped: checkpoints that are whole or absent, and everything that decides the rest.

A checkpoint holds the trained weights, the optimizer's and the scheduler's state, the random generators' states now and
at the beginning of the pass over the data (which decides its order), and what the trainer's callbacks have noted. All
of it is safetensors and JSON; nothing is pickled.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from transformers import TrainerCallback

from harness.api import BrokenRunError, processor_name, sha256_file

if TYPE_CHECKING:
    from harness.api import StageInput

_ABOUT, _STATE, _TENSORS, _TRAINER = "about.json", "state.json", "state.safetensors", "trainer_state.json"
_KEPT = 2
"""Newest checkpoints that stay: the one before the last serves where a disk lost the last one's bytes."""
_SHARE = 20
"""A checkpoint is written no sooner than this many times the seconds that the last one took, unless each step's is."""

Tensors = dict[str, torch.Tensor]


@runtime_checkable
class Keeper(Protocol):
    """A callback whose notes go on with the training."""

    def keep(self) -> tuple[Mapping[str, Any], Tensors]:
        """Return what it noted: JSON values, and tensors."""
        ...

    def restore(self, noted: Mapping[str, Any], tensors: Tensors) -> None:
        """Take over what it noted before."""
        ...


@dataclass(frozen=True)
class About:
    """Where a training began, which decides its last bits."""

    threads: int | None
    processor: str
    device: str

    def differs(self, now: About) -> str:
        """Say why what goes on here is not bit for bit what an unbroken training gives; empty where it is."""
        if now.device != "cpu":
            return f"on {now.device} sums are not always taken in one order"
        if self.device != now.device:
            return f"it began on {self.device}"
        if self.processor != now.processor:
            return f"it began on another processor ({self.processor})"
        if self.threads != now.threads:
            return f"it began with {self.threads} threads, and here it has {now.threads}"
        return ""


def begun(inputs: StageInput, device: str, threads: Callable[[], int]) -> int | None:
    """Note where a training begins, or find where it began, and return with how many threads: as many as then.

    Args:
        inputs: of the stage.
        device: where it trains.
        threads: counts those that are free, for a training that begins.
    """
    if inputs.checkpoints is None:
        return (inputs.threads or threads()) if device == "cpu" else None
    before = read_about(inputs.checkpoints)
    if device != "cpu":
        count = None
    elif before is not None and before.threads and before.threads <= (os.cpu_count() or 1):
        count = before.threads
    else:
        count = inputs.threads or threads()
    if before is None:
        inputs.checkpoints.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = {"threads": count, "processor": processor_name(), "device": device}
        _write(inputs.checkpoints / _ABOUT, json.dumps(about).encode())
    return count


def read_about(folder: Path) -> About | None:
    """Return where the training of a folder of checkpoints began; None where there is none."""
    try:
        return About(**json.loads((folder / _ABOUT).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


class Checkpoints(TrainerCallback):  # type: ignore[misc]  # transformers is not typed here
    """Writes checkpoints of a trainer, and lets it go on from the last one.

    Make it after the trainer has all its callbacks.

    Args:
        trainer: of transformers or TRL, not yet training.
        inputs: of the stage.
        device: where it trains.
        also: what else notes something, by name; the trainer's callbacks are found.
    """

    def __init__(
        self, trainer: Any, inputs: StageInput, device: str, also: Mapping[str, Keeper] | None = None  # noqa: ANN401
    ) -> None:  # fmt: skip
        self._trainer, self._inputs, self._device = trainer, inputs, device
        called = trainer.callback_handler.callbacks
        self._keepers = {type(one).__name__: one for one in called if isinstance(one, Keeper)} | dict(also or {})
        self._folder = inputs.checkpoints
        self._wrote, self._took = time.monotonic(), 0.0
        self._pass: tuple[dict[str, Any], Tensors] = rng_state()
        self._from: tuple[Path, Mapping[str, Any], Tensors] | None = None
        self.stopped = ""
        """Why a limit ended the training; empty where none did."""
        self.resumed = 0
        self._trouble = ""
        trainer.add_callback(self)
        if self._folder is None:
            return
        self._from = _latest(self._folder)
        self.resumed = 0 if self._from is None else int(self._from[1]["step"])
        # The trainer asks these four; its own ones pickle, and write into a folder that may be half full.
        trainer._save_checkpoint = self._save  # noqa: SLF001
        trainer._load_from_checkpoint = self._load_weights  # noqa: SLF001
        trainer._load_optimizer_and_scheduler = self._load_optimizer  # noqa: SLF001
        trainer._load_rng_state = self._load_rng  # noqa: SLF001

    @property
    def path(self) -> str | None:
        """The checkpoint to go on from."""
        return None if self._from is None else str(self._from[0])

    @property
    def note(self) -> str:
        """What a person should know: from where it went on, and whether the result is bit for bit the same."""
        parts = [self._trouble] if self._trouble else []
        if self.resumed and self._folder is not None:
            before = read_about(self._folder)
            now = About(
                torch.get_num_threads() if self._device == "cpu" else None, processor_name(), self._device
            )  # fmt: skip
            lost = "its beginning is not known" if before is None else before.differs(now)
            if self._trainer.accelerator.num_processes > 1:
                lost = "several processes trained, and all go on with what the first one drew"
            same = f"not bit for bit what an unbroken training gives: {lost}" if lost else "bit for bit the same"
            parts.append(f"the training went on from step {self.resumed}; the result is {same}")
        return "; ".join(parts)

    def on_train_begin(self, args: object, state: object, control: object, **given: object) -> None:  # noqa: ARG002
        """Hand the callbacks what they noted; this one is called last."""
        if self._from is not None:
            _, noted, tensors = self._from
            for name, keeper in self._keepers.items():
                own = f"keeper/{name}/"
                mine = {key.removeprefix(own): value for key, value in tensors.items() if key.startswith(own)}
                if name in noted["keepers"]:
                    keeper.restore(noted["keepers"][name], mine)

    def on_epoch_begin(self, args: object, state: Any, control: object, **given: Any) -> None:  # noqa: ANN401, ARG002
        """Take the generators' states of the pass, which decide its order."""
        own = _sampler_generator(given.get("train_dataloader"))
        if self._from is not None and state.global_step == self.resumed:
            _, noted, tensors = self._from
            which = "now_rng" if noted["pass_ended"] else "pass_rng"
            set_rng_state(noted[which], tensors, which)
            if own is not None and f"{which}/sampler" in tensors:
                own.set_state(tensors[f"{which}/sampler"])
        plain, states = rng_state()
        self._pass = plain, states if own is None else states | {"sampler": own.get_state()}

    def on_step_end(self, args: object, state: Any, control: Any, **_: object) -> None:  # noqa: ANN401, ARG002
        """Wait where a limit says so, end where one is reached, and write a checkpoint where one is due."""
        limits = self._inputs.limits
        self.stopped = "" if limits is None else limits.wait()
        if self.stopped:
            control.should_training_stop = True
        self._agree(control)
        least = self._inputs.checkpoint_seconds
        due = not least or time.monotonic() - self._wrote >= max(least, _SHARE * self._took)
        if self._folder is not None and (due or self.stopped) and state.global_step < state.max_steps:
            control.should_save = True

    def _agree(self, control: Any) -> None:  # noqa: ANN401 - transformers is not typed
        """Let all processes stop where one stops: the others would wait for it for ever."""
        accelerator = self._trainer.accelerator
        if accelerator.num_processes > 1:
            word = torch.tensor([int(control.should_training_stop)], device=accelerator.device)
            if accelerator.reduce(word).item() and not control.should_training_stop:
                control.should_training_stop = True
                self.stopped = self.stopped or "another of its processes stopped"

    def require_not_stopped(self) -> None:
        """Refuse a result that a limit cut short.

        Raises:
            BrokenRunError: saying which, and that the same command goes on.
        """
        if self.stopped:
            step = self._trainer.state.global_step
            kept = "the same command goes on from there" if self._folder is not None else "nothing was kept"
            raise BrokenRunError(f"training was stopped after step {step}: {self.stopped}; {kept}")

    def _save(self, model: Any, trial: object = None) -> None:  # noqa: ANN401, ARG002 - the trainer's signature
        began, trainer = time.monotonic(), self._trainer
        if self._folder is None or not trainer.is_world_process_zero():
            return
        noted, tensors = self._gathered()
        temporary = self._folder / f".tmp-{os.getpid()}"
        target = self._folder / f"step-{trainer.state.global_step:09d}"
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(mode=0o700, parents=True)
            _write_tensors(temporary / _TENSORS, tensors)
            trainer.state.save_to_json(str(temporary / _TRAINER))
            noted["sha256"] = sha256_file(temporary / _TENSORS)
            _write(temporary / _STATE, json.dumps(noted).encode())
            shutil.rmtree(target, ignore_errors=True)
            temporary.rename(target)
            for old in _steps(self._folder)[:-_KEPT]:
                shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            # What was written before stays whole; a training is not lost because a disk is full for a while.
            shutil.rmtree(temporary, ignore_errors=True)
            why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
            self._trouble = f"a checkpoint could not be written ({why}); training went on without it"
        self._wrote, self._took = time.monotonic(), time.monotonic() - began

    def _gathered(self) -> tuple[dict[str, Any], Tensors]:
        trainer = self._trainer  # its model without what several processes wrap around it
        tensors = {f"model/{name}": weight for name, weight in trainer.model.named_parameters() if weight.requires_grad}
        optimizer, plain = trainer.optimizer.state_dict(), {}
        for index, values in optimizer["state"].items():
            for name, value in values.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimizer/{index}/{name}"] = value
                else:
                    plain[f"{index}/{name}"] = value
        now, now_tensors = rng_state()
        own = _sampler_generator(trainer.callback_handler.train_dataloader)
        if own is not None:
            now_tensors["sampler"] = own.get_state()
        keepers = {}
        for name, keeper in self._keepers.items():
            keepers[name], noted_tensors = keeper.keep()
            tensors |= {f"keeper/{name}/{key}": value for key, value in noted_tensors.items()}
        tensors |= {f"now_rng/{key}": value for key, value in now_tensors.items()}
        tensors |= {f"pass_rng/{key}": value for key, value in self._pass[1].items()}
        steps = max(1, trainer.state.max_steps)
        noted = {
            "step": trainer.state.global_step, "of": steps, "optimizer": plain, "groups": optimizer["param_groups"],
            "scheduler": trainer.lr_scheduler.state_dict(), "now_rng": now, "pass_rng": self._pass[0],
            "pass_ended": float(trainer.state.epoch or 0).is_integer(), "keepers": keepers,
        }  # fmt: skip
        return noted, tensors

    def _load_weights(self, path: str, model: Any = None) -> None:  # noqa: ANN401, ARG002 - the trainer's signature
        if self._from is None:
            return
        given = {name.removeprefix("model/"): value for name, value in self._from[2].items()
                 if name.startswith("model/")}  # fmt: skip
        weights = {name: weight for name, weight in self._trainer.model.named_parameters() if weight.requires_grad}
        if given.keys() != weights.keys():
            raise BrokenRunError(f"the checkpoint {path} is of another model; remove it to begin anew")
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(given[name])

    def _load_optimizer(self, path: str | None) -> None:
        if path is None or self._from is None:
            return
        _, noted, tensors = self._from
        state: dict[int, dict[str, Any]] = {}
        found = {key.removeprefix("optimizer/"): value for key, value in tensors.items()
                 if key.startswith("optimizer/")}  # fmt: skip
        for key, value in (found | dict(noted["optimizer"])).items():
            index, _, name = key.partition("/")
            state.setdefault(int(index), {})[name] = value
        groups = [
            {key: tuple(value) if key == "betas" else value for key, value in group.items()}
            for group in noted["groups"]
        ]
        self._trainer.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self._trainer.lr_scheduler.load_state_dict(dict(noted["scheduler"]))

    def _load_rng(self, path: str | None) -> None:
        if path is not None and self._from is not None:
            set_rng_state(self._from[1]["now_rng"], self._from[2], "now_rng")


def rng_state() -> tuple[dict[str, Any], Tensors]:
    """Return the states of all generators that a training draws from: JSON values, and tensors."""
    version, numbers, gauss = random.getstate()
    name, keys, place, has, cached = np.random.get_state(legacy=True)
    tensors = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors |= {f"cuda{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [str(name), [int(key) for key in keys], int(place), int(has), float(cached)],
    }, tensors  # fmt: skip


def set_rng_state(plain: Mapping[str, Any], tensors: Tensors, prefix: str) -> None:
    """Set what `rng_state` returned; tensors stand under `prefix/`."""
    version, numbers, gauss = plain["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, place, has, cached = plain["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), place, has, cached))
    torch.set_rng_state(tensors[f"{prefix}/torch"])
    if torch.cuda.is_available():
        states = [tensors[f"{prefix}/cuda{index}"] for index in range(torch.cuda.device_count())
                  if f"{prefix}/cuda{index}" in tensors]  # fmt: skip
        if states:
            torch.cuda.set_rng_state_all(states)


def _sampler_generator(loader: Any) -> torch.Generator | None:  # noqa: ANN401 - accelerate wraps it
    """Return the generator from which a sampler draws the order of each pass, where it has one of its own."""
    batches = getattr(loader, "batch_sampler", None)
    samplers = (getattr(loader, "sampler", None), batches, getattr(batches, "sampler", None))
    found = (getattr(sampler, "generator", None) for sampler in samplers)
    return next((one for one in found if isinstance(one, torch.Generator)), None)


def _steps(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.glob("step-*") if path.is_dir())


def _latest(folder: Path) -> tuple[Path, Mapping[str, Any], Tensors] | None:
    """Return the newest whole checkpoint: its folder, what it notes, and its tensors."""
    from safetensors.torch import load_file

    for path in reversed(_steps(folder)):
        try:
            noted = json.loads((path / _STATE).read_text("utf-8"))
            if sha256_file(path / _TENSORS) == noted["sha256"] and (path / _TRAINER).is_file():
                return path, noted, load_file(str(path / _TENSORS))
        except (OSError, ValueError, KeyError):
            continue
    return None


def _write_tensors(path: Path, tensors: Tensors) -> None:
    from safetensors.torch import save

    _write(path, save({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}))


def _write(path: Path, content: bytes) -> None:
    """Write a file that is on the disk when this returns, for its owner alone."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
