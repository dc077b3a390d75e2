"""What a metric's factory made: a list of metrics whose attributes are ones that harness knows."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import get_args

from harness.contracts import Metric
from harness.errors import InputError, nearest
from harness.plugin_code import broken, home
from harness.stats.kinds import KINDS
from harness.types import Direction


def check_metrics(made: object, name: str, factory: object) -> Sequence[Metric]:
    """Return what a metric's factory made, after checking what harness relies on.

    Raises:
        PluginError: when it is no list of metrics.
        InputError: when a class attribute is not one of the known values.
    """
    if not isinstance(made, Sequence) or not all(isinstance(metric, Metric) for metric in made):
        raise broken(
            f"the factory of the metric {name!r}", made, "return a list of Metric objects: [MyMetric()]", factory
        )
    for metric in made:
        where = type(metric).__name__
        if not isinstance(getattr(metric, "name", None), str) or not metric.name:
            raise _attribute(metric, f"{where}.name", "is missing", "give the metric a name that gates can use")
        _one_of(metric, f"{where}.kind", getattr(metric, "kind", None), tuple(KINDS))
        _one_of(metric, f"{where}.direction", metric.direction, get_args(Direction))
        bounds = metric.bounds
        if bounds is not None and not (
            isinstance(bounds, tuple) and len(bounds) == 2 and all(isinstance(b, Real) for b in bounds)
        ):
            raise _attribute(metric, f"{where}.bounds", f"is {bounds!r}", "give (least, greatest) or None")
        for key in ("classifiers", "principles"):
            if isinstance(getattr(metric, key), str):
                raise _attribute(metric, f"{where}.{key}", "is a text", 'give a tuple of names, such as ("name",)')
    return made


def _one_of(metric: Metric, key: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        close = nearest(str(value), known)
        cause = "is missing" if value is None else f"is {value!r}, which is none of {', '.join(known)}"
        raise _attribute(metric, key, cause, f"did you mean {close!r}?" if close else "use one of them")


def _attribute(code: object, key: str, cause: str, hint: str) -> InputError:
    return InputError(cause, file=home(code), key=key, hint=hint)
