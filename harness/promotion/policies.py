"""Policies by name: those of the folder's harness.yaml, then those that plugins registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import unknown_name
from harness.reading.config import read_policy

if TYPE_CHECKING:
    from harness.plugins import Registries
    from harness.reading.config import Config
    from harness.types import Policy


def find_policy(name: str, config: Config, registries: Registries) -> Policy:
    """Return the policy; a folder's own one goes before a registered one of the same name.

    Raises:
        InputError: with the nearest known name, or for a policy file that is wrong.
    """
    if name in config.policies:
        return config.policies[name]
    if name in registries.policies:
        return read_policy(registries.policies.get(name), name)
    known = [*config.policies, *(entry.name for entry in registries.policies)]
    raise unknown_name("policy", name, known, file=config.path)
