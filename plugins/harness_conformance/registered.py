"""The contracts of what is registered by name and read or called later: rules, gates, suites, recipes and jobs."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness_conformance.contract import ODD_TEXTS, TEXTS, Where, context, example_sample, faults, loaded

if TYPE_CHECKING:
    from harness.api import Principle, Sample


def assert_verifier(name: str, *, plugins: Where = (), sample: Sample | None = None) -> None:
    """Check a verifier: of any text a share in [0, 1], a truth value or a reason, and the same one when asked again.

    Args:
        name: as registered.
        plugins: as for -p.
        sample: what was asked; None is one of the kit's.

    Raises:
        ContractError: with everything that does not hold.
    """
    __tracebackhide__ = True
    from harness.api import Case, Completion, NotApplicable, Principle, Unscored

    verify = loaded(plugins).registries.verifiers.get(name)
    rule = Principle(id="checked", text="The reply passes a check.", critics=("verifier",))
    with faults(f"the verifier {name!r}") as found:
        for text in (*TEXTS, *ODD_TEXTS):
            said = Completion(text=text, prompt_tokens=None, completion_tokens=None, finish="stop")
            case = Case(sample=sample or example_sample(), completion=said, principle=rule, findings={})
            given: object = verify(case)
            again = verify(case)
            if not isinstance(given, Unscored | NotApplicable | bool | int | float):
                found.append(f"of {text[:30]!r} it says {given!r}, which is no number, truth value or reason")
            elif isinstance(given, int | float) and not 0 <= given <= 1:
                found.append(f"of {text[:30]!r} it says {given!r}, which is not in [0, 1]")
            if repr(given) != repr(again):
                found.append(f"of {text[:30]!r} it says {given!r}, and then {again!r}")


def assert_constitution(name: str, *, plugins: Where = ()) -> None:
    """Check a constitution: it can be read, and its principles have critics that are registered.

    Raises:
        ContractError: with everything that does not hold.
        InputError: for a file that cannot be read.
    """
    __tracebackhide__ = True
    from harness.api.workspace import Constitutions

    registries = loaded(plugins).registries
    folder = registries.constitutions.get(name).parent
    with faults(f"the constitution {name!r}") as found:
        principles: tuple[Principle, ...] = Constitutions(registries, folder).record(name).principles
        if not principles:
            found.append("it has no principle")
        for rule in principles:
            found.extend(f"{rule.id}: no critic {one!r}" for one in rule.critics if one not in registries.critics)
            if not (math.isfinite(rule.weight) and rule.weight > 0):
                found.append(f"{rule.id}: the weight {rule.weight!r} is not above 0")


def assert_gate_kind(
    name: str, given: Any, metric: str, *, plugins: Where = (), options: Mapping[str, Any] | None = None,  # noqa: ANN401
) -> None:  # fmt: skip
    """Check a kind of gate: it stands under its name, reads its keys, and says what passes.

    Args:
        name: as registered.
        given: what stands under the kind's key in YAML, such as 0.05, as `keys` types it.
        metric: a registered metric that it makes sense on.
        plugins: as for -p.
        options: of the metric.

    Raises:
        ContractError: with everything that does not hold.
    """
    __tracebackhide__ = True
    from pydantic import TypeAdapter

    from harness.api import Gate

    registries = loaded(plugins).registries
    (one, *_) = registries.metrics.get(metric)(dict(options or {}), {})
    with faults(f"the kind of gate {name!r}") as found:
        kind = registries.gate_kinds.get(name)()
        if kind.name != name:
            found.append(f"it calls itself {kind.name!r}")
        fields = kind.fields(TypeAdapter(kind.keys).validate_python(given))
        gate = Gate(metric=one.name, kind=name, **fields)
        if problem := kind.problem(gate, one):
            found.append(f"it does not make sense on {one.name}: {problem[0]}")
        if not kind.describe(gate).strip() or not kind.condition(gate, lambda value: f"{value:g}").strip():
            found.append("it does not say its condition")
        if kind.compares != bool(kind.arms(gate)):
            found.append(f"compares is {kind.compares}, and it compares with {kind.arms(gate)!r}")
        if any(count is not None and count < 1 for count in (kind.fewest(gate, one), kind.least(gate, one))):
            found.append("fewest or least is below 1")
        if not kind.of_the_run and math.isnan(kind.room(gate, one)):
            found.append("room is not a number")


def assert_correction(name: str, *, plugins: Where = ()) -> None:
    """Check a correction of gates: it is made without arguments, has all parts, and leaves a run without gates alone.

    Raises:
        ContractError: with everything that does not hold.
    """
    __tracebackhide__ = True
    from harness.api.gates import Correction

    make = loaded(plugins).registries.corrections.get(name)
    with faults(f"the correction {name!r}") as found:
        made: object = make()
        if not isinstance(made, Correction):
            found.append(f"it makes {made!r}, which is no harness.api.gates.Correction")
        else:
            class_of = type(made)
            found.extend(
                f"{part} is still the base class's" for part in ("problem", "evidence", "check")
                if getattr(class_of, part) is getattr(Correction, part)
            )  # fmt: skip


def assert_suite(name: str, *, plugins: Where = ()) -> None:
    """Check a suite: its samples, metrics, critics and gates can be prepared, and it says what it is about.

    Raises:
        ContractError: with everything that does not hold.
        InputError: for a file that cannot be read, weights that are not here, or data that is not beside it.
    """
    __tracebackhide__ = True
    from harness.api.workspace import SuiteOptions, prepare_suite, require_attainable_gates

    registries = loaded(plugins).registries
    with faults(f"the suite {name!r}") as found:
        prepared = prepare_suite(name, registries, context(), SuiteOptions())
        require_attainable_gates(prepared)
        if not len(prepared.samples):
            found.append("it has no samples")
        if not prepared.metrics:
            found.append("it measures nothing")


def assert_recipe(name: str, *, plugins: Where = ()) -> None:
    """Check a recipe: its file is YAML, and names stages that are registered and can be made.

    Raises:
        ContractError: with everything that does not hold.
        InputError: for a file that cannot be read.
    """
    __tracebackhide__ = True
    import yaml

    from harness.api import Stage, read_text

    registries = loaded(plugins).registries
    path = registries.recipes.get(name)
    with faults(f"the recipe {name!r}") as found:
        content = yaml.safe_load(read_text(path, what="recipe"))
        stages = content.get("stages") if isinstance(content, dict) else None
        if not isinstance(stages, list) or not stages:
            found.append("it has no list of stages")
            return
        for number, entry in enumerate(stages, start=1):
            named = [key for key in entry if key in registries.stages] if isinstance(entry, dict) else [entry]
            if not named or named[0] not in registries.stages:
                found.append(f"stage {number} names none that is registered: {entry!r}")
            elif not isinstance(registries.stages.get(named[0])(), Stage):
                found.append(f"{named[0]} makes no Stage")


def assert_policy(name: str, *, plugins: Where = (), folder: Path | None = None) -> None:
    """Check a policy: it can be read, and its suites and their gates with it.

    Args:
        name: as registered.
        plugins: as for -p.
        folder: whose harness.yaml may hold others; None is the current one.

    Raises:
        ContractError: with everything that does not hold.
        InputError: for a file, suite or gate that cannot be read.
    """
    __tracebackhide__ = True
    from harness.api.workspace import find_policy, read_config

    registries = loaded(plugins).registries
    with faults(f"the policy {name!r}") as found:
        policy = find_policy(name, read_config(folder or Path.cwd()), registries)
        if policy.id != name:
            found.append(f"it calls itself {policy.id!r}")
        if not policy.suites:
            found.append("it asks for no suite")


def assert_job(name: str, *, plugins: Where = ()) -> None:
    """Check a job: it takes the session first, says what it does, and its name is free on a session.

    Raises:
        ContractError: with everything that does not hold.
    """
    __tracebackhide__ = True
    from harness import Session

    job = loaded(plugins).registries.jobs.get(name)
    with faults(f"the job {name!r}") as found:
        if not name.isidentifier() or name.startswith("_") or hasattr(Session, name):
            found.append("its name is none that a session's method can have")
        taken = list(inspect.signature(job).parameters.values())
        if not taken or taken[0].kind in {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}:
            found.append("it does not take the session first")
