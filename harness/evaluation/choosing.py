"""Which samples of a suite take part: all, a limit's subset of whole clusters, or some units of each cluster.

A unit is what is asked together: samples that come of one filling of a template, or a sample by itself.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from harness.errors import InputError
from harness.evaluation.shaping import DRAWS_OF
from harness.hashing import sha256_text

FILLING = "filling"
"""Key in a sample's metadata that names its unit."""


@dataclass(kw_only=True)
class Columns:
    """What a first reading keeps of all samples, in their order."""

    ids: list[str] = field(default_factory=list)
    content_hashes: list[str] = field(default_factory=list)
    question_hashes: list[str] = field(default_factory=list)
    clusters: list[str | None] = field(default_factory=list)
    units: list[str | None] = field(default_factory=list)
    """Of samples that are asked together; None is one by itself."""
    draws: int = 1
    """How often each sample is asked."""
    in_bank: bool = False
    """Whether samples name the filling of a template that they come of."""

    def cluster(self, place: int) -> str:
        """Return the name of a sample's cluster."""
        return cluster_of(self.clusters[place], self.ids[place])


Choose = Callable[[Columns], "Sequence[int] | None"]
"""Returns the places of the samples that take part, rising; None for all."""


def chosen(columns: Columns, limit: int | None, *, seed: int) -> Sequence[int] | None:
    """Return the places of at most `limit` samples: of a bank some units of each template, else whole clusters.

    Raises:
        InputError: as `subset`.
    """
    if limit is None or limit * columns.draws >= len(columns.ids) or not columns.in_bank:
        return subset(columns.clusters, columns.ids, limit, seed=seed, draws=columns.draws)
    return sorted(whole_units(columns, in_turn(columns, range(len(columns.ids)), key=str(seed)), limit))


def in_turn(
    columns: Columns, places: Collection[int], *, key: str, last_drawn: Callable[[int], int] = lambda _: 0
) -> list[int]:
    """Return places unit by unit, one unit of each cluster in turn, clusters and units in an order drawn from the key.

    Args:
        columns: of all samples.
        places: those to put in order.
        key: of the order.
        last_drawn: when a sample was drawn last, 0 for never. Units that were never drawn come first, then those whose
            draw is longest ago; clusters of which fewer units were drawn come first.
    """
    units: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place in places:
        units[columns.cluster(place)][columns.units[place] or columns.ids[place]].append(place)

    def order(text: str) -> str:
        return sha256_text(f"{key}\n{text}")

    waiting: dict[str, list[tuple[int, list[int]]]] = {}
    used: dict[str, int] = {}
    for cluster, of_cluster in units.items():
        rows = [(max(map(last_drawn, members)), order(name), members) for name, members in of_cluster.items()]
        used[cluster] = sum(1 for when, _, _ in rows if when)
        waiting[cluster] = [(when, members) for when, _, members in sorted(rows)]
    found: list[int] = []
    turns = [
        (when > 0, when, turn, used[cluster], order(cluster), members)
        for cluster, rows in waiting.items()
        for turn, (when, members) in enumerate(rows)
    ]
    for *_, members in sorted(turns, key=lambda row: row[:5]):
        found += members
    return found


def whole_units(columns: Columns, places: Sequence[int], limit: int | None) -> list[int]:
    """Return the first places up to a limit, without the beginning of a unit that does not fit any more."""
    limit = None if limit is None else limit * columns.draws
    if limit is None or limit >= len(places):
        return list(places)
    cut = list(places[:limit])
    unit = columns.units[places[limit]]
    while cut and unit is not None and columns.units[cut[-1]] == unit:
        cut.pop()
    return cut


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
