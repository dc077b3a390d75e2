"""Calibrations of critics: keeping them, and whether they admit a critic to gates."""

from harness.evaluation.calibrated import Labellers as Labellers
from harness.evaluation.calibrated import admission_problem as admission_problem
from harness.evaluation.calibrated import as_calibrated_now as as_calibrated_now
from harness.evaluation.calibrated import calibrations as calibrations
from harness.evaluation.calibrated import keep_calibration as keep_calibration
from harness.evaluation.calibrated import labeller_of as labeller_of

__all__ = [name for name in globals() if name[0] != "_"]
