"""Packed rows read as the tuples that they were made from."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from harness.contracts import Metric
from harness.stats.assess import estimate
from harness.stats.rows import Rows
from harness.stats.table import MetricTable
from harness.types import NotApplicable, Unscored

ROWS = st.lists(
    st.one_of(
        st.lists(st.floats(allow_nan=False), min_size=1, max_size=4).map(tuple),
        st.sampled_from([Unscored(reason="a"), Unscored(reason="b"), NotApplicable(reason="a")]),
    ),
    max_size=30,
)


@given(rows=ROWS, index=st.integers(-40, 40), step=st.sampled_from([1, 2, -1]))
def test_they_read_as_a_tuple(rows, index, step):
    packed = Rows(rows)
    assert tuple(packed) == tuple(rows) == packed[:]
    assert len(packed) == len(rows)
    assert packed[index::step] == tuple(rows[index::step])
    if -len(rows) <= index < len(rows):
        assert packed[index] == rows[index]
    else:
        try:
            packed[index]
        except IndexError:
            return
        raise AssertionError("an index beyond the rows was answered")


def test_a_hundred_thousand_rows_take_three_numbers_each():
    tracemalloc.start()
    rows = Rows((float(number), 1.0) for number in range(100_000))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(rows) == 100_000
    assert size < 4 * 8 * 100_000


class Share(Metric):
    name, kind, direction, bounds = "share", "mean", "higher", (0.0, 1.0)


def test_a_table_of_packed_rows_says_the_same():
    rows = [(n % 7 / 7, 1.0) if n % 5 else Unscored(reason="five") for n in range(60)]
    names = tuple(f"s{n}" for n in range(60))
    found = [
        estimate(MetricTable(metric=Share(), ids=names, content_hashes=names, clusters=(None,) * 60, rows=given))
        for given in (tuple(rows), Rows(rows))
    ]
    assert found[0] == found[1]
    assert found[0].unscored == 12
