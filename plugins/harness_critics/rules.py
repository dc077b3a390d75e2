"""Rules as a critic: regular expressions that a reply must, or must not, match."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import model_validator

from harness.api import Critic, StrictModel, read_options, sha256_json
from harness_critics.options import nothing_to_judge

if TYPE_CHECKING:
    from harness.api import Completion, Findings, Principle, Reply, Sample, Unscored


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
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression ({error})") from error
        return self


class RulesCritic(Critic):
    """Scores 1 where every pattern is as it should be, else 0."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self._options = read_options(RulesOptions, self.options, "rules", at=("critics", "rules"))

    def fingerprint(self) -> str:
        """Return the hash of version and options."""
        return sha256_json(["rules", 1, self._options.model_dump()])

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
        for pattern in self._options.must:
            if not re.search(pattern, reply.text, re.IGNORECASE):
                return 0.0, f"lacks {pattern!r}"
        for pattern in self._options.must_not:
            if re.search(pattern, reply.text, re.IGNORECASE):
                return 0.0, f"has {pattern!r}"
        return 1.0, ""
