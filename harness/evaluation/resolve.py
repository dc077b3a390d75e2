"""From what a person wrote to candidates: base, adapters, `promoted` and `base`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.references import resolve_model
from harness.store.adapters import check_adapter, promoted, resolve_adapters
from harness.store.promoted import first_promoted
from harness.types import Candidate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.evaluation.prepare import PreparedSuite
    from harness.plugins import Registries
    from harness.store.workspace import Workspace
    from harness.types import ModelSpec


def resolve_base(reference: str, registries: Registries, *, dtype: str = "auto", device: str = "auto") -> ModelSpec:
    """Return the base behind a reference.

    Raises:
        InputError: when nothing answers to it.
    """
    schemes = [entry.name for entry in registries.models]
    return resolve_model(reference, dtype=dtype, device=device, schemes=schemes)


def resolve_candidate(
    model: ModelSpec,
    adapters: Sequence[str],
    workspace: Workspace,
    *,
    system: str | None = None,
    template: str = "auto",
) -> Candidate:
    """Return the candidate that a base and adapter references make.

    Raises:
        InputError: when an adapter is not there or is not whole.
    """
    return Candidate(model=model, adapters=resolve_adapters(adapters, workspace), system=system, template=template)


def resolve_baseline(reference: str, candidate: Candidate, workspace: Workspace) -> Candidate:
    """Return what a comparison compares with.

    Args:
        reference: `promoted` or `first_promoted` (the bare base while nothing was), `base`, or an adapter on the
            candidate's base.
        candidate: whose base it is; its system prompt and template hold for adapters, and never for the bare base.
        workspace: that knows what is promoted.

    Raises:
        InputError: when there is no such adapter.
    """
    bare = Candidate(model=candidate.model)
    if reference == "base":
        return bare
    if reference in {"promoted", "first_promoted"}:
        now = promoted(workspace) if reference == "promoted" else first_promoted(workspace)
        for spec in () if now is None else now.adapters:
            check_adapter(spec)  # its id keys the replies, so that the files must be what it names
        return now or bare
    return replace(candidate, adapters=resolve_adapters([reference], workspace))


def resolve_arms(
    prepared: Iterable[PreparedSuite], baseline: str | None, candidate: Candidate, workspace: Workspace
) -> dict[str, Candidate]:
    """Return what the gates of suites compare with, by the names that they give it, in the order of these names.

    Args:
        prepared: the suites.
        baseline: stands for `promoted` where it is given, which is then there whether a gate asks for it or not.
        candidate: as for `resolve_baseline`.
        workspace: as for `resolve_baseline`.

    Raises:
        InputError: when there is no such adapter; where a suite's file names it, with the place there.
    """
    arms = {} if baseline is None else {"promoted": resolve_baseline(baseline, candidate, workspace)}
    for suite in prepared:
        for index, gate in zip(suite.gate_origins, suite.gates, strict=True):
            for name in gate.arms:
                if name not in arms:
                    try:
                        arms[name] = resolve_baseline(name, candidate, workspace)
                    except InputError as error:
                        raise _at_gate(error, suite, index) from error
    return dict(sorted(arms.items()))


def _at_gate(error: InputError, suite: PreparedSuite, index: int) -> InputError:
    """Say where the gate stands; a policy's gates stand elsewhere, and nobody here knows where."""
    if not suite.own_gates:
        return error
    path, document = suite.suite.path, suite.suite.document
    cause = error.cause if error.file is None else f"{error.file}: {error.cause}"
    return InputError(
        cause, file=path, line=document.line(("gates", index)), key=f"gates[{index}]", hint=error.hint
    )  # fmt: skip
