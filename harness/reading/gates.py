"""The `gates` lists of suites and policies."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import PlainValidator, SerializeAsAny, create_model, model_validator

from harness.errors import unknown_name
from harness.gates.kinds import CORRECTIONS, KINDS
from harness.reading.strict import StrictModel
from harness.types import DeviceKind, Gate

if TYPE_CHECKING:
    from harness.gates.kind import GateKind


class _Common(StrictModel):
    """One gate: a metric and exactly one of the kinds."""

    metric: str
    evidence: Literal["bound", "point"] = "bound"
    each: Literal["principle"] | None = None
    corrected: bool = False
    correction: str | None = None
    cap: float | None = None
    devices: list[DeviceKind] = []

    @classmethod
    def present(cls) -> type[_Common]:
        """Return the section with the kinds that are known now: plugins may bring more."""
        return _with_keys(tuple(KINDS.values()))

    @property
    def _given(self) -> dict[str, Any]:
        return {name: value for name in KINDS if (value := getattr(self, name)) is not None}

    @property
    def _calibrated(self) -> bool:
        return self.corrected or self.correction == "calibration"

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = list(self._given)
        if len(given) != 1:
            raise ValueError(f"a gate needs exactly one of {', '.join(KINDS)}; this has {', '.join(given) or 'none'}")
        if self.correction not in {None, "calibration", *CORRECTIONS}:
            raise ValueError(str(unknown_name("correction", str(self.correction), ["calibration", *CORRECTIONS])))
        if self.corrected and self.correction not in {None, "calibration"}:
            raise ValueError(f"corrected is correction: calibration, and correction is {self.correction}: keep one")
        if self._calibrated and not KINDS[given[0]].correctable:
            raise ValueError(f"corrected is for min and max, not for {given[0]}")
        if self._calibrated and self.evidence == "point":
            raise ValueError("a corrected gate needs its interval, so that it cannot say evidence: point")
        return self

    def gate(self, alpha: float) -> Gate:
        """Return the record."""
        ((name, value),) = self._given.items()
        return Gate(
            metric=self.metric, kind=name, evidence=self.evidence, each=self.each, corrected=self._calibrated,
            correction="" if self.correction in {None, "calibration"} else str(self.correction),
            cap=self.cap, alpha=alpha, devices=tuple(self.devices), **KINDS[name].fields(value),
        )  # fmt: skip


@lru_cache(maxsize=8)
def _with_keys(kinds: tuple[GateKind, ...]) -> type[_Common]:
    """Return the section in which every kind stands under its own key."""
    keys: dict[str, Any] = {kind.name: (kind.keys | None, None) for kind in kinds}
    return create_model("GateSection", __base__=_Common, **keys)


GateSection = Annotated[
    SerializeAsAny[_Common], PlainValidator(lambda given: _Common.present().model_validate(given, strict=False))
]
