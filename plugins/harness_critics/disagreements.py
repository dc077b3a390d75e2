"""Where the critics of a stored run part: those that a principle names side by side, and the members of a panel."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.api import Principle, SampleRecord, Verdict

_PANEL = re.compile(r"^(?:agree|disagree) \d\.\d\d: (.+?)(?:;|$)")
_MEMBER = re.compile(r"([\w-]+) (\d\.\d\d)")


@dataclass(frozen=True, kw_only=True)
class Parted:
    """One reply on which critics part."""

    sample: str
    completion: int
    principle: str
    scores: Mapping[str, float]
    """By critic."""


@dataclass(frozen=True, kw_only=True)
class Disagreements:
    """What critics part on, and how often each two of them agree."""

    parted: tuple[Parted, ...]
    """Those with the widest gap first."""
    judged: int
    """Replies that two critics or more have scored by one principle."""
    agreement: Mapping[tuple[str, str], tuple[int, int]]
    """(agreed, both scored) of each two."""


def disagreements(records: Iterable[SampleRecord], principles: Mapping[str, Principle]) -> Disagreements:
    """Return where critics put a reply on different sides of the principle's threshold.

    Args:
        records: of a run.
        principles: that judged it, by id.
    """
    parted: list[Parted] = []
    judged = 0
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for record in records:
        for (principle, completion), scores in _scores(record.verdicts):
            if len(scores) < 2 or principle not in principles:
                continue
            judged += 1
            threshold = principles[principle].threshold
            through = {critic: score >= threshold for critic, score in scores.items()}
            for first, second in _pairs(sorted(scores)):
                agreed, both = counts.get((first, second), (0, 0))
                counts[first, second] = (agreed + (through[first] is through[second]), both + 1)
            if len(set(through.values())) > 1:
                parted.append(
                    Parted(sample=record.sample.id, completion=completion, principle=principle, scores=scores)
                )
    parted.sort(key=lambda one: (min(one.scores.values()) - max(one.scores.values()), one.sample, one.completion))
    return Disagreements(parted=tuple(parted), judged=judged, agreement=counts)


def _pairs(names: list[str]) -> Iterator[tuple[str, str]]:
    return ((first, second) for place, first in enumerate(names) for second in names[place + 1 :])


def _scores(verdicts: Iterable[Verdict]) -> Iterator[tuple[tuple[str, int], dict[str, float]]]:
    """Yield each principle and reply with the scores that critics gave; a panel's members stand beside the others."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    for verdict in verdicts:
        own = found.setdefault((verdict.principle, verdict.completion), {})
        panel = _PANEL.match(verdict.rationale) if verdict.critic == "panel" else None
        if panel is not None:
            own.update({name: float(score) for name, score in _MEMBER.findall(panel[1])})
        elif isinstance(verdict.score, float | int):
            own[verdict.critic] = float(verdict.score)
    yield from found.items()
