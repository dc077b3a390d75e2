"""A suite's samples as a stream: read as often as they are needed, the same each time, and never all in memory.

The first reading checks ids and finds what all later steps share: how many samples there are, their ids, content
hashes and clusters, the subset that a limit takes, and the fingerprint of the whole. Every later reading is checked
against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, overload

from harness.contracts import SourceInput
from harness.errors import BrokenRunError, InputError
from harness.evaluation.choosing import FILLING, Choose, Columns
from harness.evaluation.shaping import Examples, drawn_often, picked
from harness.evaluation.tools import declared
from harness.hashing import ListHash, short_digest
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
        choose: which samples take part; all without it.

    Attributes:
        ids: of the samples, in order.
        content_hashes: of the samples, in order.
        question_hashes: of what each asks.
        clusters: of the samples, in order; None is a cluster of its own.
        fingerprint: SHA-256 over ids, content hashes, tags and clusters in order. Tags say which metrics and principles
            a sample is for, and clusters what is independent: both decide verdicts.
        available: how many samples there are in all, each draw of one sample counted.
        draws: how often each sample is asked.
        in_bank: whether they come of a bank, more of whose items later decisions may ask.

    Raises:
        InputError: where an id stands twice, or there is no sample at all; and as `choose` does.
        BrokenRunError: at any later reading that yields other samples than the first.
    """

    def __init__(
        self,
        read: Callable[[], Iterator[Sample]],
        *,
        name: str,
        file: Path | None = None,
        choose: Choose = lambda _: None,
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
        self.draws = first.columns.draws
        self._places = choose(first.columns)
        self.ids = self._kept(first.ids)
        self.content_hashes = self._kept(first.columns.content_hashes)
        self.question_hashes = self._kept(first.columns.question_hashes)
        self.clusters = self._kept(first.columns.clusters)
        self.in_bank = first.columns.in_bank
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
    columns: Columns = field(default_factory=Columns)
    tags: list[tuple[str, ...]] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _tags: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    _names: dict[str | None, str | None] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        return self.columns.ids

    def add(self, sample: Sample) -> None:
        if sample.id in self._seen:
            raise InputError(
                f"the id {sample.id!r} stands twice (samples {self.ids.index(sample.id) + 1} and {len(self.ids) + 1})",
                file=self.file, hint="ids pair the samples of two runs: give each its own",
            )  # fmt: skip
        self._seen.add(sample.id)
        self.columns.draws = max(self.columns.draws, sample.draw)
        self.ids.append(sample.id)
        content, question = sample.hashes
        self.columns.content_hashes.append(content)
        self.columns.question_hashes.append(question)
        self.tags.append(self._tags.setdefault(sample.tags, sample.tags))
        self.columns.clusters.append(self._names.setdefault(sample.cluster, sample.cluster))
        unit = sample.metadata.get(FILLING)
        unit = unit if isinstance(unit, str) else None
        self.columns.in_bank = self.columns.in_bank or unit is not None
        unit = unit or (sample.id.rpartition("#")[0] if sample.draw else None)
        self.columns.units.append(self._names.setdefault(unit, unit))


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
    suite: Suite, source: Source, *, offline: bool, seed: int, choose: Choose = lambda _: None,
    injected: tuple[Mapping[str, Any], ...] = (),
) -> SampleStream:  # fmt: skip
    """Read all samples of a suite once, and return them as a stream.

    Raises:
        InputError: where the data is wrong, an id stands twice, there is no sample at all, or `choose` refuses.
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
        name=suite.id, file=suite.data_path or suite.path, choose=choose, examples=examples,
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
