"""Plans what to forward so that a token that many requests have in common is forwarded once.

All requests together form a trie: each path is a context with one continuation, without its last token, which nothing
needs. The sorted paths, each with the length that it shares with the one before, are that trie. It is cut into *packs*,
runs of neighbouring paths that go through the model as one sequence under a tree mask, and *prefixes*, beginnings that
several packs share and whose keys and values are computed once. docs/engine.md draws it.

Nothing here knows of models or tensors.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SHORTEST_PREFIX = 16
"""A shorter common beginning is not worth a pass of its own."""
_SLACK = 1.5
"""A pack may be so many times as long as its longest path: many short branches behind a long context stay together."""


@dataclass(frozen=True, kw_only=True)
class Branches:
    """One context and what might follow it, as token ids; neither the context nor a continuation is empty."""

    context: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class TriePath:
    """One context with one continuation."""

    row: int
    """Index of the `Branches`."""
    number: int
    """Index of the continuation."""
    tokens: tuple[int, ...]
    """What is forwarded: the context and all but the last token of the continuation."""
    context: int
    """Tokens of the context. The states at `context - 1` and after predict the continuation."""
    shared: int
    """Leading tokens in common with the path before."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prefix:
    """A beginning whose keys and values are computed once, after those of its parent."""

    parent: Prefix | None
    tokens: tuple[int, ...]
    """Behind the parent's."""
    depth: int
    """Tokens from the root to its end."""


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Neighbouring paths that are forwarded as one sequence behind a prefix."""

    first: int
    """Of the sorted paths."""
    last: int
    """One past the last."""
    size: int
    """Distinct tokens behind the prefix."""
    branching: bool
    """Whether the paths part, so that a mask must hide them from each other."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """The packs behind one prefix."""

    prefix: Prefix | None
    packs: tuple[Pack, ...]

    @property
    def depth(self) -> int:
        """Tokens of the prefix."""
        return 0 if self.prefix is None else self.prefix.depth


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be forwarded for some requests, in an order in which a parent's group comes before its children's."""

    paths: tuple[TriePath, ...]
    """In lexicographic order of their tokens."""
    groups: tuple[Group, ...]
    """One for each prefix."""

    @property
    def tokens(self) -> int:
        """Tokens that go through the model, padding aside."""
        prefixes = sum(len(group.prefix.tokens) for group in self.groups if group.prefix is not None)
        return prefixes + sum(pack.size for group in self.groups for pack in group.packs)


def plan(
    rows: Sequence[Branches], *, pack_tokens: int, window: int | None = None, behind: Prefix | None = None
) -> Plan:
    """Plan the passes for some requests.

    Args:
        rows: contexts with their continuations.
        pack_tokens: most tokens of a pack, at least 1; a path that is longer has a pack of its own.
        window: most tokens of a prefix with its pack, no less than those of the longest path: some architectures have
            buffers of that length, although no token of a pack stands beyond it. None is no limit.
        behind: what is at hand already: every context begins with it and is longer.
    """
    paths = _paths(rows)
    return Plan(paths=paths, groups=_Planner(paths, pack_tokens, window).groups(behind))


def separate(rows: Sequence[Branches]) -> Plan:
    """Plan one pack for each path, with nothing shared: for architectures that cannot take a tree mask or a prefix."""
    paths = _paths(rows)
    packs = tuple(
        Pack(first=index, last=index + 1, size=len(path.tokens), branching=False) for index, path in enumerate(paths)
    )
    return Plan(paths=paths, groups=(Group(prefix=None, packs=packs),) if packs else ())


def _paths(rows: Sequence[Branches]) -> tuple[TriePath, ...]:
    if not rows:
        return ()
    contexts = [row.context for row in rows]
    start = common(min(contexts), max(contexts))  # what all have in common need not be compared again and again
    whole = [
        (row.context[start:] + continuation[:-1], index, number)
        for index, row in enumerate(rows)
        for number, continuation in enumerate(row.continuations)
    ]
    whole.sort()
    head = contexts[0][:start]
    shared = [0, *(start + common(before[0], path[0]) for before, path in pairwise(whole))]
    return tuple(
        TriePath(row=row, number=number, tokens=head + tokens, context=len(contexts[row]), shared=length)
        for (tokens, row, number), length in zip(whole, shared, strict=True)
    )


def common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Return how many leading tokens two sequences have in common."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while high - low > 1:  # slices compare in C: halving is faster than walking
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


class _Planner:
    """Cuts the sorted paths into groups."""

    def __init__(self, paths: Sequence[TriePath], pack_tokens: int, window: int | None) -> None:
        self._paths = paths
        self._most = max(1, pack_tokens)
        self._window = window
        # Before path i the trie has so many tokens, if every path is counted from where it leaves the one before.
        self._before = [0]
        for path in paths:
            self._before.append(self._before[-1] + len(path.tokens) - path.shared)

    def groups(self, root: Prefix | None) -> tuple[Group, ...]:
        """Return the groups, one for each prefix, parents before their children, depth first; all behind the root."""
        packs: dict[Prefix | None, list[Pack]] = {}
        todo: list[tuple[int, int, Prefix | None]] = [(0, len(self._paths), root)] if self._paths else []
        while todo:  # a stack of our own: a trie may be deeper than Python recurses
            first, last, parent = todo.pop()
            prefix = self._prefix(first, last, parent)
            own = packs.setdefault(prefix, [])
            depth = 0 if prefix is None else prefix.depth
            if self._size(first, last, depth) <= self._room(first, last, depth):
                own.append(self._pack(first, last, depth))
                continue
            small = first
            deeper: list[tuple[int, int, Prefix | None]] = []
            for begin, stop in self._children(first, last):
                if self._deserves_prefix(begin, stop, depth) and stop - begin < last - first:
                    own += self._cut(small, begin, depth)
                    deeper.append((begin, stop, prefix))
                    small = stop
            own += self._cut(small, last, depth)
            todo += reversed(deeper)
        return tuple(Group(prefix=prefix, packs=tuple(found)) for prefix, found in packs.items())

    def _size(self, first: int, last: int, depth: int) -> int:
        """Distinct tokens of the paths behind `depth`, which all of them share."""
        return self._before[last] - self._before[first] + self._paths[first].shared - depth

    def _fork(self, first: int, last: int) -> int:
        """Tokens that all the paths have in common."""
        paths = self._paths
        return min([len(paths[first].tokens), *(paths[i].shared for i in range(first + 1, last))])

    def _prefix(self, first: int, last: int, parent: Prefix | None) -> Prefix | None:
        """Return a prefix for these paths behind the parent, or the parent where there is not enough to share."""
        paths, depth = self._paths, 0 if parent is None else parent.depth
        end = min(self._fork(first, last), *(paths[i].context - 1 for i in range(first, last)))
        if end - depth < _SHORTEST_PREFIX or self._size(first, last, depth) <= self._room(first, last, depth):
            return parent
        return Prefix(parent=parent, tokens=paths[first].tokens[depth:end], depth=end)

    def _children(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield the runs of paths that go on together behind what all have in common."""
        begin, fork = first, self._fork(first, last)
        for index in range(first + 1, last):
            if self._paths[index].shared <= fork:
                yield begin, index
                begin = index
        yield begin, last

    def _deserves_prefix(self, first: int, last: int, depth: int) -> bool:
        """Tell whether a run is large enough for packs of its own, and has, here or deeper, a beginning to share."""
        if last - first < 2 or self._size(first, last, depth) <= self._room(first, last, depth):
            return False
        return max(self._paths[i].shared for i in range(first + 1, last)) - depth >= _SHORTEST_PREFIX

    def _room(self, first: int, last: int, depth: int) -> int:
        """Most tokens of a pack of these paths."""
        return self._room_for(max(len(self._paths[i].tokens) for i in range(first, last)) - depth, depth)

    def _room_for(self, longest: int, depth: int) -> int:
        room = max(self._most, int(_SLACK * longest))
        return room if self._window is None else max(longest, min(room, self._window - depth))

    def _cut(self, first: int, last: int, depth: int) -> Iterator[Pack]:
        """Cut neighbouring paths into packs, so that least is forwarded again behind the cuts, and then in fewest."""
        paths, count = self._paths, last - first
        best = [(0, 0), *[(sys.maxsize, 0)] * count]  # tokens forwarded again and packs, of the first so many paths
        start = [0] * (count + 1)  # where the last of these packs begins
        for begin in range(count):
            if begin and paths[first + begin].shared == len(paths[first + begin].tokens):
                continue  # the same tokens as the path before, with another continuation: they stay together
            longest = 0
            again, packs = best[begin]
            cost = (again + (paths[first + begin].shared - depth if begin else 0), packs + 1)
            for end in range(begin + 1, count + 1):
                longest = max(longest, len(paths[first + end - 1].tokens) - depth)
                if end > begin + 1 and self._size(first + begin, first + end, depth) > self._room_for(longest, depth):
                    break
                if cost < best[end]:
                    best[end], start[end] = cost, begin
        cuts = [count] if count else []
        while cuts and cuts[-1]:
            cuts.append(start[cuts[-1]])
        for begin, end in pairwise(reversed(cuts)):
            yield self._pack(first + begin, first + end, depth)

    def _pack(self, first: int, last: int, depth: int) -> Pack:
        paths = self._paths
        # A path that begins with the whole one before it only goes on: no token must be hidden.
        branching = any(paths[i].shared < len(paths[i - 1].tokens) for i in range(first + 1, last))
        return Pack(first=first, last=last, size=self._size(first, last, depth), branching=branching)
