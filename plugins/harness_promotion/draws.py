"""Which samples decide: a hidden share of a suite, and of a bank those that no attempt in this workspace asked before.

Candidates of one workspace may have learned from each other and from what people saw, so all of them count as one
lineage: a sample that any attempt drew is not fresh for the next. A draw belongs to candidate, baseline and policy, and
is in the ledger before anything is measured: a retried or resumed attempt has the same samples, and so have both arms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.api import InputError, sha256_json
from harness.api.asking import ModelPool
from harness.api.workspace import (
    Columns,
    asked_before,
    chosen_among,
    find_draw,
    in_turn,
    item_of,
    marked,
    seen_items,
    whole_units,
)

if TYPE_CHECKING:
    from harness.api import Candidate, Policy, PolicySuite
    from harness.api.workspace import Choose, Setting, Workspace


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What an attempt decides by, of one suite."""

    suite: str
    key: str
    items: tuple[str, ...]
    """As the ledger keeps samples, in the order in which looks take them."""
    questions: frozenset[str]
    """What they ask, as the ledger keeps it: the same question with other metadata is not fresh."""
    reused: int
    """How many of them decided before, or are asked again that a run asked in the open."""
    left: int
    """Samples that would still be fresh for the next attempt."""
    kept: bool
    """Whether the ledger has it already."""
    fresh: bool
    """Whether the policy asks for fresh ones."""
    opened: int = 0
    """How many of them runs had asked in the open before they decided."""

    @property
    def sentence(self) -> str:
        """What a person should know."""
        known = (
            f"; {self.opened} of them WERE ASKED IN THE OPEN by a run before they decided: who saw those replies may "
            "have learned from them" if self.opened else ""
        )  # fmt: skip
        if not self.fresh:
            return f"{len(self.items)} deciding samples of {self.suite}, whose replies and rows are hidden{known}"
        again = f"; {self.reused} of them DECIDED BEFORE or were seen: this evidence is reused" if self.reused else ""
        return (
            f"{len(self.items) - self.reused} fresh samples of {self.suite}, hidden{again}; {self.left} fresh ones "
            f"are left{known}"
        )


@dataclass(kw_only=True)
class Draws:
    """The draws of one attempt.

    Attributes:
        made: what was drawn, by the place of the suite in the policy.
    """

    workspace: Workspace
    policy: Policy
    who: str
    """Hash of candidate and baseline."""
    made: dict[int, Drawn] = field(default_factory=dict)
    since: int = 0
    """Number of the newest draw in the ledger when this began."""

    @classmethod
    def of(cls, policy: Policy, candidate: Candidate, baseline: Candidate, setting: Setting) -> Draws:
        """Return the draws of a candidate's attempt, none made yet; no model is loaded.

        Raises:
            InputError: when weights or adapters are absent or do not fit.
        """
        who = ""
        if any(section.deciding is not None for section in policy.suites):
            with ModelPool(setting.plugins.registries, setting.context, None, setting.progress) as pool:
                who = sha256_json([pool.fingerprint(candidate), pool.fingerprint(baseline)])
        return cls(workspace=setting.workspace, policy=policy, who=who, since=_newest(setting.workspace))

    def choose(self, index: int, limit: int | None, seed: int) -> Choose | None:
        """Return what picks the samples of the policy's suite at `index`; None where the policy hides nothing.

        The first call for a suite must be that of its largest look.
        """
        section = self.policy.suites[index]
        if section.deciding is None:
            return None

        def pick(columns: Columns) -> Sequence[int]:
            if index not in self.made:
                self.made[index] = self._draw(section, columns, limit, seed)
            places_of: dict[str, list[int]] = {}  # several samples may have one content
            for place in reversed(marked(columns, section.deciding or 1.0)):
                places_of.setdefault(item_of(columns.content_hashes[place]), []).append(place)
            places = [places_of[item].pop() for item in self.made[index].items if places_of.get(item)]
            return sorted(whole_units(columns, places, limit))

        return pick

    def note(self, index: int) -> str:
        """Return what people should know of what was drawn of a suite."""
        return self.made[index].sentence if index in self.made else ""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a person should know of them, in the policy's order."""
        return tuple(dict.fromkeys(drawn.sentence for _, drawn in sorted(self.made.items())))

    def record(self, attempt: str) -> None:
        """Put the draws into the ledger that are not there; the caller holds the lock.

        Raises:
            InputError: when another attempt drew in the meantime, so that what was fresh may not be any more.
        """
        new = {drawn.key: drawn for drawn in self.made.values() if not drawn.kept}
        if new and _newest(self.workspace) != self.since:
            raise InputError("another attempt drew samples at the same time", hint="decide again")
        for drawn in new.values():
            self.workspace.ledger.append("draw", {
                "policy": self.policy.id, "policy_fingerprint": self.policy.fingerprint, "suite": drawn.suite,
                "key": drawn.key, "attempt": attempt, "reused": drawn.reused, "left": drawn.left,
                "items": list(drawn.items), "questions": sorted(drawn.questions), "opened": drawn.opened,
            })  # fmt: skip

    def _draw(self, section: PolicySuite, columns: Columns, limit: int | None, seed: int) -> Drawn:
        seen = seen_items(self.workspace)
        items = [item_of(digest) for digest in columns.content_hashes]
        asks = [item_of(digest) for digest in columns.question_hashes]
        able_all = marked(columns, section.deciding or 1.0)
        able = [place for place in able_all if not {items[place], asks[place]} & seen.shown]
        if not able:
            raise InputError(
                f"no sample of {section.suite} is left to decide: all {len(able_all)} that could were shown",
                hint="add samples to the suite, or a larger share under deciding:",
            )
        key = sha256_json([
            self.policy.id, self.policy.fingerprint, self.who, section.suite, seed, limit,
            sorted(items[place] for place in able_all),
        ])  # fmt: skip
        before = find_draw(self.workspace, key) if section.fresh else None
        if before is not None:
            body = before.body
            return Drawn(
                suite=section.suite, key=key, items=tuple(body["items"]), reused=body["reused"], left=body["left"],
                questions=frozenset(body.get("questions", ())), opened=body.get("opened", 0), kept=True, fresh=True,
            )  # fmt: skip
        opened = asked_before(self.workspace)
        used = {**opened, **seen.drawn}

        def when(place: int) -> int:
            return max(used.get(items[place], 0), used.get(asks[place], 0))

        if section.fresh:
            order = whole_units(columns, in_turn(columns, able, key=key, last_drawn=when), limit)
        else:
            order = chosen_among(columns, able, limit, seed)
        drawn = {items[place] for place in order}
        return Drawn(
            suite=section.suite, key=key, items=tuple(items[place] for place in order),
            questions=frozenset(asks[place] for place in order),
            reused=len({items[place] for place in order if when(place)}),
            left=len({items[place] for place in able if not when(place)} - drawn),
            kept=not section.fresh and drawn <= set(seen.drawn), fresh=bool(section.fresh),
            opened=len({items[place] for place in order if items[place] in opened or asks[place] in opened}),
        )  # fmt: skip


def _newest(workspace: Workspace) -> int:
    last = workspace.ledger.last("draw")
    return 0 if last is None else last.number
