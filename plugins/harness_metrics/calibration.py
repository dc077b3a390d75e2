"""What a suite says of a labeller's accuracy: counts against labels by people."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from harness.api import Calibration, StrictModel

Counts = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)]]
"""(labelled right, all)."""


class CalibrationSection(StrictModel):
    """How often a labeller agreed with people."""

    sensitivity: Counts
    """(labelled as the event, all) of what people label as the event."""
    specificity: Counts
    """(labelled otherwise, all) of the rest."""
    where: str = ""
    """On which data."""
    of: Annotated[str, Field(pattern="^(sha256:[0-9a-f]{16})?$")] = ""
    """What was counted: critics, judge and principle, or the labeller, as a run's check names it. Gates rest on the
    counts where it is what judges."""

    @model_validator(mode="after")
    def _counts(self) -> Self:
        for name, (hits, number) in (("sensitivity", self.sensitivity), ("specificity", self.specificity)):
            if hits > number:
                raise ValueError(f"{name} is [labelled right, all], and {hits} is more than {number}")
        return self

    def record(self) -> Calibration:
        """Return the record."""
        return Calibration(sensitivity=self.sensitivity, specificity=self.specificity, where=self.where, of=self.of)
