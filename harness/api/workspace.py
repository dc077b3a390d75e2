"""What is registered and kept, and the main jobs on it: for plugins that bring commands."""

from harness.evaluation.checks import require_attainable_gates
from harness.evaluation.constitutions import Constitutions
from harness.evaluation.prepare import PreparedSuite, make_metrics, resolve_suite
from harness.evaluation.resolve import resolve_base, resolve_candidate
from harness.evaluation.runner import Setting
from harness.plugins import Plugins, Registries, load_plugins
from harness.promotion.difference import difference
from harness.promotion.policies import declare, find_policy
from harness.promotion.policy_run import run_policy
from harness.promotion.promote import promote
from harness.promotion.stored import StoredRun, open_run
from harness.promotion.worst import Shown, metric_to_show, reply_text, scored, worst
from harness.reading.config import Config, read_config
from harness.reading.recipe import read_recipe
from harness.reading.suite import read_suite
from harness.store.adapters import store_adapter
from harness.store.decisions import read_decision
from harness.store.promoted import promoted
from harness.store.runs import list_runs, read_run, read_samples
from harness.store.workspace import Workspace
from harness.training.runner import TrainSetting, train

__all__ = [
    "Config",
    "Constitutions",
    "Plugins",
    "PreparedSuite",
    "Registries",
    "Setting",
    "Shown",
    "StoredRun",
    "TrainSetting",
    "Workspace",
    "declare",
    "difference",
    "find_policy",
    "list_runs",
    "load_plugins",
    "make_metrics",
    "metric_to_show",
    "open_run",
    "promote",
    "promoted",
    "read_config",
    "read_decision",
    "read_recipe",
    "read_run",
    "read_samples",
    "read_suite",
    "reply_text",
    "require_attainable_gates",
    "resolve_base",
    "resolve_candidate",
    "resolve_suite",
    "run_policy",
    "scored",
    "store_adapter",
    "train",
    "worst",
]
