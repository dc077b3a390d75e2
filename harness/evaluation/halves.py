"""The halves of a suite of which a policy hides one: the share of its clusters that decides, and the open rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.evaluation.choosing import Columns, chosen, cluster_of, in_turn, whole_units
from harness.evaluation.prepare import resolve_suite
from harness.hashing import sha256_text

if TYPE_CHECKING:
    from pathlib import Path

    from harness.evaluation.choosing import Choose
    from harness.plugins import Registries
    from harness.types import Policy, PolicySuite

_FRACTION = 16**12


def is_deciding(cluster: str | None, share: float, sample: str) -> bool:
    """Tell whether a sample decides: by the hash of its cluster's name alone, or of its own where it has none.

    So twins and paraphrases are on one side, and a larger share holds a smaller one.
    """
    return int(sha256_text(f"deciding\n{cluster_of(cluster, sample)}")[:12], 16) < share * _FRACTION


def marked(columns: Columns, share: float) -> list[int]:
    """Return the places of the samples that decide."""
    return [p for p, name in enumerate(columns.ids) if is_deciding(columns.clusters[p], share, name)]


def _part(columns: Columns, places: Sequence[int]) -> Columns:
    return Columns(
        ids=[columns.ids[p] for p in places], content_hashes=[columns.content_hashes[p] for p in places],
        question_hashes=[columns.question_hashes[p] for p in places],
        clusters=[columns.clusters[p] for p in places], units=[columns.units[p] for p in places],
        draws=columns.draws, in_bank=columns.in_bank,
    )  # fmt: skip


def chosen_among(columns: Columns, places: Sequence[int], limit: int | None, seed: int) -> list[int]:
    """Return some of the places as a run without a policy would take them."""
    found = chosen(_part(columns, places), limit, seed=seed)
    return list(places) if found is None else [places[at] for at in found]


def choose_marked(section: PolicySuite, limit: int | None, seed: int) -> Choose | None:
    """Return what picks as many samples as would decide, whatever was drawn before: for plans."""
    share = section.deciding
    if share is None:
        return None

    def pick(columns: Columns) -> Sequence[int]:
        places = marked(columns, share)
        if section.fresh:
            return sorted(whole_units(columns, in_turn(columns, places, key=str(seed)), limit))
        return sorted(chosen_among(columns, places, limit, seed))

    return pick


def choose_open(share: float, limit: int | None, seed: int, *, name: str, policy: str) -> Choose:
    """Return what picks the samples of a suite that do not decide."""

    def pick(columns: Columns) -> Sequence[int]:
        places = [p for p, name in enumerate(columns.ids) if not is_deciding(columns.clusters[p], share, name)]
        if not places:
            raise InputError(
                f"all samples of {name} decide under the policy {policy}: none is open to looks",
                hint="a smaller share under deciding: leaves some open",
            )
        return sorted(chosen_among(columns, places, limit, seed))

    return pick


def open_half(policies: Iterable[Policy], suite: Path, registries: Registries) -> tuple[float, str] | None:
    """Return the share of a suite's clusters that decide, the largest that a policy names, and that policy's name.

    None where no policy hides any of the suite.
    """
    found: tuple[float, str] | None = None
    for policy in policies:
        for section in policy.suites:
            if section.deciding is None:
                continue
            try:
                if resolve_suite(section.suite, registries) != suite:
                    continue
            except InputError:  # of no suite that is there
                continue
            if found is None or section.deciding > found[0]:
                found = section.deciding, policy.id
    return found
