"""Bundled plugin: critics. Each judges a reply by a principle; see docs/critics.md for how well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness import hookimpl

if TYPE_CHECKING:
    from harness.api import Critic
    from harness.api.commands import Commands


def _judge(options: Mapping[str, Any]) -> Critic:
    from harness_critics.judge import JudgeCritic

    return JudgeCritic(options)


def _toxicity(options: Mapping[str, Any]) -> Critic:
    from harness_critics.toxicity import ToxicityCritic

    return ToxicityCritic(options)


def _pii(options: Mapping[str, Any]) -> Critic:
    from harness_critics.pii import PIICritic

    return PIICritic(options)


def _rules(options: Mapping[str, Any]) -> Critic:
    from harness_critics.rules import RulesCritic

    return RulesCritic(options)


@hookimpl
def register_critics(register: Callable[..., None]) -> None:
    """Register the bundled critics."""
    register("judge", _judge, about="A model's P(Yes) against P(No), asked both ways")
    register("toxicity", _toxicity, about="One minus a classifier's probability that the reply is toxic")
    register("pii", _pii, about="Identifiers in the reply that the user did not write")
    register("rules", _rules, about="Regular expressions the reply must, or must not, match")


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add `harness critic`."""
    cli.add_late(
        "critic", "harness_critics.command:critic", section="evaluate",
        about="Count how often critics are right on labelled replies, and show what was counted.",
    )  # fmt: skip
