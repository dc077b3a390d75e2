"""Calibrations of critics: keeping them, and whether they admit a critic to gates."""

from harness.evaluation.calibrated import (
    Labellers,
    admission_problem,
    as_calibrated_now,
    calibrations,
    keep_calibration,
    labeller_of,
)

__all__ = [
    "Labellers",
    "admission_problem",
    "as_calibrated_now",
    "calibrations",
    "keep_calibration",
    "labeller_of",
]
