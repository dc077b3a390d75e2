"""Observers of a training: TensorBoard, MLflow and Weights & Biases, where they are installed and asked for.

An observer is told each logged step of each stage that trains. What it raises is a warning and changes nothing.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness.api import InputError, MissingDependencyError, nearest

Values = Mapping[str, float]


class Observer(Protocol):
    """One stage's training, as another tool records it."""

    def log(self, step: int, values: Values) -> None:
        """Take what was measured at an optimizer step."""
        ...

    def end(self, figures: Values, *, failed: bool) -> None:
        """Take the stage's figures, and close."""
        ...


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What is begun: a stage of a recipe."""

    name: str
    """Of the run in the other tool: recipe, stage, and the beginning of the key of the work."""
    recipe: str
    settings: Mapping[str, str]
    """Options, seed, base and parent."""


class TensorBoard:
    """Event files in a folder: `tensorboard --logdir FOLDER`."""

    needs = "tensorboard"

    def __init__(self, place: str, what: Observed) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(log_dir=str(Path(place) / what.name))
        self._writer.add_text("options", "\n".join(f"    {name}: {value}" for name, value in what.settings.items()))

    def log(self, step: int, values: Values) -> None:
        """Add scalars."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def end(self, figures: Values, *, failed: bool) -> None:
        """Add the figures as scalars of step 0, and close."""
        for name, value in figures.items():
            self._writer.add_scalar(f"figures/{name}", value, 0)
        self._writer.add_text("status", "failed" if failed else "finished")
        self._writer.close()


class MLflow:
    """A run of an experiment that is named as the recipe, in a folder or on a tracking server."""

    needs = "mlflow"

    def __init__(self, place: str, what: Observed) -> None:
        from mlflow import MlflowClient  # type: ignore[import-not-found,unused-ignore]

        if "://" not in place:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # newer versions ask whether a folder is meant
            place = Path(place).absolute().as_uri()
        self._client: Any = MlflowClient(tracking_uri=place)
        found = self._client.get_experiment_by_name(what.recipe)
        experiment = self._client.create_experiment(what.recipe) if found is None else found.experiment_id
        self._run: str = self._client.create_run(experiment, run_name=what.name).info.run_id
        for name, value in what.settings.items():
            self._client.log_param(self._run, name, value[:500])

    def log(self, step: int, values: Values) -> None:
        """Log metrics."""
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def end(self, figures: Values, *, failed: bool) -> None:
        """Log the figures as metrics, and end the run."""
        for name, value in figures.items():
            self._client.log_metric(self._run, f"figures/{name}", value)
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")


class WandB:
    """An offline run in a folder, which `wandb sync` sends later; online where WANDB_MODE says so."""

    needs = "wandb"

    def __init__(self, place: str, what: Observed) -> None:
        import wandb  # type: ignore[import-not-found,unused-ignore]

        Path(place).mkdir(parents=True, exist_ok=True)
        self._run: Any = wandb.init(
            project=what.recipe, name=what.name, dir=place, config=dict(what.settings), reinit="create_new",
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )  # fmt: skip

    def log(self, step: int, values: Values) -> None:
        """Log values of a step."""
        self._run.log(dict(values), step=step)

    def end(self, figures: Values, *, failed: bool) -> None:
        """Write the figures into the run's summary, and finish it."""
        self._run.summary.update({f"figures/{name}": value for name, value in figures.items()})
        self._run.finish(exit_code=int(failed))


OBSERVERS: Mapping[str, Any] = {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WandB}


@dataclass(kw_only=True)
class Observation:
    """Who observes, and where each writes.

    Args:
        wanted: texts such as `tensorboard` or `mlflow=http://localhost:5000`.
        root: the workspace's folder; each writes below it where the text names no place.
        warn: takes a sentence.

    Raises:
        InputError: for an observer that there is not.
        MissingDependencyError: for one whose package is not installed.
    """

    wanted: Sequence[str]
    root: Path
    warn: Callable[[str], None]
    places: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for text in self.wanted:
            name, _, place = text.partition("=")
            if name not in OBSERVERS:
                close = nearest(name, list(OBSERVERS))
                hint = f"did you mean {close!r}?" if close else f"known: {', '.join(OBSERVERS)}"
                raise InputError(f"there is no observer {name!r}", key="--observe", hint=hint)
            if importlib.util.find_spec(OBSERVERS[name].needs) is None:
                raise MissingDependencyError(OBSERVERS[name].needs, "observe", needed_by=f"--observe {name}")
            self.places[name] = place or str(self.root / "observed" / name)

    @contextmanager
    def of(self, what: Observed) -> Iterator[Observing]:
        """Observe one stage's training for the length of a block."""
        observing = Observing(self.warn)
        for name, place in self.places.items():
            observing.open(name, place, what)
        try:
            yield observing
        except BaseException:
            observing.end({}, failed=True)
            raise
        observing.end(observing.figures, failed=False)


class Observing:
    """Observers at work; one that fails is left out from then on.

    Args:
        warn: takes a sentence.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._open: dict[str, Observer] = {}
        self.figures: Values = {}
        """Of the stage, once it is done."""

    def open(self, name: str, place: str, what: Observed) -> None:
        """Let an observer begin."""
        try:
            self._open[name] = OBSERVERS[name](place, what)
        except Exception as error:  # noqa: BLE001 - another tool's trouble costs no training
            self._failed(name, error)

    def log(self, step: int, values: Values) -> None:
        """Tell all what was measured at a step."""
        for name in list(self._open):
            self._call(name, lambda one: one.log(step, values))

    def end(self, figures: Values, *, failed: bool) -> None:
        """Close all."""
        for name in list(self._open):
            self._call(name, lambda one: one.end(figures, failed=failed))

    def _call(self, name: str, call: Callable[[Observer], None]) -> None:
        try:
            call(self._open[name])
        except Exception as error:  # noqa: BLE001 - as above
            del self._open[name]
            self._failed(name, error)

    def _failed(self, name: str, error: Exception) -> None:
        said = next(iter(str(error).strip().splitlines()), "")[:200]
        self._warn(f"the observer {name} failed and is left out ({type(error).__name__}: {said}); training goes on")
