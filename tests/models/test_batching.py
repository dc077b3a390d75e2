"""Grouping rows: nothing is lost, nothing is doubled, limits hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_models.hf import batching
from harness_models.hf.batching import Budget, batches, clusters, common_prefix, run_batches
from harness_models.hf.encoding import split_continuation
from harness_models.hf.rolling import windows

LENGTHS = st.lists(st.integers(1, 50), max_size=40)
ROWS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=40).map(tuple), min_size=1, max_size=30)


@given(lengths=LENGTHS, tokens=st.integers(1, 200), rows=st.integers(1, 8))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], tokens: int, rows: int) -> None:
    found = batches(lengths, Budget(tokens=tokens, rows=rows))
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) <= rows
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= tokens


@given(rows=ROWS)
def test_clusters_hold_every_row_once_and_their_prefix_is_common(rows: list[tuple[int, ...]]) -> None:
    found = clusters(rows)
    assert sorted(index for cluster in found for index in cluster.members) == list(range(len(rows)))
    for cluster in found:
        heads = {rows[index][: cluster.prefix] for index in cluster.members}
        assert len(heads) == 1
        assert all(cluster.prefix < len(rows[index]) for index in cluster.members)


def test_clusters_find_long_prefixes() -> None:
    first, second = tuple(range(100)), tuple(range(200, 300))
    rows = [(*first, index) for index in range(6)] + [(*second, index) for index in range(6)] + [(7, 8, 9)]
    found = {cluster.members: cluster.prefix for cluster in clusters(rows)}
    assert found[tuple(range(6))] == 100
    assert found[tuple(range(6, 12))] == 100
    assert found[(12,)] == 0


@given(rows=ROWS)
def test_common_prefix_is_common_and_the_longest(rows: list[tuple[int, ...]]) -> None:
    length = common_prefix(rows)
    assert len({row[:length] for row in rows}) == 1
    assert len({row[: length + 1] for row in rows}) > 1 or min(map(len, rows)) == length


@pytest.fixture(scope="module")
def nothing_collected() -> Iterator[None]:
    """Leave garbage where it is: each loss of memory collects it, which is slow in a large process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching.gc, "collect", lambda: 0)
        yield


@pytest.mark.usefixtures("nothing_collected")
@given(lengths=LENGTHS, fits=st.integers(0, 60))
def test_lost_memory_never_loses_or_doubles_a_row(lengths: list[int], fits: int) -> None:
    done: list[int] = []
    refused: list[int] = []

    def run(batch: list[int]) -> None:
        if sum(lengths[index] for index in batch) > fits:
            raise MemoryError
        done.extend(batch)

    run_batches(lengths, Budget(tokens=1000, rows=16), run, refused.append)
    assert sorted(done + refused) == list(range(len(lengths)))
    assert all(lengths[index] > fits for index in refused)


@given(
    ids=st.lists(st.integers(0, 9), max_size=200),
    start=st.one_of(st.none(), st.just(99)),
    window=st.integers(1, 40),
    stride=st.one_of(st.none(), st.integers(1, 60)),
)
def test_windows_score_each_token_once_with_enough_before_it(
    ids: list[int], start: int | None, window: int, stride: int | None
) -> None:
    found = windows(ids, start, window, stride)
    scored = [token for branches in found for token in branches.continuations[0]]
    assert scored == (ids if start is not None else ids[1:])
    step = window if stride is None else min(stride, window)
    for number, branches in enumerate(found):
        forwarded = len(branches.context) + len(branches.continuations[0]) - 1
        assert forwarded <= window
        assert branches.context
        if number:
            assert forwarded == window
            assert len(branches.continuations[0]) == step or branches is found[-1]


def test_without_a_stride_windows_meet_and_the_last_one_is_full() -> None:
    found = windows(range(1, 11), 0, 4)
    assert [(branches.context, branches.continuations[0]) for branches in found] == [
        ((0,), (1, 2, 3, 4)),
        ((4,), (5, 6, 7, 8)),
        ((6, 7, 8), (9, 10)),
    ]


@pytest.mark.parametrize(
    ("context", "whole", "expected"),
    [
        ([1, 2], [1, 2, 3, 4], ((1, 2), (3, 4))),
        ([1, 2], [1, 5, 4], ((1,), (5, 4))),  # the context's last token grew into the continuation
        ([], [3, 4], ((9,), (3, 4))),
        ([1, 2], [1, 2], ((1, 2), ())),
    ],
)
def test_a_continuation_is_split_where_the_contexts_own_tokens_end(
    context: list[int], whole: list[int], expected: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    assert split_continuation(context, whole, 9) == expected


def test_a_long_prefix_leaves_fewer_rows_to_a_batch_because_a_mask_has_its_columns() -> None:
    budget = Budget(tokens=10_000, rows=64, mask=100 * 1_000 * 4)
    assert max(map(len, batches([100] * 64, budget))) == 40
    for behind in (0, 900, 3_900):
        for batch in batches([100] * 64, budget, behind):
            assert len(batch) == 1 or len(batch) * 100 * (behind + 100) <= budget.mask
    assert max(map(len, batches([100] * 64, budget, 900))) == 4
    assert max(map(len, batches([100] * 64, budget, 10**6))) == 1
