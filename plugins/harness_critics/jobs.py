"""The jobs `session.judge` and `session.calibrations`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.api import Completion, Message, Response, RunOptions, Sample
from harness.api.asking import make_panel
from harness.api.calibrations import calibrations as kept
from harness.api.workspace import Constitutions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import CriticCalibration, Session, Verdict


def judge(
    session: Session, replies: Sequence[tuple[str | Sequence[Message], str]], constitution: str, **options: Any  # noqa: ANN401
) -> list[tuple[Verdict, ...]]:  # fmt: skip
    """Judge replies by every principle of a constitution; returns the verdicts of each, one for each critic.

    Args:
        session: where.
        replies: (prompt or conversation, reply).
        constitution: a registered constitution or principle, or the path of a YAML file.
        options: `judge` and `roles`, as for `run`.

    Raises:
        InputError: for names that nothing answers to.
    """
    registries = session.require_plugins().registries
    rules = Constitutions(registries, session.options.folder).record(constitution)
    responses = [
        Response(
            sample=Sample(
                id=str(number),
                messages=(Message(role="user", content=asked),) if isinstance(asked, str) else tuple(asked),
            ),
            completion=Completion(text=reply, prompt_tokens=None, completion_tokens=None, finish="stop"),
        )
        for number, (asked, reply) in enumerate(replies)
    ]
    panel = make_panel(rules.principles, registries, session.context)
    try:
        with session.judging(RunOptions.of(**options)) as asking:
            return panel.verdicts(responses, asking(panel))
    finally:
        panel.close()


def calibrations(session: Session, principle: str | None = None) -> list[CriticCalibration]:
    """Return the critics' calibrations that are kept, of one principle or all, the oldest first."""
    return kept(session.workspace, principle)
