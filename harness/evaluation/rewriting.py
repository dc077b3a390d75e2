"""Further versions of replies, as metrics write them: each is judged by the critics, until nobody rewrites any more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.engine.programs import Live, guarded, run, together
from harness.plugin_code import plugin_code
from harness.types import Completion, Rewriting, Version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.contracts import Metric
    from harness.evaluation.panel import Panel
    from harness.evaluation.roles import Asking
    from harness.types import Candidate, Program, Response, Rewriter, Verdict


@dataclass(frozen=True, kw_only=True)
class Rewrites:
    """Who rewrites replies in a suite, and who judges what they write."""

    rewriters: tuple[Rewriter, ...]
    panel: Panel
    asking: Asking

    @classmethod
    def of(cls, metrics: Sequence[Metric], panel: Panel, asking: Asking) -> Rewrites:
        """Return those of some metrics.

        Raises:
            InputError: for who may not play a role.
        """
        found = cls(
            rewriters=tuple({one.name: one for metric in metrics if (one := metric.rewriter) is not None}.values()),
            panel=panel, asking=asking,
        )  # fmt: skip
        for one in found.rewriters:
            with plugin_code(f"the check of {one.name!r}", one):
                one.check(found._played)
        return found

    def versions(
        self, responses: Sequence[Response], verdicts: Sequence[tuple[Verdict, ...]]
    ) -> list[dict[str, tuple[Version, ...]]]:
        """Return all versions of each response, the reply itself first, by the name of who rewrote."""
        own = [self._by(one, responses, verdicts) for one in self.rewriters]
        return [
            {one.name: versions[place] for one, versions in zip(self.rewriters, own, strict=True)}
            for place in range(len(responses))
        ]

    @property
    def _played(self) -> Mapping[str, Candidate]:
        return {role: self.asking.roles.candidate(role) for role in ("policy", *self.asking.roles.others)}

    def _by(
        self, rewriter: Rewriter, responses: Sequence[Response], verdicts: Sequence[tuple[Verdict, ...]]
    ) -> list[tuple[Version, ...]]:
        ids = {principle.id for principle in rewriter.principles}
        panel = replace(self.panel, principles=tuple(one for one in self.panel.principles if one.id in ids))
        found: list[tuple[Version, ...]] = [
            () if one.completion is None
            else (Version(text=one.completion.text, verdicts=tuple(said for said in own if said.principle in ids)),)
            for one, own in zip(responses, verdicts, strict=True)
        ]  # fmt: skip
        left = [place for place, versions in enumerate(found) if versions]
        while left:
            lives = [Live(self._rewrite(rewriter, responses[place], found[place])) for place in left]
            written = run(together(lives), self.asking.answer)
            more = [(place, *one) for place, one in zip(left, written, strict=True) if one is not None]
            again = [replace(responses[place], completion=_said(text)) for place, text, _ in more]
            judged = panel.verdicts(again, self.asking) if panel.principles else [()] * len(again)
            for (place, text, note), own in zip(more, judged, strict=True):
                found[place] = (*found[place], Version(text=text, verdicts=own, note=note))
            left = [place for place, *_ in more]
        return found

    def _rewrite(
        self, rewriter: Rewriter, response: Response, versions: tuple[Version, ...]
    ) -> Program[tuple[str, str] | None]:
        case = Rewriting(response=response, versions=versions, roles=self._played)
        what = f"{rewriter.name!r} on the sample {response.sample.id!r}"
        return guarded(lambda: rewriter.rewrite(case), what, rewriter, roles=rewriter.roles)


def _said(text: str) -> Completion:
    return Completion(text=text, prompt_tokens=None, completion_tokens=None, finish="stop")
