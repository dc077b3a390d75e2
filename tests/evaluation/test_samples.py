"""Streams of samples: checked once, the same at every reading, and subsets that keep clusters whole and nest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BrokenRunError, InputError
from harness.evaluation import samples as module
from harness.evaluation.choosing import chosen
from harness.evaluation.samples import SampleStream
from harness.hashing import sha256_json
from harness.types import Message, Sample


def twins(count: int) -> list[Sample]:
    return [
        Sample(id=f"{pair}-{side}", cluster=f"pair-{pair}", messages=(Message(role="user", content=f"{pair}{side}"),))
        for pair in range(count)
        for side in ("harmful", "benign")
    ]


def stream(samples, limit=None, *, seed=0) -> SampleStream:
    return SampleStream(lambda: iter(samples), name="tiny", choose=lambda columns: chosen(columns, limit, seed=seed))


def take(samples, limit, *, seed) -> tuple[Sample, ...]:
    return tuple(stream(samples, limit, seed=seed))


@pytest.fixture(params=["in memory", "read again"])
def held(request, monkeypatch):
    """Both ways in which a stream gives its samples."""
    if request.param == "read again":
        monkeypatch.setattr(module, "HELD", 0)


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


@pytest.mark.usefixtures("held")
def test_no_limit_takes_all():
    samples = twins(3)
    assert take(samples, None, seed=0) == tuple(samples) == take(samples, 99, seed=0)


def test_the_fingerprint_is_the_one_of_all_runs_before():
    """Stored runs are compared by it, so that it must never change for the same data."""
    samples = [*twins(3), Sample(id="ü\ud800", tags=("a", "b"), metadata={"x": 1})]
    expected = sha256_json([[s.id, s.content_hash, s.tags, s.cluster] for s in samples])
    assert stream(samples).fingerprint == expected
    few = take(samples, 4, seed=0)
    assert stream(samples, 4).fingerprint == sha256_json([[s.id, s.content_hash, s.tags, s.cluster] for s in few])


def test_the_fingerprint_sees_ids_content_and_order():
    samples = twins(3)
    assert stream(samples).fingerprint != stream(samples[::-1]).fingerprint
    assert stream(samples).fingerprint != stream(samples[:-1]).fingerprint


def test_tags_and_clusters_are_part_of_what_a_run_is_of():
    plain = Sample(id="a", messages=(Message(role="user", content="x"),))
    assert stream([plain]).fingerprint != stream([replace(plain, tags=("harmful",))]).fingerprint
    assert stream([plain]).fingerprint != stream([replace(plain, cluster="c")]).fingerprint


@pytest.mark.usefixtures("held")
def test_what_the_first_reading_found_fits_what_is_read_later():
    samples = twins(10)
    for limit in (None, 6):
        made = stream(samples, limit)
        assert made.available == 20
        assert len(made) == len(tuple(made)) == (limit or 20)
        assert [(s.id, s.content_hash, s.cluster) for s in made] == list(
            zip(made.ids, made.content_hashes, made.clusters, strict=True)
        )


@pytest.mark.usefixtures("held")
@given(
    index=st.integers(-12, 11), begin=st.integers(-15, 15), end=st.integers(-15, 15), step=st.sampled_from([1, 2, -1])
)
def test_a_stream_reads_as_a_sequence(index, begin, end, step):
    samples = twins(6)
    made = stream(samples)
    assert made[index] == samples[index]
    assert made[begin:end:step] == tuple(samples[begin:end:step])
    with pytest.raises(IndexError):
        made[len(samples)]


def test_few_samples_are_read_once_and_many_again(monkeypatch):
    readings = []

    def read():
        readings.append(1)
        return iter(twins(10))

    small = SampleStream(read, name="tiny")
    assert len(tuple(small)) + len(tuple(small)) == 40
    assert len(readings) == 1
    monkeypatch.setattr(module, "HELD", 19)
    large = SampleStream(read, name="tiny")
    assert len(tuple(large)) + len(tuple(large)) == 40
    assert len(readings) == 4
    limited = SampleStream(read, name="tiny", choose=lambda columns: chosen(columns, 4, seed=0))
    assert len(tuple(limited)) + len(tuple(limited)) == 8
    assert len(readings) == 6, "read once to choose and once to hold"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: [*s[:3], replace(s[3], target=("other",)), *s[4:]], "number 4, '1-benign', is now of other content"),
        (
            lambda s: [*s[:3], replace(s[3], tags=("new",)), *s[4:]],
            "number 4, '1-benign', is now of other content, tags",
        ),
        (lambda s: s[1:], "number 1, '0-harmful', is now '0-benign'"),
        (lambda s: s[:-1], "they end after 19 of 20"),
        (lambda s: [*s, replace(s[0], id="one more")], "there are more than 20"),
    ],
)
def test_a_source_that_changes_between_two_readings_is_refused(monkeypatch, change, said):
    monkeypatch.setattr(module, "HELD", 0)
    kept = twins(10)
    made = SampleStream(lambda: iter(kept), name="tiny")
    kept = change(kept)
    with pytest.raises(BrokenRunError, match="the samples of tiny changed while they were in use") as caught:
        tuple(made)
    assert said in str(caught.value)


def test_a_source_that_cannot_be_read_again_is_refused(monkeypatch):
    monkeypatch.setattr(module, "HELD", 0)
    readings = []

    def read():
        readings.append(1)
        yield from twins(3)
        if len(readings) > 1:
            raise InputError("not valid JSON", file="rows.jsonl", line=7)

    made = SampleStream(read, name="tiny")
    with pytest.raises(BrokenRunError, match=r"changed .* cannot be read any more \(rows.jsonl:7: not valid JSON\)"):
        tuple(made)


def test_a_change_behind_the_last_sample_of_a_subset_does_not_matter(monkeypatch):
    monkeypatch.setattr(module, "HELD", 0)
    kept = twins(10)
    made = SampleStream(lambda: iter(kept), name="tiny", choose=lambda columns: chosen(columns, 4, seed=0))
    last = max(kept.index(sample) for sample in made)
    few = tuple(made)
    kept = kept[: last + 1]
    assert tuple(made) == few


@pytest.mark.usefixtures("held")
def test_an_id_that_stands_twice_is_named_with_both_places():
    with pytest.raises(InputError, match=r"the id '1-harmful' stands twice \(samples 3 and 7\)"):
        stream([*twins(3), twins(2)[2]])


def test_a_source_without_samples_is_refused():
    with pytest.raises(InputError, match="the suite tiny has no samples; add at least one line"):
        stream([])
