"""What is registered and kept, and the main jobs on it: for plugins that bring commands."""

from harness.engine.replies import REPLY_FORMAT
from harness.evaluation.calibrated import checks_as_calibrated
from harness.evaluation.checks import checks, counted, require_attainable_gates
from harness.evaluation.constitutions import Constitutions
from harness.evaluation.labelled import (
    keep_label_sample,
    keep_label_set,
    label_samples,
    label_sets,
    together,
    with_labels,
)
from harness.evaluation.precision import checks_with_precision
from harness.evaluation.prepare import PreparedSuite, SuiteOptions, make_metrics, prepare_suite, resolve_suite
from harness.evaluation.resolve import resolve_arms, resolve_base, resolve_candidate
from harness.evaluation.runner import Setting, SuiteRun, run_suites
from harness.evaluation.suite_samples import suite_samples
from harness.plugins import Plugins, Registries, load_plugins
from harness.promotion.attempts import Budget, attempts, budget, reset
from harness.promotion.decide import AlreadyPromotedError, Evidence, collect_vetoes, conditions
from harness.promotion.policies import declare, default_policy, find_policy
from harness.promotion.policy_run import PolicyRun, prepare_policy, run_policy
from harness.promotion.stored import StoredRun, open_run
from harness.reading.changes import written_changes
from harness.reading.config import CONFIG_NAME, Config, read_config
from harness.reading.constitution import read_constitution
from harness.reading.recipe import START, Recipe, SeparationSection, find_recipe, read_recipe
from harness.reading.suite import read_suite
from harness.store.cache import CacheStats, Pruned, Verified
from harness.store.decisions import find_decision, read_decision, read_entered_decision, reviews
from harness.store.promoted import Live, alias_path, live, live_after, mend_alias, promoted
from harness.store.reconcile import problems, promoted_problems
from harness.store.runs import (
    check_run,
    find_run,
    list_runs,
    read_constitutions,
    read_prompts,
    read_run,
    read_samples,
    remove_runs,
)
from harness.store.workspace import MARKER, Workspace, refuse_inside
from harness.types import Policy

__all__ = [
    "CONFIG_NAME",
    "MARKER",
    "REPLY_FORMAT",
    "START",
    "AlreadyPromotedError",
    "Budget",
    "CacheStats",
    "Config",
    "Constitutions",
    "Evidence",
    "Live",
    "Plugins",
    "Policy",
    "PolicyRun",
    "PreparedSuite",
    "Pruned",
    "Recipe",
    "Registries",
    "SeparationSection",
    "Setting",
    "StoredRun",
    "SuiteOptions",
    "SuiteRun",
    "Verified",
    "Workspace",
    "alias_path",
    "attempts",
    "budget",
    "check_run",
    "checks",
    "checks_as_calibrated",
    "checks_with_precision",
    "collect_vetoes",
    "conditions",
    "counted",
    "declare",
    "default_policy",
    "find_decision",
    "find_policy",
    "find_recipe",
    "find_run",
    "keep_label_sample",
    "keep_label_set",
    "label_samples",
    "label_sets",
    "list_runs",
    "live",
    "live_after",
    "load_plugins",
    "make_metrics",
    "mend_alias",
    "open_run",
    "prepare_policy",
    "prepare_suite",
    "problems",
    "promoted",
    "promoted_problems",
    "read_config",
    "read_constitution",
    "read_constitutions",
    "read_decision",
    "read_entered_decision",
    "read_prompts",
    "read_recipe",
    "read_run",
    "read_samples",
    "read_suite",
    "refuse_inside",
    "remove_runs",
    "require_attainable_gates",
    "reset",
    "resolve_arms",
    "resolve_base",
    "resolve_candidate",
    "resolve_suite",
    "reviews",
    "run_policy",
    "run_suites",
    "suite_samples",
    "together",
    "with_labels",
    "written_changes",
]
