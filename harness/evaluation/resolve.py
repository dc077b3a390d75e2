"""From what a person wrote to candidates: base, adapters, `promoted` and `base`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.references import resolve_model
from harness.store.adapters import PROMOTED, check_adapter, promoted, resolve_adapters
from harness.store.promoted import first_promoted
from harness.types import Candidate, ModelSpec
from harness.weights.catalog import catalog
from harness.weights.lora import CONFIG_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.evaluation.prepare import PreparedSuite
    from harness.plugins import Registries
    from harness.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Around:
    """Where what a candidate is compared with is looked up."""

    workspace: Workspace
    registries: Registries
    base: ModelSpec | None = None
    """What `base` means; None is the candidate's own base. A full fine-tune is compared with another."""

    def bare(self, candidate: Candidate) -> Candidate:
        """Return the bare base that the candidate is compared with."""
        return Candidate(model=self.base or candidate.model)


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
        InputError: when an adapter is not there or is not whole, or `promoted` names adapters on another base.
    """
    now = promoted(workspace) if PROMOTED in adapters else None
    if now is not None and _bytes_of(now.model) != _bytes_of(model):
        raise InputError(
            f"what is promoted stands on {now.model.reference}, and not on {model.reference}",
            hint="name it whole, with --model promoted",
        )
    if now is not None and not now.adapters:
        raise InputError(f"what is promoted, {now.label}, has no adapters", hint="name it whole, with --model promoted")
    return Candidate(model=model, adapters=resolve_adapters(adapters, workspace), system=system, template=template)


def _bytes_of(model: ModelSpec) -> tuple[str | None, ...]:
    return (model.scheme, model.name, model.revision, model.endpoint)


def promoted_candidate(workspace: Workspace) -> Candidate:
    """Return the whole of what is promoted: model, adapters, system prompt and template.

    Raises:
        InputError: while that is the bare base.
    """
    now = promoted(workspace)
    if now is None:
        raise InputError("nothing is promoted: what counts as promoted is the bare base", hint="name a model")
    for spec in now.adapters:
        check_adapter(spec)
    return now


def resolve_baseline(reference: str, candidate: Candidate, around: Around) -> Candidate:
    """Return what a comparison compares with.

    Args:
        reference: `promoted` or `first_promoted` (the bare base while nothing was), `base`, a model, or an adapter on
            the candidate's base.
        candidate: whose base it is; its system prompt and template hold for adapters, and never for the bare base.
        around: what knows what is promoted, and what `base` means.

    Raises:
        InputError: when there is no such model or adapter.
    """
    if reference == "base":
        return around.bare(candidate)
    if reference in {PROMOTED, "first_promoted"}:
        now = promoted(around.workspace) if reference == PROMOTED else first_promoted(around.workspace)
        for spec in () if now is None else now.adapters:
            check_adapter(spec)  # its id keys the replies, so that the files must be what it names
        return now or around.bare(candidate)
    if _is_model(reference, around.registries):
        own = candidate.model
        return Candidate(model=resolve_base(reference, around.registries, dtype=own.dtype, device=own.device))
    return replace(candidate, adapters=resolve_adapters([reference], around.workspace))


def _is_model(reference: str, registries: Registries) -> bool:
    """Tell whether a reference names a model of its own rather than an adapter."""
    scheme, colon, _ = reference.partition(":")
    if (colon and scheme in registries.models) or reference in catalog() or reference.endswith(".gguf"):
        return True
    folder = Path(reference).expanduser()
    return (folder / "config.json").is_file() and not (folder / CONFIG_FILE).is_file()


def resolve_arms(
    prepared: Iterable[PreparedSuite], baseline: str | None, candidate: Candidate, around: Around
) -> dict[str, Candidate]:
    """Return what the gates of suites compare with, by the names that they give it, in the order of these names.

    Args:
        prepared: the suites.
        baseline: stands for `promoted` where it is given, which is then there whether a gate asks for it or not.
        candidate: as for `resolve_baseline`.
        around: as for `resolve_baseline`.

    Raises:
        InputError: when there is no such adapter; where a suite's file names it, with the place there.
    """
    arms = {} if baseline is None else {"promoted": resolve_baseline(baseline, candidate, around)}
    for suite in prepared:
        for index, gate in zip(suite.gate_origins, suite.gates, strict=True):
            for name in gate.arms:
                if name not in arms:
                    try:
                        arms[name] = resolve_baseline(name, candidate, around)
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
