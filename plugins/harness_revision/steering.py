"""Which principles steer a revision: those whose critics are known to be right often enough; the others inform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import Admission
from harness.api.asking import roles_of
from harness.api.calibrations import admission_problem, labeller_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from harness.api import CriticCalibration, Principle
    from harness_revision.asking import Asker


SPARED = 0.05
"""Share of the labelled replies that follow a principle which may score below what is revised. A critic that holds a
gate may mind a third of them, since its errors can be corrected there; here each costs a good reply its meaning."""


@dataclass(frozen=True, kw_only=True)
class Steering:
    """Who decides which replies are revised, and which revisions are taken."""

    steers: Mapping[str, str]
    """Why, by principle."""
    below: Mapping[str, float]
    """The score below which a reply is revised, by principle that steers."""
    informs: Mapping[str, str]
    """Why it does not steer, by principle."""


def steering(
    asker: Asker, principles: Sequence[Principle], calibrations: Sequence[CriticCalibration],
    named: Collection[str] | None = (),
) -> Steering:  # fmt: skip
    """Tell which principles steer: those that are named, that code judges, or whose critics are admitted.

    A critic that asks no model and no classifier does what it says, and nobody need count how often it is right.

    Args:
        asker: whose critics judge.
        principles: by which they judge.
        calibrations: that the workspace keeps.
        named: those that a person wants to steer whatever is known of their critics; None: all.
    """
    fingerprints = asker.panel.fingerprints(asker.asking)
    newest = {one.labeller: one for one in sorted(calibrations, key=lambda one: one.created)}
    steers: dict[str, str] = {}
    informs: dict[str, str] = {}
    below: dict[str, float] = {}
    for principle in principles:
        below[principle.id] = principle.threshold
        critics = [asker.panel.critics[name] for name in principle.critics if name in asker.panel.critics]
        found = newest.get(labeller_of(principle, fingerprints))
        if critics and not any(roles_of(critic) or critic.classifiers for critic in critics):
            steers[principle.id] = "code judges it"
            continue
        if found is None:
            problem = "never calibrated here"
        else:
            problem = admission_problem(found.sensitivity, found.specificity, Admission())
        if found is not None and not problem:
            below[principle.id] = revised_below(found)
            steers[principle.id] = f"admitted; what scores below {below[principle.id]:.2f} is revised"
        elif named is None or principle.id in named:
            steers[principle.id] = f"told to, though its critics are not admitted: {problem}"
        else:
            informs[principle.id] = problem
    return Steering(steers=steers, below={name: below[name] for name in steers}, informs=informs)


def revised_below(found: CriticCalibration) -> float:
    """Return the score below which a reply is revised: the threshold, or less where too many good replies are below.

    At most a share `SPARED` of the labelled replies that follow the principle scored below it.
    """
    follows = sorted(one.score for one in found.replies if one.follows and one.score is not None)
    if not follows:
        return found.threshold
    return min(found.threshold, follows[int(SPARED * len(follows))])
