"""Samples as a run asks them: some of them, in an order, with solved examples before each question."""

from __future__ import annotations

import heapq
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import InputError, MissingSplitError, unknown_name
from harness.hashing import sha256_text
from harness.types import Message, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from harness.reading.suite import FewShotSection, PickSection

_OWN = "own"
"""Names the suite's own data among splits."""
DRAWS_OF = "draws of "
"""Begins the cluster of the draws of a sample that had none."""
_SPARE = 64
"""Examples kept besides those that are wanted, since some may be the sample itself or of its cluster."""


def picked(samples: Iterable[Sample], pick: PickSection, *, seed: int, file: Path) -> Iterator[Sample]:
    """Yield the samples that are wanted; shuffled ones are all held in memory.

    Args:
        samples: all of them.
        pick: which, and whether their order is drawn.
        seed: of the order.
        file: the suite's, for errors.

    Raises:
        InputError: for an id or a tag that no sample has, or where none is left.
    """
    kept = _kept(samples, pick, file)
    yield from sorted(kept, key=lambda one: sha256_text(f"{seed}\n{one.id}")) if pick.shuffle else kept


def _kept(samples: Iterable[Sample], pick: PickSection, file: Path) -> Iterator[Sample]:
    ids, tags = set[str](), set[str]()
    wanted, none_of = set(pick.tags), set(pick.exclude_tags)
    read = left = 0
    for sample in samples:
        read += 1
        if pick.ids:
            ids.add(sample.id)
        tags.update(sample.tags)
        if (pick.ids and sample.id not in pick.ids) or (wanted and not wanted & set(sample.tags)):
            continue
        if not none_of & set(sample.tags):
            left += 1
            yield sample
    for what, given, known in (("sample", pick.ids, ids), ("tag", (*pick.tags, *pick.exclude_tags), tags)):
        for name in given:
            if name not in known:
                raise unknown_name(what, name, known, file=file, key="pick")
    if read and not left:
        raise InputError(
            "no sample is left by the ids and tags that were picked", file=file, key="pick", hint="pick fewer"
        )


def undrawn(name: str, cluster: str | None) -> tuple[str, str | None]:
    """Return the id and the cluster that one of several draws had as a sample."""
    name = name.rpartition("#")[0]
    return name, None if cluster == f"{DRAWS_OF}{name}" else cluster


def drawn_often(samples: Iterable[Sample], epochs: int) -> Iterator[Sample]:
    """Yield so many draws of each sample; they are one cluster, since they are not independent."""
    for sample in samples:
        cluster = f"{DRAWS_OF}{sample.id}" if sample.cluster is None else sample.cluster
        for draw in range(1, epochs + 1):
            yield replace(sample, id=f"{sample.id}#{draw}", cluster=cluster, draw=draw)


class Examples:
    """The solved examples that stand before questions, read once.

    Args:
        read: yields the samples to take them from, of a named split, or of the suite's own data for None.
        few: how many, from which splits, and how they are drawn.
        file: the suite's, for errors.
    """

    def __init__(self, read: Callable[[str | None], Iterable[Sample]], few: FewShotSection, *, file: Path) -> None:
        self._read, self._few, self._file = read, few, file
        self._pool: tuple[tuple[Sample, str], ...] | None = None
        self._own = True
        self.taken_from = ""
        """Where they are taken from, in words; empty before they were read."""

    def before(self, sample: Sample) -> Sample:
        """Return the sample with examples before its question: never itself, nor one of its cluster.

        Of the one split that a suite names, examples with the sample's own tags (MMLU's subjects) come first.

        Raises:
            InputError: where there are not enough, or the sample asks nothing.
        """
        if self._pool is None:
            self._pool = self._first_there()
        pool = self._pool
        if isinstance(self._few.split, str):
            pool = tuple(sorted(pool, key=lambda item: item[0].tags != sample.tags))
        found = [item for item in pool if not self._same(item[0], sample)][: self._few.n]
        if len(found) < self._few.n:
            raise self._error(
                f"{self._few.n} examples are wanted before {sample.id!r}, and {self.taken_from} has {len(found)} with "
                f"an answer"
            )
        if not sample.prompt:
            raise self._error(f"the sample {sample.id!r} asks nothing that examples could stand before")
        return replace(sample, messages=_joined(found, sample.messages, self._few.style))

    def _first_there(self) -> tuple[tuple[Sample, str], ...]:
        """Return the solved samples of the first split whose file is there.

        Raises:
            MissingSplitError: where none is.
        """
        split = self._few.split
        *before, last = [split] if split is None or isinstance(split, str) else split or (_OWN,)
        for name in before:
            try:
                return self._taken(name)
            except MissingSplitError:
                continue
        return self._taken(last)

    def _taken(self, split: str | None) -> tuple[tuple[Sample, str], ...]:
        split = None if split == _OWN else split
        self._own = split is None
        pool = self._drawn(split)
        self.taken_from = "the suite's own data" if split is None else f"the split {split}"
        return pool

    def _drawn(self, split: str | None) -> tuple[tuple[Sample, str], ...]:
        """Return solved samples in the order in which they are taken: by a hash of the seed, or the file's."""
        seed = self._few.seed
        solved = (
            (place, one, text) for place, one in enumerate(self._read(split)) if (text := answer_of(one)) and one.prompt
        )
        keyed = (
            ((place if seed is None else sha256_text(f"{seed}\n{one.id}")), place, one, text)
            for place, one, text in solved
        )

        def order(item: tuple[int | str, int, Sample, str]) -> tuple[int | str, int]:
            return item[:2]

        chosen = (
            sorted(keyed, key=order)
            if isinstance(self._few.split, str)
            else heapq.nsmallest(self._few.n + _SPARE, keyed, key=order)
        )
        return tuple((one, text) for _, _, one, text in chosen)

    def _same(self, one: Sample, other: Sample) -> bool:
        """Tell whether an example is the sample or of its cluster; splits count ids and clusters anew."""
        cluster = one.cluster is not None and one.cluster == other.cluster
        return one.messages == other.messages or (self._own and (cluster or one.id == other.id))

    def _error(self, cause: str) -> InputError:
        return InputError(cause, file=self._file, key="few_shot", hint="ask for fewer, or name another split")


def answer_of(sample: Sample) -> str:
    """Return what a right reply to a sample says; empty where the data does not tell.

    It is what the metadata holds as `solution`, such as GSM8K's steps, else the right choice or the first target.
    """
    solution = sample.metadata.get("solution")
    if isinstance(solution, str) and solution:
        return solution
    if sample.answer is not None and sample.choices:
        return sample.choices[sample.answer]
    return sample.target[0] if sample.target else ""


def _joined(examples: list[tuple[Sample, str]], messages: tuple[Message, ...], style: str) -> tuple[Message, ...]:
    first = next(place for place, message in enumerate(messages) if message.role != "system")
    before, rest = messages[:first], messages[first:]
    if style == "turns":
        turns = [
            message
            for one, answer in examples
            for message in (Message(role="user", content=one.prompt), Message(role="assistant", content=answer))
        ]
        return (*before, *turns, *rest)
    text = "".join(f"{one.prompt}\n{answer}\n\n" for one, answer in examples)
    return (*before, replace(rest[0], content=text + rest[0].content), *rest[1:])
