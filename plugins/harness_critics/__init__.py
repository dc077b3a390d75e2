"""Bundled plugin: critics. Each judges a reply by a principle; see docs/critics.md for how well."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness import hookimpl, late

if TYPE_CHECKING:
    from harness.api import Critic, CriticCalibration, Session
    from harness.api.commands import Commands


_CRITICS = {
    "judge": ("judge:JudgeCritic", "A model's P(Yes) against P(No), asked both ways"),
    "judge-text": ("judge_text:JudgeTextCritic", "A model's written reasons and its mark from 1 to 5"),
    "panel": ("panel:PanelCritic", "Several critics together, and whether they agree"),
    "classifier": ("classifier:ClassifierCritic", "Which labels of any classifier break the principle"),
    "toxicity": ("toxicity:ToxicityCritic", "One minus a classifier's probability that the reply is toxic"),
    "pii": ("pii:PIICritic", "Identifiers in the reply that the user did not write"),
    "tone": ("tone:ToneCritic", "Whether a reply would do between colleagues: insults, crude words, shouting"),
    "grounding": ("grounding:GroundingCritic", "Whether a corpus or the given context bears out what is claimed"),
    "relevance": ("relevance:RelevanceCritic", "Whether the answer uses what a corpus or the given context knows"),
    "consistency": ("consistency:ConsistencyCritic", "Whether the model answers the same when asked in other words"),
    "rules": ("rules:RulesCritic", "Regular expressions the reply must, or must not, match"),
    "verifier": ("verifier:VerifierCritic", "A check in code: a plugin's function, or a short expression"),
}


def _maker(where: str) -> Callable[[Mapping[str, Any]], Critic]:
    module, name = where.split(":")

    def make(options: Mapping[str, Any]) -> Critic:
        made: Critic = getattr(import_module(f"harness_critics.{module}"), name)(options)
        return made

    return make


@hookimpl
def register_critics(register: Callable[..., None]) -> None:
    """Register the bundled critics; each is imported when it is first made."""
    for name, (where, about) in _CRITICS.items():
        register(name, _maker(where), about=about)


def _calibrate(session: Session, critics: Sequence[str] = (), **options: Any) -> list[CriticCalibration]:  # noqa: ANN401
    """Judge labelled replies by critics, and keep how often they are right.

    Args:
        session: where.
        critics: that judge together; none stands for the principle's own.
        options: fields of `harness_critics.calibrating.CalibrationOptions`, and `judge` and `roles` as for `run`.

    Returns:
        One calibration for each principle.

    Raises:
        InputError: for names that nothing answers to, and data that are not what they should be.
    """
    from harness_critics.calibrating import CalibrationOptions, calibrate

    asked = {name: options.pop(name) for name in ("judge", "roles") if name in options}
    chosen = CalibrationOptions(critics=(critics,) if isinstance(critics, str) else tuple(critics), **options)
    return calibrate(session, chosen, **asked)


@hookimpl
def register_jobs(register: Callable[..., None]) -> None:
    """Register `session.calibrate`, `session.calibrations` and `session.judge`."""
    register("calibrations", late("harness_critics.jobs:calibrations"), about="The critics' calibrations that are kept")
    register("judge", late("harness_critics.jobs:judge"), about="Judge replies by the principles of a constitution")
    register("calibrate", _calibrate, about="Count how often critics are right on labelled replies")


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add `harness critic`."""
    cli.add_late(
        "critic", "harness_critics.command:critic", section="evaluate",
        about="Count how often critics are right on labelled replies, and show what was counted.",
    )  # fmt: skip
