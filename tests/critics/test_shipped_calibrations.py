"""The calibrations that ship fit what they were counted for: the same critics, judge, principle and replies."""

from __future__ import annotations

import pytest

import harness
from harness.api import RunOptions
from harness.api.asking import make_panel
from harness.api.calibrations import labeller_of, shipped_calibrations
from harness.api.workspace import Constitutions
from harness.types import RoleRef
from harness_critics.labels import held_out

SHIPPED = shipped_calibrations()
AGAIN = "count it anew: python benchmarks/principle_calibrations.py --judge REF --write"


def test_each_is_about_the_replies_that_ship() -> None:
    for one in SHIPPED:
        labels = held_out(one.principle)
        assert labels is not None, one.principle
        assert one.data == labels.data, f"{one.id} is about other replies: {AGAIN}"
        assert len(one.replies) + one.not_applicable == len(labels.rows)


@pytest.mark.weights
def test_each_still_fits_its_critics_and_judge(real_weights: None, tmp_path) -> None:
    """A run that judges by the same weights, code and versions is named alike; else the record admits nobody."""
    if not SHIPPED:
        pytest.skip("no calibration ships yet")
    with harness.open(tmp_path, offline=True) as session:
        registries = session.plugins.registries
        known = Constitutions(registries, tmp_path)
        rules = {rule.id: rule for name in ("personal", "harmless") for rule in known.record(name).principles}
        stale = []
        for one in SHIPPED:
            model, *adapters = one.roles.get("judge", "").split(" + ")
            own = {"judge": RoleRef(model=model, adapters=tuple(adapters))} if model else {}
            panel = make_panel([rules[one.principle]], registries, session.context)
            with session.judging(RunOptions(), own=own) as asking:
                found = labeller_of(rules[one.principle], panel.fingerprints(asking(panel)))
            panel.close()
            if found != one.labeller:
                stale.append(one.id)
    assert not stale, f"these calibrations no longer fit, so that gates on them are inconclusive; {AGAIN}"
