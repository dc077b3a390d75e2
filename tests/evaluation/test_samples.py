"""Subsets keep clusters whole, nest, and do not depend on anything but the seed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.evaluation.samples import samples_fingerprint, take
from harness.types import Message, Sample


def twins(count: int) -> list[Sample]:
    return [
        Sample(id=f"{pair}-{side}", cluster=f"pair-{pair}", messages=(Message(role="user", content=f"{pair}{side}"),))
        for pair in range(count)
        for side in ("harmful", "benign")
    ]


@given(pairs=st.integers(1, 30), limit=st.integers(2, 70), seed=st.integers(0, 5))
def test_whole_pairs_within_the_limit_in_the_suites_order(pairs, limit, seed):
    samples = twins(pairs)
    taken = take(samples, limit, seed=seed)
    assert len(taken) == min(len(samples), limit - limit % 2)
    clusters = [sample.cluster for sample in taken]
    assert all(clusters.count(cluster) == 2 for cluster in clusters)
    order = {sample.id: index for index, sample in enumerate(samples)}
    assert [order[sample.id] for sample in taken] == sorted(order[sample.id] for sample in taken)


@given(seed=st.integers(0, 5), small=st.integers(1, 10), large=st.integers(1, 20))
def test_a_larger_subset_contains_a_smaller_one(seed, small, large):
    samples = twins(20)
    few = {sample.id for sample in take(samples, 2 * min(small, large), seed=seed)}
    many = {sample.id for sample in take(samples, 2 * max(small, large), seed=seed)}
    assert few <= many


def test_another_seed_draws_another_subset():
    samples = twins(40)
    assert take(samples, 20, seed=0) != take(samples, 20, seed=1)
    assert take(samples, 20, seed=0) == take(samples, 20, seed=0)


def test_a_limit_below_the_smallest_cluster_is_refused():
    with pytest.raises(InputError, match="--limit 1 is less than the smallest cluster of 2 samples; use 2 or more"):
        take(twins(3), 1, seed=0)


def test_no_limit_takes_all():
    samples = twins(3)
    assert take(samples, None, seed=0) == tuple(samples) == take(samples, 99, seed=0)


def test_the_fingerprint_sees_ids_content_and_order():
    samples = twins(3)
    assert samples_fingerprint(samples) == samples_fingerprint(list(samples))
    assert samples_fingerprint(samples) != samples_fingerprint(samples[::-1])
    assert samples_fingerprint(samples) != samples_fingerprint(samples[:-1])


def test_tags_and_clusters_are_part_of_what_a_run_is_of():
    plain = Sample(id="a", messages=(Message(role="user", content="x"),))
    assert samples_fingerprint([plain]) != samples_fingerprint([replace(plain, tags=("harmful",))])
    assert samples_fingerprint([plain]) != samples_fingerprint([replace(plain, cluster="c")])
