"""Roles as people write them: who besides the candidate is asked, in a file's `roles` or on the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from harness.errors import InputError, unknown_name
from harness.reading.strict import StrictModel
from harness.types import ROLES, RoleRef

BOUND = tuple(role for role in ROLES if role != "policy")
"""What can be bound: the policy is the candidate itself."""
_ADAPTER = re.compile(r"(?:^|,)adapter=")


class RoleSection(StrictModel):
    """One role: a model, adapters on it, and a system prompt."""

    model: Annotated[str, Field(min_length=1)] | None = None
    adapter: str | list[str] = []
    system: str | None = None

    @model_validator(mode="after")
    def _somebody(self) -> RoleSection:
        if self.model is None and not self.adapter:
            raise ValueError("name a `model`, an `adapter`, or both")
        return self


def _known(sections: dict[str, str | RoleSection]) -> dict[str, str | RoleSection]:
    for role in sections:
        if role not in BOUND:
            error = unknown_name("role", role, BOUND)
            raise ValueError(f"{error.cause}; {error.hint}")
    return sections


RolesSection = Annotated[dict[str, Annotated[str, Field(min_length=1)] | RoleSection], AfterValidator(_known)]
"""Roles by name; a text is a model's reference."""


def role_refs(
    sections: Mapping[str, str | RoleSection], *, by: str, folder: Path | None = None, default: bool = False
) -> dict[str, RoleRef]:
    """Return what a file binds.

    Args:
        sections: by role.
        by: who binds it.
        folder: what adapters' paths that begin with a dot are relative to; None is the current one.
        default: see `RoleRef`.
    """
    found = {}
    for role, section in sections.items():
        one = RoleSection(model=section) if isinstance(section, str) else section
        adapters = (one.adapter,) if isinstance(one.adapter, str) else tuple(one.adapter)
        found[role] = RoleRef(
            model=one.model, adapters=tuple(_beside(adapter, folder) for adapter in adapters), system=one.system,
            by=by, default=default,
        )  # fmt: skip
    return found


def _beside(reference: str, folder: Path | None) -> str:
    relative = folder is not None and reference.startswith(("./", "../"))
    return str((folder / reference).resolve()) if relative and folder is not None else reference


def role_ref(reference: str, *, by: str) -> RoleRef:
    """Return what the command line binds: a model, `MODEL,adapter=REF`, or `adapter=REF` on the candidate's base.

    Raises:
        InputError: when it names no adapter behind `adapter=`.
    """
    model, *adapters = _ADAPTER.split(reference)
    if not all(adapters):
        raise InputError(f"{reference!r} names no adapter", key=by, hint="write MODEL,adapter=REF or adapter=REF")
    return RoleRef(model=None if adapters and not model else model, adapters=tuple(adapters), by=by)


def roles_of_options(judge: str | None, options: Sequence[str]) -> dict[str, RoleRef]:
    """Return what `--judge REF` and `--role ROLE=REF` bind.

    Raises:
        InputError: for an unknown role, or one that is bound twice.
    """
    found = {} if judge is None else {"judge": role_ref(judge, by="--judge")}
    for option in options:
        role, equals, reference = option.partition("=")
        if not equals:
            raise InputError(f"{option!r} binds nothing", key="--role", hint="write it as --role judge=MODEL")
        if role not in BOUND:
            raise unknown_name("role", role, BOUND, key="--role")
        if role in found:
            raise InputError(f"the role {role} is bound twice", key="--role", hint="keep one")
        found[role] = role_ref(reference, by=f"--role {role}")
    return found
