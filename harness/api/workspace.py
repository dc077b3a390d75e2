"""What is registered and kept, and the main jobs on it: for plugins that bring commands."""

from harness.engine.replies import REPLY_FORMAT
from harness.evaluation.calibrated import checks_as_calibrated
from harness.evaluation.checks import checks, counted, require_attainable_gates
from harness.evaluation.choosing import Choose, Columns, in_turn, whole_units
from harness.evaluation.constitutions import Constitutions
from harness.evaluation.environment import plugin_versions, plugin_versions_of
from harness.evaluation.halves import chosen_among, is_deciding, marked
from harness.evaluation.number_formats import precision_checker
from harness.evaluation.policies import (
    declare,
    declared,
    default_policy,
    find_policy,
    policies,
    prepare_policy,
    versions,
)
from harness.evaluation.prepare import PreparedSuite, SuiteOptions, make_metrics, prepare_suite, resolve_suite
from harness.evaluation.resolve import resolve_arms, resolve_base, resolve_baseline, resolve_candidate
from harness.evaluation.runner import Setting, SuiteRun, identity_of, run_suites
from harness.evaluation.samples import SampleStream
from harness.evaluation.samples import read_samples as read_suite_samples
from harness.evaluation.stored import StoredRun, open_run
from harness.plugins import Plugins, Registries, load_plugins
from harness.reading.changes import written_changes
from harness.reading.config import CONFIG_NAME, Config, read_config
from harness.reading.constitution import read_constitution
from harness.reading.roles import RolesSection, role_ref, role_refs
from harness.reading.suite import read_suite
from harness.store.cache import CacheStats
from harness.store.decisions import (
    decision_path,
    find_decision,
    read_decision,
    read_entered_decision,
    reviews,
    store_decision,
)
from harness.store.intents import intent_files, pending, read_intent
from harness.store.promoted import Live, alias_path, alias_text, current_alias, live, live_after, mend_alias, promoted
from harness.store.runs import (
    NAME,
    RUN_FILE,
    asked_before,
    check_run,
    find_run,
    hidden_count,
    is_whole,
    list_runs,
    read_all_samples,
    read_constitutions,
    read_prompts,
    read_run,
    read_samples,
    run_sha256,
)
from harness.store.seen import Seen, find_draw, item_of, note_shown, seen_items
from harness.store.workspace import MARKER, Workspace, refuse_inside
from harness.types import Policy

__all__ = [
    "CONFIG_NAME",
    "MARKER",
    "NAME",
    "REPLY_FORMAT",
    "RUN_FILE",
    "CacheStats",
    "Choose",
    "Columns",
    "Config",
    "Constitutions",
    "Live",
    "Plugins",
    "Policy",
    "PreparedSuite",
    "Registries",
    "RolesSection",
    "SampleStream",
    "Seen",
    "Setting",
    "StoredRun",
    "SuiteOptions",
    "SuiteRun",
    "Workspace",
    "alias_path",
    "alias_text",
    "asked_before",
    "check_run",
    "checks",
    "checks_as_calibrated",
    "chosen_among",
    "counted",
    "current_alias",
    "decision_path",
    "declare",
    "declared",
    "default_policy",
    "find_decision",
    "find_draw",
    "find_policy",
    "find_run",
    "hidden_count",
    "identity_of",
    "in_turn",
    "intent_files",
    "is_deciding",
    "is_whole",
    "item_of",
    "list_runs",
    "live",
    "live_after",
    "load_plugins",
    "make_metrics",
    "marked",
    "mend_alias",
    "note_shown",
    "open_run",
    "pending",
    "plugin_versions",
    "plugin_versions_of",
    "policies",
    "precision_checker",
    "prepare_policy",
    "prepare_suite",
    "promoted",
    "read_all_samples",
    "read_config",
    "read_constitution",
    "read_constitutions",
    "read_decision",
    "read_entered_decision",
    "read_intent",
    "read_prompts",
    "read_run",
    "read_samples",
    "read_suite",
    "read_suite_samples",
    "refuse_inside",
    "require_attainable_gates",
    "resolve_arms",
    "resolve_base",
    "resolve_baseline",
    "resolve_candidate",
    "resolve_suite",
    "reviews",
    "role_ref",
    "role_refs",
    "run_sha256",
    "run_suites",
    "seen_items",
    "store_decision",
    "versions",
    "whole_units",
    "written_changes",
]
