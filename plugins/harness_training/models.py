"""What a stage asks: the model with the adapter as it stands, other roles, and the constitution's critics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from harness.api import Candidate, Generate, InputError, Program, Replies, Reply, Response, Verdict, ask
from harness.api.asking import (
    Asking,
    Cache,
    ModelPool,
    Panel,
    guarded,
    in_order,
    learned_from,
    make_panel,
    resolve_roles,
    run_all,
)

if TYPE_CHECKING:
    from harness.api import Constitution, Stage
    from harness_training.recipe import Recipe
    from harness_training.runner import TrainSetting

T = TypeVar("T")


@dataclass(frozen=True)
class Models:
    """Asks models for a stage. Nothing is loaded before it is asked; `close` frees all.

    Args:
        name: of the stage.
        stage: which says whom it asks.
        recipe: which binds roles; the settings do where it does not.
        policy: the model with the adapter as it stands.
        constitution: whose critics judge.
        setting: where it happens.
    """

    name: str
    stage: Stage
    recipe: Recipe
    policy: Candidate
    constitution: Constitution | None
    setting: TrainSetting

    def ask(self, programs: Iterable[Program[T]]) -> list[T]:
        """Run programs side by side, and return their results in order.

        Raises:
            PluginError: when a program breaks its contract, or asks a role that the stage does not name.
        """
        what, roles = f"the stage {self.name!r}", ("policy", *self._roles)

        def one(program: Program[T]) -> Program[T]:
            return guarded(lambda: program, what, self.stage, roles=roles)

        return run_all((one(program) for program in programs), self._asking.answer)

    def verdicts(self, responses: Sequence[Response]) -> list[tuple[Verdict, ...]]:
        """Judge responses by the constitution's critics.

        Raises:
            InputError: where the recipe names no constitution, or the critics ask a role that the stage does not name.
        """
        missing = set(self._panel.roles) - set(self._roles)
        if missing:
            raise InputError(
                f"the critics ask roles that the stage {self.name} does not name: {', '.join(sorted(missing))}",
                file=self.recipe.path, key="constitution", hint="add them to the stage's `roles`",
            )  # fmt: skip
        return self._panel.verdicts(responses, self._asking)

    def candidate(self, role: str) -> Candidate:
        """Return who plays a role."""
        return self._asking.roles.candidate(role)

    def generate(self, requests: tuple[Generate, ...]) -> tuple[Reply, ...]:
        """Ask the model with the adapter as it stands."""

        def program() -> Program[Replies]:
            return (yield ask("policy", *requests))

        return self.ask([program()])[0] if requests else ()

    def fingerprints(self) -> dict[str, str]:
        """Return the SHA-256 of all that decides the replies of each role that is asked, loading nothing."""
        if not self.stage.roles:
            return {}
        try:
            return {f"role {role}": self._asking.fingerprint([role]) or "" for role in self._roles}
        finally:
            self.close()

    def judged_by(self) -> dict[str, str]:
        """Return what the stage's critics and judges are made of, for the record of what it makes.

        `whole critic NAME` is a critic's fingerprint with its classifiers and whoever it asks, as runs have it; `family
        of ROLE` and `data of ROLE` say which labelled data a role's adapters were trained on.
        """
        if not self.stage.roles:
            return {}
        try:
            asking = self._asking
            judges = self.constitution is not None and set(self._panel.roles) <= set(self._roles)
            found = self._panel.fingerprints(asking) if judges else {}
            played = {role: asking.roles.candidate(role) for role in self._roles if role != "policy"}
            return {f"whole critic {name}": value for name, value in found.items()} | {
                f"{what} of {role}": value for role, who in played.items() for what, value in learned_from(who)
            }
        finally:
            self.close()

    @property
    def _roles(self) -> tuple[str, ...]:
        """Whom the stage asks: the roles that it names, and where `judge` is one of them, whomever the critics ask."""
        named = self.stage.roles
        judges = "judge" in named and self.constitution is not None
        return (
            tuple(dict.fromkeys((*named, *(role for role in self._panel.roles if role != "policy"))))
            if judges
            else named
        )

    def close(self) -> None:
        """Free what was loaded; it is loaded again when something is asked."""
        self._open.close()
        for name in ("_asking", "_panel"):
            self.__dict__.pop(name, None)

    @cached_property
    def _open(self) -> ExitStack:
        return ExitStack()

    @cached_property
    def _asking(self) -> Asking:
        setting = self.setting
        registries, refs = setting.plugins.registries, in_order(setting.roles, self.recipe.roles)
        roles = resolve_roles(self._roles, refs, self.policy, registries=registries, workspace=setting.workspace)
        cache = Cache(setting.workspace.cache_path)
        self._open.callback(cache.close)
        pool = self._open.enter_context(ModelPool(registries, setting.context, cache, setting.progress))
        return Asking(roles=roles, pool=pool, label=f"{self.name} asks")

    @cached_property
    def _panel(self) -> Panel:
        if self.constitution is None:
            raise InputError(
                f"the stage {self.name} asks critics, and the recipe names no constitution", file=self.recipe.path,
                key="constitution", hint="add constitution: NAME",
            )  # fmt: skip
        panel = make_panel(self.constitution.principles, self.setting.plugins.registries, self.setting.context)
        self._open.callback(panel.close)
        return panel
