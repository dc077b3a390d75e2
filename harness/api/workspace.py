"""What is registered and kept, and the main jobs on it: for plugins that bring commands."""

from harness.engine.replies import REPLY_FORMAT
from harness.evaluation.calibrated import checks_as_calibrated
from harness.evaluation.checks import checks, counted, require_attainable_gates
from harness.evaluation.constitutions import Constitutions
from harness.evaluation.environment import plugin_versions, plugin_versions_of
from harness.evaluation.number_formats import precision_checker
from harness.evaluation.policies import (
    declare,
    declared,
    default_policy,
    find_policy,
    prepare_policy,
    versions,
)
from harness.evaluation.prepare import PreparedSuite, SuiteOptions, make_metrics, prepare_suite, resolve_suite
from harness.evaluation.resolve import resolve_arms, resolve_base, resolve_baseline, resolve_candidate
from harness.evaluation.runner import Setting, SuiteRun, identity_of, run_suites
from harness.evaluation.stored import StoredRun, open_run
from harness.evaluation.suite_samples import suite_samples
from harness.plugins import Plugins, Registries, load_plugins
from harness.reading.changes import written_changes
from harness.reading.config import CONFIG_NAME, Config, read_config
from harness.reading.constitution import read_constitution
from harness.reading.recipe import START, Recipe, SeparationSection, find_recipe, read_recipe
from harness.reading.roles import role_ref
from harness.reading.suite import read_suite
from harness.store.cache import CacheStats, Pruned, Verified
from harness.store.decisions import find_decision, read_decision, read_entered_decision, reviews, store_decision
from harness.store.promoted import Live, alias_path, live, live_after, mend_alias, promoted
from harness.store.reconcile import problems, promoted_problems, require_known
from harness.store.runs import (
    check_run,
    find_run,
    is_whole,
    list_runs,
    read_constitutions,
    read_prompts,
    read_run,
    read_samples,
    remove_runs,
    run_sha256,
)
from harness.store.workspace import MARKER, Workspace, refuse_inside
from harness.types import Policy

__all__ = [
    "CONFIG_NAME",
    "MARKER",
    "REPLY_FORMAT",
    "START",
    "CacheStats",
    "Config",
    "Constitutions",
    "Live",
    "Plugins",
    "Policy",
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
    "check_run",
    "checks",
    "checks_as_calibrated",
    "counted",
    "declare",
    "declared",
    "default_policy",
    "find_decision",
    "find_policy",
    "find_recipe",
    "find_run",
    "identity_of",
    "is_whole",
    "list_runs",
    "live",
    "live_after",
    "load_plugins",
    "make_metrics",
    "mend_alias",
    "open_run",
    "plugin_versions",
    "plugin_versions_of",
    "precision_checker",
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
    "require_known",
    "resolve_arms",
    "resolve_base",
    "resolve_baseline",
    "resolve_candidate",
    "resolve_suite",
    "reviews",
    "role_ref",
    "run_sha256",
    "run_suites",
    "store_decision",
    "suite_samples",
    "versions",
    "written_changes",
]
