"""How much is left to decide by, suite by suite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api.workspace import (
    asked_before,
    find_policy,
    is_deciding,
    item_of,
    policies,
    read_suite,
    read_suite_samples,
    resolve_suite,
    seen_items,
)

if TYPE_CHECKING:
    from harness.api import Session


@dataclass(frozen=True, kw_only=True)
class Left:
    """One suite of a policy that hides some of it."""

    policy: str
    suite: str
    open: int
    """Samples that anybody may look at."""
    deciding: int
    """Samples of the share that decides."""
    shown: int
    """Of these, those that a person or an open run has seen: they decide no more."""
    drawn: int
    """Of these, those by which an attempt has decided."""
    fresh: int
    """Of these, those that nobody has seen and no attempt has drawn."""
    clusters: int
    """Clusters that hold a fresh one: what a decision counts."""
    decisions: int | None
    """Further attempts that fresh samples are enough for; None where the policy asks for no fresh ones."""


def left(session: Session, name: str | None = None) -> list[Left]:
    """Return what is left under the policies of the session's folder, or under one of them.

    Raises:
        InputError: for an unknown policy, or a suite that cannot be read.
    """
    registries = session.plugins.registries
    wanted = [find_policy(name, session.config, registries)] if name else policies(session.config, registries)
    seen = seen_items(session.workspace)
    used = {*seen.drawn, *asked_before(session.workspace)}
    found = []
    for policy in wanted:
        for section in policy.suites:
            if section.deciding is None:
                continue
            suite = read_suite(resolve_suite(section.suite, registries), seed=session.context.seed)
            source = registries.sources.get(suite.source, file=str(suite.path))
            samples = read_suite_samples(
                suite, source, offline=session.context.offline, seed=session.context.seed
            )  # fmt: skip
            each = zip(samples.ids, samples.content_hashes, samples.question_hashes, samples.clusters, strict=True)
            rows = [
                (cluster if cluster is not None else ident, item_of(digest), item_of(question))
                for ident, digest, question, cluster in each
                if is_deciding(cluster, section.deciding, ident)
            ]
            items = {item for _, item, _ in rows}
            fresh = {item for _, *both in rows if not {*both} & (used | seen.shown) for item in both[:1]}
            size = max(section.samples, default=section.limit or 0)
            found.append(Left(
                policy=policy.id, suite=section.suite, open=len(samples) - len(rows), deciding=len(rows),
                shown=len(items & seen.shown), drawn=len(items & set(seen.drawn)), fresh=len(fresh),
                clusters=len({cluster for cluster, item, _ in rows if item in fresh}),
                decisions=len(fresh) // size if section.fresh and size else None,
            ))  # fmt: skip
    return found
