"""What a command of a plugin asks models with, as a training stage does: programs by role, and critics."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from harness.api import RunOptions
from harness.api.asking import PanelOptions, guarded, make_panel, run_all
from harness.api.workspace import read_suite, resolve_suite

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from harness.api import Candidate, Principle, Program, Response, Session, StageModels, Verdict
    from harness.api.asking import Asking, Panel
    from harness.api.workspace import Registries

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


@contextmanager
def models(
    session: Session, principles: Sequence[Principle], *, roles: Sequence[str] = (), policy: Candidate | None = None,
    options: RunOptions | None = None, suite: str | None = None,
) -> Iterator[StageModels]:  # fmt: skip
    """Give what a training stage is given to ask with, for the length of a `with` block.

    Args:
        session: where.
        principles: by whose critics replies are judged.
        roles: whom programs ask besides `policy` and those whom the critics ask.
        policy: the candidate; None is the bare base of harness.yaml.
        options: `judge` and `roles` bind roles.
        suite: a name or a file, whose options of critics and classifiers hold.

    Raises:
        InputError: for critics and classifiers that cannot run.
    """
    registries = session.require_plugins().registries
    panel = make_panel(principles, registries, session.context, panel_options(suite, registries) if suite else None)
    try:
        with session.judging(options or RunOptions(), policy) as asking:
            yield Asker(panel=panel, asking=asking(replace(panel, also=tuple(roles))))
    finally:
        panel.close()


def panel_options(suite: str, registries: Registries) -> PanelOptions:
    """Return what a suite says of critics and classifiers."""
    found = read_suite(resolve_suite(suite, registries))
    given = {name: section.options for name, section in found.classifiers.items()}
    return PanelOptions(critics=found.critics, classifiers=given)
