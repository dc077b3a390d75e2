"""Who takes part in a tournament, as a person names it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.api import CandidateOptions


@dataclass(frozen=True, kw_only=True)
class Entered:
    """Adapters on one base, and whole models."""

    adapters: tuple[str, ...] = ()
    """One of each candidate."""
    whole: tuple[str, ...] = ()
    """References of models, each a candidate without an adapter: folders, names, servers."""
    model: str | None = None
    """The base of all adapters; None is that of harness.yaml."""

    def candidates(self) -> list[CandidateOptions]:
        """Return each candidate's own options."""
        return [
            *(CandidateOptions(adapters=(name,), model=self.model) for name in self.adapters),
            *(CandidateOptions(model=name) for name in self.whole),
        ]
