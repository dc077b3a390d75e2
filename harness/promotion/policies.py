"""Policies by name: those of the folder's harness.yaml, then those that plugins registered.

A policy's fingerprint holds every gate that it asks for, also those that stand in its suites' own files, so that a gate
cannot change under it unseen. What a policy said, and since when, is in the ledger: gates that were chosen after a
candidate's numbers were known can then be told from gates that were declared before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import InputError, unknown_name
from harness.evaluation.prepare import resolve_suite
from harness.hashing import sha256_json
from harness.reading.config import read_policy
from harness.reading.suite import read_suite
from harness.serial import to_plain
from harness.types import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.plugins import Registries
    from harness.reading.config import Config
    from harness.store.workspace import Workspace


def find_policy(name: str, config: Config, registries: Registries) -> Policy:
    """Return the policy; a folder's own one goes before a registered one of the same name.

    Raises:
        InputError: with the nearest known name, for a policy file that is wrong, or a suite that is not there.
    """
    if name in config.policies:
        return _with_gates(config.policies[name], registries)
    if name in registries.policies:
        return _with_gates(read_policy(registries.policies.get(name), name), registries)
    known = [*config.policies, *(entry.name for entry in registries.policies)]
    raise unknown_name("policy", name, known, file=config.path)


def _with_gates(policy: Policy, registries: Registries) -> Policy:
    """Return the policy with the fingerprint of all that it asks for."""
    gates = [
        read_suite(resolve_suite(section.suite, registries), alpha=policy.alpha).gates
        if section.gates is None
        else section.gates
        for section in policy.suites
    ]
    content = [policy.fingerprint, [[to_plain(gate) for gate in of_suite] for of_suite in gates]]
    return replace(policy, fingerprint=sha256_json(content))


def declare_all(workspace: Workspace, config: Config, registries: Registries) -> None:
    """Put every policy that could decide here into the ledger, before a run shows anybody a number.

    A policy that cannot be read is left out: nothing can be decided under it either.

    Raises:
        InputError: when another process writes in the workspace.
        BrokenRunError: when the ledger cannot be written.
    """
    declare(workspace, _readable(config, registries))


def _readable(config: Config, registries: Registries) -> Iterator[Policy]:
    for name in dict.fromkeys([*config.policies, *(entry.name for entry in registries.policies)]):
        try:
            yield find_policy(name, config, registries)
        except InputError:
            continue


def declare(workspace: Workspace, policies: Iterable[Policy]) -> None:
    """Put policies into the ledger, each version once; raises as `declare_all`."""
    new = [policy for policy in policies if declared(workspace, policy) is None]
    if not new:
        return
    with workspace.lock(), workspace.ledger.transaction() as ledger:
        for policy in new:
            if declared(workspace, policy) is None:
                body = {"policy": policy.id, "policy_fingerprint": policy.fingerprint, "content": to_plain(policy)}
                ledger.append("policy", body)


def declared(workspace: Workspace, policy: Policy) -> int | None:
    """Return the number of the ledger's row that declares this version of the policy, or None."""
    for entry in workspace.ledger.entries("policy"):
        if (entry.body.get("policy"), entry.body.get("policy_fingerprint")) == (policy.id, policy.fingerprint):
            return entry.number
    return None


def versions(workspace: Workspace, name: str) -> list[str]:
    """Return the fingerprints of the policy's versions that the ledger knows, the oldest first."""
    rows = workspace.ledger.entries("policy")
    return [str(entry.body["policy_fingerprint"]) for entry in rows if entry.body.get("policy") == name]
