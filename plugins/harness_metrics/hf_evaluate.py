"""Metrics of the Hugging Face `evaluate` library, from a local folder or pinned on the hub, computed per sample.

A module is Python code and runs with this process's rights. One that is not ours runs only where the user, not the
suite, allows it (`-p trust:FOLDER`, `-p trust:NAME@COMMIT`); one of the hub needs a commit, and is not loaded offline.
"""

from __future__ import annotations

import atexit
import math
import os
import re
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from harness.api import (
    BrokenRunError,
    Completion,
    InputError,
    MissingDependencyError,
    StrictModel,
    Unscored,
    sha256_file,
)
from harness_metrics.numbers import final_number
from harness_metrics.replies import TextMetric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from fractions import Fraction

    from harness.api import Findings, Metric, Row, Sample

_BUNDLED = Path(__file__).parent / "modules"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_YES = {"1", "ON", "YES", "TRUE"}


class EvaluateOptions(StrictModel):
    """Options of evaluate."""

    module: str
    """A folder that holds NAME/NAME.py, the name of a bundled module (word_overlap), or a hub id."""
    key: str
    """Which number of the module's result to keep."""
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] | None = None
    """The metric's name; else `evaluate_<module>_<key>`."""
    config: str | None = None
    predict: Literal["text", "number", "choice"] = "text"
    """What is compared: the reply and target as text; the number each ends on; the 0-based index of the choice that
    the reply names first, against the sample's `answer`."""
    direction: Literal["higher", "lower", "neither"] = "higher"
    bounds: tuple[float, float] | None = None
    unit: str = "value"
    arguments: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Handed to the module's compute()."""
    revision: str | None = None


class EvaluateMetric(TextMetric):
    """Row: (the module's value on this one sample, 1)."""

    kind = "mean"
    needs_target = True

    def __init__(self, options: EvaluateOptions, place: str, *, pinned: str, code: str) -> None:
        self.options = options
        self.code = code
        self.place = place
        self.direction = options.direction
        self.bounds = options.bounds
        self.unit = options.unit
        stem = re.sub(r"[^a-z0-9]+", "_", Path(options.module).name.lower()).strip("_")
        self.name = options.name or f"evaluate_{stem}_{options.key}"
        self.about = (
            f"Mean over samples of {options.key} of the evaluate module {options.module} ({pinned}), computed on "
            f"each sample by "
            "itself: for a metric that is not a mean over samples, such as corpus F1, this is another number"
        )
        self._module: Any = None

    def row(self, sample: Sample, reply: Completion, findings: Mapping[str, Findings]) -> Row | Unscored:
        """Return the row; Unscored where the reply gives nothing to compare or the value is not finite."""
        prediction, reference = self._pair(sample, reply.text)
        if prediction is None or reference is None:
            return Unscored(reason=f"no {self.options.predict} could be read from the reply or the sample")
        module = self._load()
        try:
            result = module.compute(predictions=[prediction], references=[reference], **self.options.arguments)
        except Exception as error:  # the module is somebody's code and may raise anything
            raise BrokenRunError(
                f"the evaluate module {self.options.module} failed on sample {sample.id!r}: {_first_line(error)}"
            ) from error
        value = (result or {}).get(self.options.key)
        if isinstance(value, list | tuple) and len(value) == 1:
            value = value[0]
        if not isinstance(value, float | int):
            known = ", ".join(result or {}) or "nothing"
            raise InputError(
                f"the evaluate module {self.options.module} gives no number called {self.options.key!r}, only: {known}",
                key="key",
            )
        return (float(value), 1.0) if math.isfinite(value) else Unscored(reason=f"the module gave {value}")

    def _pair(self, sample: Sample, text: str) -> tuple[Any, Any]:
        if self.options.predict == "text":
            return text.strip(), sample.target[0]
        if self.options.predict == "number":
            said, wanted = final_number(text), final_number(sample.target[0])
            return _float(said), _float(wanted)
        places = {i: text.casefold().find(choice.casefold()) for i, choice in enumerate(sample.choices)}
        named = [i for i, place in places.items() if place >= 0]
        # The first choice named; of two that begin there, the longer ("no" stands in "not known").
        first = min(named, key=lambda i: (places[i], -len(sample.choices[i])), default=None)
        return first, sample.answer

    def _load(self) -> Any:  # noqa: ANN401 - evaluate has no types
        if self._module is None:
            evaluate, folder = _evaluate(), _own_cache()
            evaluate.config.HF_MODULES_CACHE = folder  # evaluate copies a module there before it imports it
            pinned = {"revision": self.options.revision} if self.options.revision else {}
            try:
                self._module = evaluate.load(
                    self.place, config_name=self.options.config, cache_dir=folder, keep_in_memory=True, **pinned
                )
            except Exception as error:  # the module is somebody's code and may raise anything
                raise InputError(
                    f"the evaluate module {self.options.module} cannot be loaded ({_first_line(error)})",
                    key="module",
                ) from error
        return self._module


def _float(value: Fraction | None) -> float | None:
    return None if value is None or abs(value) > sys.float_info.max else float(value)


@cache
def _own_cache() -> str:
    """Return one folder for the whole process, gone at its end; Python imports evaluate's package from one place."""
    folder = tempfile.mkdtemp(prefix="harness-evaluate-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _evaluate() -> Any:  # noqa: ANN401 - evaluate has no types
    try:
        import evaluate
    except ImportError as error:
        raise MissingDependencyError("evaluate", "metrics", needed_by="the metric evaluate") from error
    return evaluate


def _offline() -> bool:
    return any(os.environ.get(name, "").upper() in _YES for name in ("HF_HUB_OFFLINE", "HF_EVALUATE_OFFLINE"))


def make(options: EvaluateOptions) -> Sequence[Metric]:
    """Return one metric.

    Raises:
        InputError: for a folder without its module, or a hub id without its commit, or offline.
    """
    for folder in (Path(options.module).expanduser(), _BUNDLED / options.module):
        if not folder.is_dir():
            continue
        file = folder.resolve() / f"{folder.resolve().name}.py"
        if not file.is_file():
            raise InputError(f"the folder lacks {file.name}", file=folder, key="module")
        code = "" if file.parent.parent == _BUNDLED.resolve() else str(file.parent)
        return [EvaluateMetric(options, str(file.parent), pinned=f"sha256 {sha256_file(file)[:16]}", code=code)]
    if options.module.startswith((".", "/", "~")) or options.module.count("/") > 1:
        raise InputError("no such folder", file=options.module, key="module", hint="check the path")
    if options.revision is None or not _COMMIT.fullmatch(options.revision):
        raise InputError(
            f"{options.module!r} is no local folder, and a module of the hub runs its code here", key="module",
            hint="give a folder, or revision: the 40-digit commit you have read",
        )  # fmt: skip
    if _offline():
        raise InputError(
            f"the module {options.module!r} is on the hub, and this run is offline", key="module",
            hint="copy it into a folder and name the folder",
        )  # fmt: skip
    code = f"{options.module}@{options.revision}"
    return [EvaluateMetric(options, options.module, pinned=f"commit {options.revision}", code=code)]
