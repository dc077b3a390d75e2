"""The contracts of the plugin kinds: what a plugin's class must do, and what it may rely on.

Plugins receive data; never the runner, a configuration that is not theirs, or each other. A constructor is cheap:
weights, tokenizers and heavy packages load on first use.
"""

from harness.contracts.context import Progress, ProgressTask, RunContext, SourceInput, Surroundings
from harness.contracts.judging import Classifier, Critic, CriticKit, Tool, Verifier
from harness.contracts.metrics import Metric, MetricFactory
from harness.contracts.models import Model, Source
from harness.contracts.stages import Stage

__all__ = [
    "Classifier",
    "Critic",
    "CriticKit",
    "Metric",
    "MetricFactory",
    "Model",
    "Progress",
    "ProgressTask",
    "RunContext",
    "Source",
    "SourceInput",
    "Stage",
    "Surroundings",
    "Tool",
    "Verifier",
]
