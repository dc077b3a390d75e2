"""What a command of a plugin asks models with, as a training stage does: programs by role, and critics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from harness.engine.programs import guarded, run_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.evaluation.panel import Panel
    from harness.evaluation.roles import Asking
    from harness.types import Candidate, Program, Response, Verdict

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Asker:
    """See `StageModels`."""

    panel: Panel
    asking: Asking

    def ask(self, programs: Iterable[Program[T]]) -> list[T]:
        """Run programs side by side, and return their results in order.

        Raises:
            PluginError: when a program breaks its contract, or asks a role that nobody was bound to.
        """
        roles = ("policy", *self.asking.roles.others)

        def one(program: Program[T]) -> Program[T]:
            return guarded(lambda: program, "a program", program, roles=roles)

        return run_all((one(program) for program in programs), self.asking.answer)

    def verdicts(self, responses: Sequence[Response]) -> list[tuple[Verdict, ...]]:
        """Judge responses by the principles' critics; returns each one's verdicts."""
        return self.panel.verdicts(responses, self.asking)

    def candidate(self, role: str) -> Candidate:
        """Return who plays a role."""
        return self.asking.roles.candidate(role)
