"""Roles: who is asked besides the candidate, and asking them by the name of the role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.evaluation.resolve import resolve_base
from harness.evaluation.tools import BEGIN as TOOLS
from harness.hashing import sha256_json
from harness.store.adapters import resolve_adapters
from harness.types import BoundRole, Candidate, Generate, LogLikelihood, Message, RoleRef
from harness.weights import is_present
from harness.weights.bundled import shipped_dtype, shipped_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.contracts import Progress
    from harness.evaluation.pool import ModelPool
    from harness.plugins import Registries
    from harness.store.workspace import Workspace
    from harness.types import Reply, Request

_ON_THE_BASE = frozenset({"judge", "reviser", "user"})
"""Roles that the candidate's bare base plays where nobody else is bound and nothing that ships plays them."""
_JUDGING = ("judge", "reward")


def with_system(request: Request, system: str | None) -> Request:
    """Put a system prompt in front of a request's messages, where they have none of their own."""
    if system is None or not isinstance(request, Generate | LogLikelihood):
        return request
    if request.messages and request.messages[0].role == "system":
        own = request.messages[0]
        if not own.content.startswith(TOOLS):
            return request
        joined = Message(role="system", content=f"{system}\n\n{own.content}")  # tools leave room for a candidate's own
        return replace(request, messages=(joined, *request.messages[1:]))
    return replace(request, messages=(Message(role="system", content=system), *request.messages))


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Who plays which role."""

    policy: Candidate
    others: Mapping[str, BoundRole]

    def candidate(self, role: str) -> Candidate:
        """Return who plays a role.

        Raises:
            InputError: when nobody does.
        """
        if role == "policy":
            return self.policy
        if role not in self.others:
            raise InputError(
                f"nobody plays the role {role}", hint=f"name a model: --role {role}=MODEL, or roles: in harness.yaml"
            )
        return self.others[role].candidate

    def of(self, arm: Candidate) -> Roles:
        """Return the same roles around another policy.

        Raises:
            InputError: when an adapter would judge itself.
        """
        own = {adapter.id: adapter for adapter in arm.adapters}
        for role in _JUDGING:
            bound = self.others.get(role)
            for adapter in () if bound is None else bound.candidate.adapters:
                if adapter.id in own:
                    raise InputError(
                        f"the {role} carries the adapter {adapter.name}, which it is to judge in {arm.label}: no"
                        " adapter judges itself",
                        hint=f"bind the role to another: --role {role}=MODEL",
                    )
        return replace(self, policy=arm)

    def notes(self) -> tuple[str, ...]:
        """Return what a reader must know of them."""
        mine, notes = self.policy.model, []
        for role, bound in self.others.items():
            base = bound.candidate.model
            same = (base.scheme, base.name, base.revision, base.endpoint) == (
                mine.scheme, mine.name, mine.revision, mine.endpoint,
            )  # fmt: skip
            if same and not bound.candidate.adapters:
                notes.append(f"the {role} is the bare base of the candidate ({bound.candidate.label})")
                better = shipped_for(role)
                if better is not None and bound.by == "default":
                    notes[-1] += (
                        f": `harness models pull {better[0]}` brings what {better[1]} needs, which then plays it"
                    )
        return tuple(notes)


def in_order(given: Mapping[str, RoleRef], own: Mapping[str, RoleRef]) -> dict[str, RoleRef]:
    """Return who is bound: by the command line, else by the suite or recipe itself, else by the settings.

    Args:
        given: by command line and settings.
        own: by the suite or recipe.
    """
    defaults = {role: ref for role, ref in given.items() if ref.default}
    return {**defaults, **own, **{role: ref for role, ref in given.items() if not ref.default}}


def resolve_roles(
    names: Iterable[str], refs: Mapping[str, RoleRef], policy: Candidate, *, registries: Registries,
    workspace: Workspace | None,
) -> Roles:  # fmt: skip
    """Return who plays the roles of those names.

    Where nobody is bound, an adapter that ships for a role plays it on its own small base; else the candidate's bare
    base plays some of them.

    Args:
        names: of the roles that will be asked.
        refs: what was bound, by role.
        policy: the candidate.
        registries: where schemes come from.
        workspace: where adapters' ids are looked up.

    Raises:
        InputError: when nothing answers to a reference, nobody plays a role, or an adapter would judge itself.
    """
    asked = tuple(dict.fromkeys(names))
    others: dict[str, BoundRole] = {}
    for name in (*asked, *(name for name, ref in refs.items() if not ref.default and name not in asked)):
        if name == "policy":
            continue
        if name in refs:
            others[name] = _bound(refs[name], policy, registries, workspace)
        elif (shipped := _shipped(name)) is not None:
            others[name] = _bound(shipped, policy, registries, workspace, dtype=_dtype(name))
        elif name in _ON_THE_BASE:
            others[name] = BoundRole(candidate=Candidate(model=policy.model), by="default")
        else:
            Roles(policy=policy, others=others).candidate(name)  # says what to do
    # What nobody asks is looked up all the same: a misspelt name should not pass unseen.
    return Roles(policy=policy, others={name: others[name] for name in asked if name != "policy"}).of(policy)


def _shipped(role: str) -> RoleRef | None:
    """Return the adapter that ships for a role; of the judge's, only where its base is in the store."""
    player = shipped_for(role)
    if player is None or (role == "judge" and not is_present(player[0])):
        return None
    return RoleRef(model=player[0], adapters=(player[1],), by="default", default=True)


def _dtype(role: str) -> str:
    """Return in which format a shipped adapter's base computes: a writer keeps the usual one, in which it was tried."""
    return "auto" if role == "reviser" else shipped_dtype()


def _bound(
    ref: RoleRef, policy: Candidate, registries: Registries, workspace: Workspace | None, *, dtype: str = "auto"
) -> BoundRole:  # fmt: skip
    base = policy.model
    if ref.model is not None:
        dtype = base.dtype if base.dtype != "auto" else dtype
        base = resolve_base(ref.model, registries, dtype=dtype, device=base.device)
    adapters = resolve_adapters(ref.adapters, workspace)
    return BoundRole(candidate=Candidate(model=base, adapters=adapters, system=ref.system), by=ref.by)


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Asks models by role: what programs are run with."""

    roles: Roles
    pool: ModelPool
    label: str = "ask"
    """What the bars say."""
    progress: Progress | None = None
    """Where they are drawn; None is the pool's."""

    def answer(self, role: str, requests: Sequence[Request]) -> list[Reply]:
        """Ask a role distinct requests; replies in order. Adapters on one base are switched, nothing is loaded twice.

        Raises:
            InputError: when nobody plays the role, or who does cannot be loaded.
            BrokenRunError: when a request was left without a reply.
        """
        candidate = self.roles.candidate(role)
        asked = [with_system(request, candidate.system) for request in requests] if role != "policy" else requests
        core = self.pool.core(candidate.model)
        return core.answer(candidate, asked, label=self.label, progress=self.progress)

    def fingerprint(self, roles: Sequence[str]) -> str | None:
        """Return the SHA-256 of all that decides the replies of some roles, without loading a model; None for none."""
        found = {role: self.pool.fingerprint(self.roles.candidate(role)) for role in roles if role != "policy"}
        return found["judge"] if list(found) == ["judge"] else sha256_json(found) if found else None
