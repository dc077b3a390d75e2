"""Gates and the statistics behind them, for plugins that plan, check or test gates."""

from harness.evaluation.looks import SEQUENTIAL as SEQUENTIAL
from harness.evaluation.looks import Design as Design
from harness.evaluation.looks import levels_of_looks as levels_of_looks
from harness.evaluation.looks import with_sizes as with_sizes
from harness.evaluation.policies import schedule as schedule
from harness.gates.attainable import describe as describe
from harness.gates.attainable import detectable as detectable
from harness.gates.attainable import require_attainable as require_attainable
from harness.gates.attainable import samples_needed as samples_needed
from harness.gates.by_principle import as_written as as_written
from harness.gates.by_principle import conditions as conditions
from harness.gates.by_principle import of_each as of_each
from harness.gates.check import check_gate as check_gate
from harness.gates.kind import Outlook as Outlook
from harness.gates.kind import Scatter as Scatter
from harness.gates.kinds import kind_of as _gate_kind
from harness.gates.valid import find_metric as find_metric
from harness.gates.valid import require_valid as require_valid
from harness.stats import Assessment as Assessment
from harness.stats import MetricTable as MetricTable
from harness.stats import assess as assess
from harness.stats import estimate as estimate
from harness.stats.attempts import level_of_attempt as level_of_attempt
from harness.stats.bounded import FEWEST_EFFECTIVE as FEWEST_EFFECTIVE
from harness.stats.bounded import effective_count as effective_count
from harness.stats.bounded import expected_reach as expected_reach
from harness.stats.bounded import fade as fade
from harness.stats.bounded import never_seen as never_seen
from harness.stats.compare import Comparison as Comparison
from harness.stats.compare import compare as compare
from harness.stats.halving import MOST as MOST
from harness.stats.halving import halve as halve
from harness.stats.halving import smallest as smallest
from harness.stats.interval import Inference as Inference
from harness.stats.interval import Interval as Interval
from harness.stats.interval import Spread as Spread
from harness.stats.interval import reach_of as reach_of
from harness.stats.kind import FEWEST_DIFFERENT as FEWEST_DIFFERENT
from harness.stats.kind import Bounds as Bounds
from harness.stats.kind import MetricKind as MetricKind
from harness.stats.kind import Sampled as Sampled
from harness.stats.kind import Values as Values
from harness.stats.kinds import KINDS as _METRIC_KINDS
from harness.stats.kinds import bounds_of as bounds_of
from harness.stats.kinds import is_weighted_mean as is_weighted_mean
from harness.stats.kinds import kind_of as _metric_kind
from harness.stats.kinds import score_range as score_range
from harness.stats.misclassified import corrected_interval as corrected_interval
from harness.stats.misclassified import rogan_gladen as rogan_gladen
from harness.stats.misclassified import youden_bound as youden_bound
from harness.stats.missing_mass import Weighed as Weighed
from harness.stats.missing_mass import by_group as by_group
from harness.stats.missing_mass import linearised as linearised
from harness.stats.missing_mass import spread_of as spread_of
from harness.stats.paired import null_variance as null_variance
from harness.stats.paired import paired_difference as paired_difference
from harness.stats.pairing import pair as pair
from harness.stats.power import POWER as POWER
from harness.stats.power import binomial_power as binomial_power
from harness.stats.power import mcnemar_power as mcnemar_power
from harness.stats.power import quantile_sum as quantile_sum
from harness.stats.proportion import FEWEST_CLUSTERS as FEWEST_CLUSTERS
from harness.stats.proportion import clopper_pearson as clopper_pearson
from harness.stats.proportion import clusters_apart as clusters_apart
from harness.stats.proportion import effective_clusters as effective_clusters
from harness.stats.proportion import effective_size as effective_size
from harness.stats.ranking import auc as auc
from harness.stats.rows import Scored as Scored
from harness.stats.sequential import look_levels as look_levels
from harness.stats.table import subset as subset
from harness.types import worst_status as worst_status

METRIC_KINDS = _METRIC_KINDS
gate_kind = _gate_kind
metric_kind = _metric_kind

__all__ = [name for name in globals() if name[0] != "_"]
