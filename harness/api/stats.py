"""Gates and the statistics behind them, for plugins that plan, check or test gates."""

from harness.evaluation.looks import SEQUENTIAL, Design, levels_of_looks, with_sizes
from harness.evaluation.policies import schedule
from harness.gates.attainable import describe, detectable, require_attainable, samples_needed
from harness.gates.by_principle import as_written, conditions, of_each
from harness.gates.check import check_gate
from harness.gates.kind import Outlook, Scatter
from harness.gates.kinds import kind_of as gate_kind
from harness.gates.valid import find_metric, require_valid
from harness.stats import Assessment, MetricTable, assess, estimate
from harness.stats.attempts import level_of_attempt, spent
from harness.stats.bounded import FEWEST_EFFECTIVE, effective_count, expected_reach, fade, never_seen
from harness.stats.compare import Comparison, compare
from harness.stats.halving import MOST, halve, smallest
from harness.stats.interval import Inference, Interval, Spread, reach_of
from harness.stats.kind import FEWEST_DIFFERENT, Bounds, MetricKind, Records, Sampled, Values
from harness.stats.kinds import KINDS as METRIC_KINDS
from harness.stats.kinds import bounds_of, is_weighted_mean, score_range
from harness.stats.kinds import kind_of as metric_kind
from harness.stats.misclassified import (
    calibration_problem,
    corrected_interval,
    rogan_gladen,
    youden_bound,
)
from harness.stats.missing_mass import Weighed, by_group, linearised, spread_of
from harness.stats.paired import null_variance, paired_difference
from harness.stats.pairing import pair
from harness.stats.power import POWER, binomial_power, mcnemar_power, quantile_sum
from harness.stats.proportion import (
    FEWEST_CLUSTERS,
    clopper_pearson,
    clusters_apart,
    effective_clusters,
    effective_size,
)
from harness.stats.ranking import auc
from harness.stats.rows import Scored
from harness.stats.sequential import look_levels
from harness.stats.table import subset
from harness.types import worst_status

__all__ = [
    "FEWEST_CLUSTERS",
    "FEWEST_DIFFERENT",
    "FEWEST_EFFECTIVE",
    "METRIC_KINDS",
    "MOST",
    "POWER",
    "SEQUENTIAL",
    "Assessment",
    "Bounds",
    "Comparison",
    "Design",
    "Inference",
    "Interval",
    "MetricKind",
    "MetricTable",
    "Outlook",
    "Records",
    "Sampled",
    "Scatter",
    "Scored",
    "Spread",
    "Values",
    "Weighed",
    "as_written",
    "assess",
    "auc",
    "binomial_power",
    "bounds_of",
    "by_group",
    "calibration_problem",
    "check_gate",
    "clopper_pearson",
    "clusters_apart",
    "compare",
    "conditions",
    "corrected_interval",
    "describe",
    "detectable",
    "effective_clusters",
    "effective_count",
    "effective_size",
    "estimate",
    "expected_reach",
    "fade",
    "find_metric",
    "gate_kind",
    "halve",
    "is_weighted_mean",
    "level_of_attempt",
    "levels_of_looks",
    "linearised",
    "look_levels",
    "mcnemar_power",
    "metric_kind",
    "never_seen",
    "null_variance",
    "of_each",
    "pair",
    "paired_difference",
    "quantile_sum",
    "reach_of",
    "require_attainable",
    "require_valid",
    "rogan_gladen",
    "samples_needed",
    "schedule",
    "score_range",
    "smallest",
    "spent",
    "spread_of",
    "subset",
    "with_sizes",
    "worst_status",
    "youden_bound",
]
