"""Rules as a critic: regular expressions that a reply must, or must not, match."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import regex
from pydantic import model_validator

from harness.api import Critic, StrictModel, Unscored, read_options, sha256_json
from harness_critics.options import nothing_to_judge

if TYPE_CHECKING:
    from harness.api import Completion, Findings, Principle, Reply, Sample


_FLAGS = regex.IGNORECASE | regex.VERSION0  # as Python's re reads a pattern
_SECONDS = 2.0
"""For one pattern on one reply: a pattern that nests repetitions can take for ever on some text."""


class RulesOptions(StrictModel):
    """Options of the rules critic; patterns are searched anywhere in the reply, ignoring case."""

    must: tuple[str, ...] = ()
    """Each has to be found."""
    must_not: tuple[str, ...] = ()
    """None may be found."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not self.must and not self.must_not:
            raise ValueError("give at least one pattern under must or must_not")
        for pattern in (*self.must, *self.must_not):
            try:
                regex.compile(pattern, _FLAGS)
            except regex.error as error:
                raise ValueError(f"{pattern!r} is no regular expression ({error})") from error
        return self


class RulesCritic(Critic):
    """Scores 1 where every pattern is as it should be, else 0."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self._options = read_options(RulesOptions, self.options, "rules", at=("critics", "rules"))

    def fingerprint(self) -> str:
        """Return the hash of version and options."""
        return sha256_json(["rules", 2, self._options.model_dump()])

    def score(
        self,
        sample: Sample,  # noqa: ARG002 - the contract's
        reply: Completion,
        principle: Principle,  # noqa: ARG002
        replies: tuple[Reply, ...],  # noqa: ARG002
        findings: Mapping[str, Findings],  # noqa: ARG002
    ) -> tuple[float | Unscored, str]:
        """Return 1 or 0, and which pattern decided."""
        empty = nothing_to_judge(reply)
        if empty is not None:
            return empty, ""
        for pattern in (*self._options.must, *self._options.must_not):
            try:
                found = regex.search(pattern, reply.text, _FLAGS, timeout=_SECONDS) is not None
            except TimeoutError:
                return Unscored(
                    reason=f"the pattern {pattern!r} took over {_SECONDS} s on one reply; write it simpler"
                ), ""
            if found != (pattern in self._options.must):
                return 0.0, f"{'has' if found else 'lacks'} {pattern!r}"
        return 1.0, ""
