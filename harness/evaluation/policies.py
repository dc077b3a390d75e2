"""Policies by name: those of the folder's harness.yaml, then those that plugins registered.

A policy's fingerprint holds every gate that it asks for, also those that stand in its suites' own files, so that a gate
cannot change under it unseen. What a policy said, and since when, is in the ledger: gates that were chosen after a
candidate's numbers were known can then be told from gates that were declared before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from harness.errors import InputError, unknown_name
from harness.evaluation.halves import choose_marked
from harness.evaluation.prepare import PreparedSuite, SuiteOptions, prepare_suite, resolve_suite
from harness.hashing import sha256_json
from harness.hookspecs import BUNDLED
from harness.reading.config import read_policy, without_unused
from harness.reading.strict import read_document
from harness.reading.suite import read_suite
from harness.serial import to_plain
from harness.types import Policy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from harness.contracts import RunContext
    from harness.evaluation.choosing import Choose
    from harness.plugins import Registries
    from harness.reading.config import Config
    from harness.reading.strict import Place
    from harness.store.workspace import Workspace
    from harness.types import AdapterSpec


def find_policy(name: str, config: Config, registries: Registries) -> Policy:
    """Return the policy; a folder's own one goes before a registered one of the same name.

    Raises:
        InputError: with the nearest known name, for a policy file that is wrong, or, with its place in the policy, for
            a suite that is not there.
    """
    if config.path is not None and name in config.policies:
        return _with_gates(config.policies[name], registries, config.path, ("policies", name))
    if name in registries.policies:
        path = registries.policies.get(name)
        return _with_gates(read_policy(path, name), registries, path, ())
    raise unknown_name("policy", name, _names(config, registries))


def default_policy(config: Config, registries: Registries) -> Policy:
    """Return the policy that harness.yaml names under `policy`.

    Raises:
        InputError: as `find_policy`; where no policy has that name, with the place in harness.yaml.
    """
    if config.path is None or config.policy in _names(config, registries):
        return find_policy(config.policy, config, registries)
    unknown = unknown_name("policy", config.policy, _names(config, registries))
    raise read_document(config.path).error(unknown.cause, ("policy",), hint=unknown.hint)


def _names(config: Config, registries: Registries) -> list[str]:
    """Return the names of all policies, the folder's own first."""
    return list(dict.fromkeys([*config.policies, *(entry.name for entry in registries.policies)]))


def _with_gates(policy: Policy, registries: Registries, path: Path, at: Place) -> Policy:
    """Return the policy with the fingerprint of all that it asks for; it stands in the file `path` at `at`."""
    gates = []
    for index, section in enumerate(policy.suites):
        try:
            suite = resolve_suite(section.suite, registries)
        except InputError as error:
            raise _at_suite(error, path, (*at, "suites", index)) from error
        gates.append(read_suite(suite, alpha=policy.alpha).gates if section.gates is None else section.gates)
    plain = without_unused([[to_plain(gate) for gate in of_suite] for of_suite in gates])
    content = [policy.fingerprint, plain]
    return replace(policy, fingerprint=sha256_json(content))


def _at_suite(error: InputError, path: Path, place: Place) -> InputError:
    """Say where the policy names the suite; a section may be the name alone, or a mapping with more."""
    document = read_document(path, what="policy")
    if document.has((*place, "suite")):
        place = (*place, "suite")
    cause = error.cause if error.file is None else f"{error.file}: {error.cause}"
    return document.error(cause, place, hint=error.hint)


def declare_all(workspace: Workspace, config: Config, registries: Registries) -> None:
    """Put every policy that could decide here into the ledger, before a run shows anybody a number.

    A policy that cannot be read is left out: nothing can be decided under it either.

    Raises:
        InputError: when another process writes in the workspace.
        BrokenRunError: when the ledger cannot be written.
    """
    declare(workspace, policies(config, registries))


def policies(config: Config, registries: Registries) -> Iterator[Policy]:
    """Yield the policies that could decide here, without those that cannot be read."""
    for name in _names(config, registries):
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


def schedule(policy: Policy) -> tuple[tuple[int | None, ...], ...]:
    """Return the limits of each look, one for every suite: a suite with one size keeps it at all looks."""
    looks = max((len(section.samples) for section in policy.suites), default=1) or 1
    return tuple(
        tuple(
            section.samples[min(look, len(section.samples) - 1)] if section.samples else section.limit
            for section in policy.suites
        )
        for look in range(looks)
    )


def as_written(config: Config, registries: Registries, drew: Collection[str] = ()) -> Iterator[Policy]:
    """Yield the policies as their files have them, those too whose suites or gates cannot be read.

    What they hide stays hidden while one of their other lines is wrong. One that ships hides nothing until the folder
    names it, or it drew samples.

    Args:
        config: the folder's.
        registries: with the policies that plugins bring.
        drew: names of those by which an attempt in the workspace drew samples.
    """
    yield from config.policies.values()
    used = {config.policy, *drew}
    for entry in registries.policies:
        if entry.name not in config.policies and (entry.owner not in BUNDLED or entry.name in used):
            try:
                yield read_policy(registries.policies.get(entry.name), entry.name)
            except InputError:
                continue


class Draws(Protocol):
    """Says which samples of a policy's suites decide, where it hides some."""

    def choose(self, index: int, limit: int | None, seed: int) -> Choose | None:
        """Return what picks the samples of the suite at `index`; None where all may be seen."""
        ...

    def note(self, index: int) -> str:
        """Return what people should know of the samples that were picked; empty where none were."""
        ...


def prepare_policy(
    policy: Policy, adapters: Sequence[AdapterSpec], registries: Registries, context: RunContext,
    limits: Sequence[int | None], draws: Draws | None = None,
) -> list[PreparedSuite]:  # fmt: skip
    """Return a policy's suites with its gates, each at its limit; raises as `prepare_suite`.

    `draws` says which samples decide where the policy hides some; without it as many take part as would decide.
    """
    prepared = []
    for index, (section, limit) in enumerate(zip(policy.suites, limits, strict=True)):
        marked = choose_marked(section, limit, context.seed)
        options = SuiteOptions(
            limit=limit, alpha=policy.alpha, gates=section.gates, constitution=section.constitution,
            adapters=adapters, admission=policy.admission,
            choose=marked if draws is None else draws.choose(index, limit, context.seed),
        )  # fmt: skip
        suite = prepare_suite(section.suite, registries, context, options)
        prepared.append(suite if draws is None else replace(suite, note=draws.note(index)))
    return prepared
