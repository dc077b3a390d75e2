"""Calibrations of critics: keeping them, and whether they admit a critic to gates."""

from harness.evaluation.calibrated import admission_problem, keep_calibration, labeller_of

__all__ = ["admission_problem", "keep_calibration", "labeller_of"]
