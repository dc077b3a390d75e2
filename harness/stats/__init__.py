"""The statistics of runs: one procedure per kind of metric, from which interval, verdict and p all come.

See docs/statistics.md for what is assumed, and each module for the source of its formulas.
"""

from __future__ import annotations

from harness.stats.assess import Assessment, assess, estimate
from harness.stats.compare import Comparison, compare
from harness.stats.table import MetricTable

__all__ = ["Assessment", "Comparison", "MetricTable", "assess", "compare", "estimate"]
