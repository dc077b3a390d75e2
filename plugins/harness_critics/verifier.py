"""A check in code as a critic: a function that a plugin registers, or a short expression."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from harness.api import Critic, InputError, NotApplicable, StrictModel, Unscored, read_options, sha256_json, sha256_text
from harness_critics.expression import Expression
from harness_critics.options import nothing_to_judge

if TYPE_CHECKING:
    from harness.api import Case, CriticKit, Judgement, Program, Verifier


class VerifierOptions(StrictModel):
    """Options of the verifier critic: one of the two."""

    function: Annotated[str, Field(min_length=1)] | None = None
    """The name of a registered verifier (`harness list verifiers`); it runs with your rights, as every plugin does."""
    expression: Annotated[str, Field(min_length=1)] | None = None
    """Such as `words(reply) <= 50 and "?" not in reply`; see docs/critics.md for what it may hold."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.function is None) is (self.expression is None):
            raise ValueError("give either function or expression")
        return self


class VerifierCritic(Critic):
    """Scores what the check says: 1 or 0, or a share. No model is asked, and the principle's words are not read."""

    roles = ()

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        if not self.options.keys() & {"function", "expression"}:
            raise InputError(
                "the verifier is not told what to check", key="critics.verifier",
                hint="write {function: NAME} or {expression: …} there, in a suite, and name it with --suite",
            )  # fmt: skip
        self._options = read_options(VerifierOptions, self.options, "verifier", at=("critics", "verifier"))
        self._function: Verifier | None = None
        self._expression: Expression | None = None
        if self._options.expression is not None:
            try:
                self._expression = Expression(self._options.expression)
            except InputError as error:
                raise InputError(error.cause, key="critics.verifier.expression", hint=error.hint) from error

    def equip(self, kit: CriticKit) -> None:
        """Find the function.

        Raises:
            InputError: where none of that name is registered.
        """
        if self._options.function is not None:
            self._function = kit.verifier(self._options.function)

    def fingerprint(self) -> str:
        """Return the hash of version, options and the function's source."""
        return sha256_json(["verifier", 1, self._options.model_dump(), self._function and _source(self._function)])

    def judge(self, case: Case) -> Program[Judgement]:
        """Run the check.

        Raises:
            TypeError: where a function gives what is no score.
        """
        yield from ()
        empty = nothing_to_judge(case.completion)
        if empty is not None:
            return empty, ""
        if self._expression is not None:
            try:
                holds = self._expression(reply=case.completion.text, prompt=case.sample.prompt)
            except ValueError as error:
                return Unscored(reason=f"the expression cannot be evaluated ({error})"), ""
            return float(holds), f"{self._expression.text} {'holds' if holds else 'does not hold'}"
        if self._function is None:
            raise InputError("a verifier was not equipped with its function", hint="call equip(kit) after making it")
        given: object = self._function(case)
        if isinstance(given, Unscored | NotApplicable):
            return given, ""
        if not isinstance(given, int | float) or not 0 <= given <= 1:
            raise TypeError(f"the verifier {self._options.function} gave {given!r}; return True, False or a share")
        return float(given), ""


def _source(function: Verifier) -> str:
    """Return what names a function's code: the hash of its source, or its full name where there is none."""
    try:
        return sha256_text(inspect.getsource(function))
    except (OSError, TypeError):
        return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(type(function)))}"
