"""What somebody is told who names a thing that is not there."""

from __future__ import annotations

import pytest

from harness.errors import unknown_id

IDS = [f"2026112{day}-0640-tiny" for day in range(9, 0, -1)]


@pytest.mark.parametrize(
    ("given", "ids", "said"),
    [
        ("zzz", IDS, f"no run is called 'zzz'; the newest: {', '.join(IDS[:3])}; see: list"),
        ("zzz", IDS[:1], f"no run is called 'zzz'; the only one is {IDS[0]}"),
        ("20261124-0641-tiny", IDS, f"no run is called '20261124-0641-tiny'; did you mean '{IDS[5]}'? see: list"),
        ("zzz", [], "no run is called 'zzz'; there are none yet; make one with: make"),
    ],
)
def test_an_unknown_id_is_answered_with_the_nearest_or_the_newest_few(given, ids, said):
    assert str(unknown_id("run", given, ids, listed="list", made="make")) == said
