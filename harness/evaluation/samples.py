"""Reads a suite's samples, checks their identity, and takes a subset that keeps clusters whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.contracts import SourceInput
from harness.errors import InputError
from harness.hashing import sha256_json, sha256_text
from harness.plugin_code import PluginError, check_sample, plugin_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.contracts import Source
    from harness.reading.suite import Suite
    from harness.types import Sample


def read_samples(suite: Suite, source: Source, *, offline: bool, seed: int) -> tuple[Sample, ...]:
    """Read all samples of a suite.

    Raises:
        InputError: where the data is wrong, an id stands twice, or there is no sample at all.
    """
    handed = SourceInput(
        path=suite.data_path, options=suite.source_options, suite_path=suite.path, offline=offline, seed=seed
    )
    samples: list[Sample] = []
    seen: dict[str, int] = {}
    for number, sample in enumerate(_read(suite, source, handed), start=1):
        if sample.id in seen:
            raise InputError(
                f"the id {sample.id!r} stands twice (samples {seen[sample.id]} and {number})",
                file=suite.data_path or suite.path,
                hint="ids pair the samples of two runs: give each its own",
            )
        seen[sample.id] = number
        samples.append(sample)
    if not samples:
        raise InputError(
            f"the suite {suite.id} has no samples", file=suite.data_path or suite.path, hint="add at least one line"
        )
    return tuple(samples)


def _read(suite: Suite, source: Source, handed: SourceInput) -> list[Sample]:
    try:
        with plugin_code(f"the source {suite.source!r}", source):
            return [
                check_sample(sample, number, suite.source, source) for number, sample in enumerate(source(handed), 1)
            ]
    except PluginError as error:
        lost = error.__cause__
        if isinstance(lost, FileNotFoundError) and suite.data_path is not None and not suite.data_path.exists():
            raise InputError(
                f"there is no file {suite.data_path}", file=suite.path,
                line=suite.document.line(("samples", "path")) or suite.document.line(("samples",)), key="samples.path",
                hint="check the path, which is relative to the suite's file",
            ) from error  # fmt: skip
        raise


def take(samples: Sequence[Sample], limit: int | None, *, seed: int) -> tuple[Sample, ...]:
    """Return at most `limit` samples: whole clusters, drawn by hash, in the suite's order.

    The draw depends on the seed and the cluster's name alone, so that a larger limit contains a smaller one and both
    arms of a comparison see the same samples. A cluster that does not fit any more is passed over.
    """
    if limit is None or limit >= len(samples):
        return tuple(samples)
    sizes: dict[str, int] = {}
    for sample in samples:
        name = cluster_of(sample)
        sizes[name] = sizes.get(name, 0) + 1
    chosen: set[str] = set()
    room = limit
    for name in sorted(sizes, key=lambda cluster: sha256_text(f"{seed}\n{cluster}")):
        if sizes[name] <= room:
            chosen.add(name)
            room -= sizes[name]
        if room == 0:
            break
    if not chosen:
        smallest = min(sizes.values())
        raise InputError(
            f"--limit {limit} is less than the smallest cluster of {smallest} samples", hint=f"use {smallest} or more"
        )
    return tuple(sample for sample in samples if cluster_of(sample) in chosen)


def cluster_of(sample: Sample) -> str:
    """Return the name of a sample's cluster; a sample without one is a cluster of its own."""
    return f"cluster {sample.cluster}" if sample.cluster is not None else f"sample {sample.id}"


def samples_fingerprint(samples: Sequence[Sample]) -> str:
    """Return the SHA-256 over ids, content hashes, tags and clusters in order.

    Tags say which metrics and principles a sample is for, and clusters what is independent: both decide verdicts.
    """
    return sha256_json([[sample.id, sample.content_hash, sample.tags, sample.cluster] for sample in samples])
