"""A suite's samples as a stream: read as often as they are needed, the same each time, and never all in memory.

The first reading checks ids and finds what all later steps share: how many samples there are, their ids, content
hashes and clusters, the subset that a limit takes, and the fingerprint of the whole. Every later reading is checked
against it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, overload

from harness.contracts import SourceInput
from harness.errors import BrokenRunError, InputError
from harness.evaluation.shaping import DRAWS_OF, Examples, drawn_often, picked
from harness.evaluation.tools import declared
from harness.hashing import ListHash, sha256_text, short_digest
from harness.plugin_code import PluginError, broken, plugin_code
from harness.types import Message, Sample

if TYPE_CHECKING:
    from pathlib import Path

    from harness.contracts import Source
    from harness.reading.suite import Suite

_T = TypeVar("_T")

HELD = 4096
"""A stream of at most so many samples keeps them: reading them again would cost more than their memory."""
_MARK = 16
"""Bytes kept of each sample, to know it again."""


class SampleStream(Sequence[Sample]):
    """The samples that take part in a run, in the suite's order.

    Iterating reads the source again and holds one sample at a time; so does an index, from the start.

    Args:
        read: yields all samples of the source, afresh at each call.
        name: of the suite, for errors.
        file: where the samples lie, for errors.
        limit: at most so many samples take part, clusters kept whole; draws of one sample count once.
        seed: of that subset.

    Attributes:
        ids: of the samples, in order.
        content_hashes: of the samples, in order.
        clusters: of the samples, in order; None is a cluster of its own.
        fingerprint: SHA-256 over ids, content hashes, tags and clusters in order. Tags say which metrics and principles
            a sample is for, and clusters what is independent: both decide verdicts.
        available: how many samples there are without the limit, each draw of one sample counted.
        draws: how often each sample is asked.

    Raises:
        InputError: where an id stands twice, there is no sample at all, or no cluster fits the limit.
        BrokenRunError: at any later reading that yields other samples than the first.
    """

    def __init__(
        self,
        read: Callable[[], Iterator[Sample]],
        *,
        name: str,
        file: Path | None = None,
        limit: int | None = None,
        seed: int = 0,
        examples: Examples | None = None,
    ) -> None:
        self._read = read
        self._examples = examples
        self._name = name
        self._held: tuple[Sample, ...] | None = None
        first = _FirstReading(file=file)
        held: list[Sample] | None = []
        for sample in read():
            first.add(sample)
            if held is not None:
                held.append(sample)
                held = held if len(held) <= HELD else None
        self.available = len(first.ids)
        if not first.ids:
            raise InputError(f"the suite {name} has no samples", file=file, hint="add at least one line")
        self.draws = first.draws
        self._places = subset(first.clusters, first.ids, limit, seed=seed, draws=self.draws)
        self.ids = self._kept(first.ids)
        self.content_hashes = self._kept(first.content_hashes)
        self.clusters = self._kept(first.clusters)
        self.fingerprint, self._marks = _marks(self.ids, self.content_hashes, self._kept(first.tags), self.clusters)
        if held is not None:
            self._held = self._kept(held)
        elif len(self) <= HELD:
            self._held = tuple(self._again())

    def _kept(self, values: Sequence[_T]) -> tuple[_T, ...]:
        return tuple(values) if self._places is None else tuple(values[place] for place in self._places)

    @property
    def examples_from(self) -> str:
        """Where the solved examples before the questions come from, in words; empty without any."""
        return "" if self._examples is None else self._examples.taken_from

    def __len__(self) -> int:
        """Return how many samples take part."""
        return len(self.ids)

    def __iter__(self) -> Iterator[Sample]:
        """Yield the samples; each is checked to be the one that the first reading found."""
        return self._again() if self._held is None else iter(self._held)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Sample, ...]: ...
    def __getitem__(self, index: int | slice) -> Sample | tuple[Sample, ...]:
        """Return one sample, or some as a tuple: a whole reading up to them where the stream holds none."""
        if isinstance(index, slice):
            wanted = range(*index.indices(len(self)))
            found = {i: sample for i, sample in enumerate(islice(self, max(wanted, default=-1) + 1)) if i in wanted}
            return tuple(found[i] for i in wanted)
        return next(islice(self, range(len(self))[index], None))

    def _again(self) -> Iterator[Sample]:
        done = 0
        try:
            for place, sample in enumerate(self._read()):
                if done == len(self):
                    raise self._changed(f"there are more than {len(self)}")
                if self._places is not None and place < self._places[done]:
                    continue
                seen = (sample.id, sample.content_hash, sample.tags, sample.cluster)
                if short_digest(seen) != self._marks[done * _MARK : (done + 1) * _MARK]:
                    was = self.ids[done]
                    raise self._changed(
                        f"number {place + 1}, {was!r}, is now "
                        + (f"{sample.id!r}" if sample.id != was else "of other content, tags or cluster")
                    )
                yield sample
                done += 1
                if self._places is not None and done == len(self):
                    return
        except InputError as error:
            raise self._changed(f"they cannot be read any more ({error})") from error
        if done < len(self):
            raise self._changed(f"they end after {done} of {len(self)}")

    def _changed(self, how: str) -> BrokenRunError:
        return BrokenRunError(
            f"the samples of {self._name} changed while they were in use: {how}; leave their file alone and run again"
        )


@dataclass(kw_only=True)
class _FirstReading:
    """Columns over all samples; texts that repeat are kept once."""

    file: Path | None
    draws: int = 1
    ids: list[str] = field(default_factory=list)
    content_hashes: list[str] = field(default_factory=list)
    tags: list[tuple[str, ...]] = field(default_factory=list)
    clusters: list[str | None] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _tags: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    _clusters: dict[str | None, str | None] = field(default_factory=dict)

    def add(self, sample: Sample) -> None:
        if sample.id in self._seen:
            raise InputError(
                f"the id {sample.id!r} stands twice (samples {self.ids.index(sample.id) + 1} and {len(self.ids) + 1})",
                file=self.file, hint="ids pair the samples of two runs: give each its own",
            )  # fmt: skip
        self._seen.add(sample.id)
        self.draws = max(self.draws, sample.draw)
        self.ids.append(sample.id)
        self.content_hashes.append(sample.content_hash)
        self.tags.append(self._tags.setdefault(sample.tags, sample.tags))
        self.clusters.append(self._clusters.setdefault(sample.cluster, sample.cluster))


def _marks(
    ids: Sequence[str], hashes: Sequence[str], tags: Sequence[tuple[str, ...]], clusters: Sequence[str | None]
) -> tuple[str, bytes]:
    """Return the fingerprint of all samples, and some bytes of each to know it again."""
    whole = ListHash()
    marks = bytearray()
    for row in zip(ids, hashes, tags, clusters, strict=True):
        whole.add(row)
        marks += short_digest(row)
    return whole.hexdigest(), bytes(marks)


def read_samples(
    suite: Suite, source: Source, *, offline: bool, seed: int, limit: int | None = None,
    injected: tuple[Mapping[str, Any], ...] = (),
) -> SampleStream:  # fmt: skip
    """Read all samples of a suite once, and return them as a stream.

    Raises:
        InputError: where the data is wrong, an id stands twice, there is no sample at all, or no cluster fits `limit`.
    """
    handed = SourceInput(
        path=suite.data_path,
        options=suite.source_options,
        suite_path=suite.path,
        offline=offline,
        seed=seed,
        injected=injected,
    )
    few, examples = suite.few_shot, None
    if few.n:

        def pool(split: str | None) -> Iterator[Sample]:
            options = {**handed.options, **({} if split is None else {"split": split})}
            return _read(suite, source, replace(handed, options=options))

        examples = Examples(pool, few, file=suite.path)

    def read() -> Iterator[Sample]:
        found = picked(_read(suite, source, handed), suite.pick, seed=seed, file=suite.path)
        found = found if examples is None else map(examples.before, found)
        if suite.conversation is not None and suite.conversation.tools:
            found = map(partial(declared, suite.conversation.tools), found)
        return found if suite.epochs == 1 else drawn_often(found, suite.epochs)

    return SampleStream(
        read,
        name=suite.id, file=suite.data_path or suite.path, limit=limit, seed=seed,
        examples=examples,
    )  # fmt: skip


def _read(suite: Suite, source: Source, handed: SourceInput) -> Iterator[Sample]:
    try:
        with plugin_code(f"the source {suite.source!r}", source):
            for number, sample in enumerate(source(handed), 1):
                yield check_sample(sample, number, suite.source, source)
    except PluginError as error:
        lost = error.__cause__
        if isinstance(lost, FileNotFoundError) and suite.data_path is not None and not suite.data_path.exists():
            raise InputError(
                f"there is no file {suite.data_path}", file=suite.path,
                line=suite.document.line(("samples", "path")) or suite.document.line(("samples",)), key="samples.path",
                hint="check the path, which is relative to the suite's file",
            ) from error  # fmt: skip
        raise


def subset(
    clusters: Sequence[str | None], ids: Sequence[str], limit: int | None, *, seed: int, draws: int = 1
) -> array[int] | None:
    """Return the places of at most `limit` samples, each with all its draws: whole clusters, by hash, in order.

    Which are taken depends on the seed and the cluster's name alone, so that a larger limit contains a smaller one, and
    all arms of a comparison, and runs that ask more or less often, see the same samples. A cluster that does not fit
    any more is passed over.

    Returns:
        Places from 0, rising; None where all samples are taken.

    Raises:
        InputError: when no cluster fits.
    """
    if limit is None or limit * draws >= len(ids):
        return None
    names = [cluster_of(cluster, sample) for cluster, sample in zip(clusters, ids, strict=True)]
    sizes = Counter(names)
    chosen: set[str] = set()
    room = limit * draws
    for name in sorted(sizes, key=lambda cluster: sha256_text(f"{seed}\n{cluster}")):
        if sizes[name] <= room:
            chosen.add(name)
            room -= sizes[name]
        if room == 0:
            break
    if not chosen:
        smallest = min(sizes.values()) // draws
        raise InputError(
            f"--limit {limit} is less than the smallest cluster of {smallest} samples", hint=f"use {smallest} or more"
        )
    return array("q", (place for place, name in enumerate(names) if name in chosen))


def cluster_of(cluster: str | None, sample: str) -> str:
    """Return the name of a sample's cluster; a sample without one is a cluster of its own, and so are its draws."""
    if cluster is not None and cluster.startswith(DRAWS_OF):
        return f"sample {cluster.removeprefix(DRAWS_OF)}"
    return f"cluster {cluster}" if cluster is not None else f"sample {sample}"


def check_sample(given: object, number: int, source: str, code: object) -> Sample:
    """Return what a source yielded, after checking that it is a sample whose fields have their types.

    Raises:
        PluginError: naming the source, the sample and the field.
    """
    what = f"the source {source!r}, sample {number},"
    if not isinstance(given, Sample):
        raise broken(what, given, "yield harness.Sample objects", code)
    fields: dict[str, object] = vars(given)
    if not isinstance(fields["id"], str) or not fields["id"]:
        raise broken(what, fields["id"], "id is a text that is not empty", code)
    kinds = {"messages": Message, "target": str, "choices": str, "tags": str, "turns": str}
    for key, kind in kinds.items():
        value = fields[key]
        if not isinstance(value, tuple) or not all(isinstance(one, kind) for one in value):
            wanted = "texts, such as ('one',)" if kind is str else "Message(role=..., content=...)"
            raise broken(what, value, f"{key} is a tuple of {wanted}", code)
    return given
