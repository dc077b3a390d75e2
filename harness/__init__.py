"""harness decides whether a fine-tuned language model has earned promotion.

The names a plugin author needs most are importable from here, and all that plugins may use from `harness.api`; the
hooks are listed in `harness.hookspecs`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pluggy

__version__ = "0.1.0"

hookimpl = pluggy.HookimplMarker("harness")
"""Marks a function of a plugin as the implementation of one of the hooks in `harness.hookspecs`."""

if TYPE_CHECKING:
    from harness.contracts import Classifier, Critic, Metric, Model, Stage
    from harness.registry import late
    from harness.session.session import Session
    from harness.session.session import open_session as open  # noqa: A004 - harness.open reads as it does
    from harness.types import Example, Finding, NotApplicable, Principle, Sample, Unscored, Verdict

_HOMES = {
    "Session": "harness.session.session",
    "late": "harness.registry",
    **dict.fromkeys(("Classifier", "Critic", "Metric", "Model", "Stage"), "harness.contracts"),
    **dict.fromkeys(
        ("Example", "Finding", "NotApplicable", "Principle", "Sample", "Unscored", "Verdict"), "harness.types"
    ),
}

__all__ = [
    "Classifier",
    "Critic",
    "Example",
    "Finding",
    "Metric",
    "Model",
    "NotApplicable",
    "Principle",
    "Sample",
    "Session",
    "Stage",
    "Unscored",
    "Verdict",
    "__version__",
    "hookimpl",
    "late",
    "open",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attribute may be anything
    """Resolve the re-exported names on first use, so that `import harness` stays light."""
    if name == "open":
        return import_module("harness.session.session").open_session
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'harness' has no attribute {name!r}")
