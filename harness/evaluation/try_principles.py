"""Tests principles with the real parts: registered critics and classifiers, and a judge model when one is asked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.evaluation.examples import judge_examples, skill
from harness.plugin_code import plugin_code
from harness.types import Candidate, ClassifierStatus, Findings, Reply, Request

if TYPE_CHECKING:
    from pathlib import Path

    from harness.contracts import Classifier, Critic, Progress, Surroundings
    from harness.engine.reply_writer import ReplyCache
    from harness.evaluation.examples import Skill
    from harness.evaluation.pool import ModelPool
    from harness.plugins import Registries
    from harness.types import Principle


def try_principles(
    principles: Sequence[Principle],
    registries: Registries,
    surroundings: Surroundings,
    progress: Progress,
    *,
    critics: Sequence[str] = (),
    judge: str,
    cache_path: Path | None = None,
) -> list[list[Skill]]:
    """Return, for each principle, the skill of each of its critics; of all together last where there are several.

    Args:
        principles: with examples.
        registries: what is registered.
        surroundings: handed to classifiers and the judge.
        progress: where bars are drawn.
        critics: replace the principles' own where given.
        judge: reference of the judge model; it is resolved and loaded only when a critic asks it something.
        cache_path: where replies and findings are remembered; None remembers nothing.

    Raises:
        InputError: for an unknown critic, or weights that are not here.
    """
    with ExitStack() as stack:
        parts = _Parts(registries, surroundings, progress, judge, cache_path, stack)
        results: list[list[Skill]] = []
        for principle in principles:
            tested = replace(principle, critics=tuple(critics)) if critics else principle
            made = {name: _critic(name, principle, registries) for name in tested.critics}
            judged = judge_examples(tested, made, parts.ask, parts.classify)
            results.append([skill(tested.id, name, items, tested.threshold) for name, items in judged.items()])
        return results


def _critic(name: str, principle: Principle, registries: Registries) -> Critic:
    make = registries.critics.get(name, key=f"critics of the principle {principle.id!r}")
    with plugin_code(f"making the critic {name!r}", make):
        return make({})


class _Parts:
    """The judge and the classifiers, made on first use and closed by the stack."""

    def __init__(
        self,
        registries: Registries,
        surroundings: Surroundings,
        progress: Progress,
        judge: str,
        cache_path: Path | None,
        stack: ExitStack,
    ) -> None:
        self._registries = registries
        self._surroundings = surroundings
        self._progress = progress
        self._judge = judge
        self._stack = stack
        self._cache = self._open(cache_path)
        self._classifiers: dict[str, Classifier] = {}
        self._candidate: Candidate | None = None
        self._pool: ModelPool | None = None

    def _open(self, path: Path | None) -> ReplyCache | None:
        if path is None:
            return None
        from harness.store.cache import Cache

        cache = Cache(path)
        self._stack.callback(cache.close)
        return cache

    def ask(self, requests: Sequence[Request]) -> list[Reply]:
        """Ask the judge."""
        if self._pool is None or self._candidate is None:
            from harness.evaluation.pool import ModelPool
            from harness.evaluation.resolve import resolve_base

            self._candidate = Candidate(model=resolve_base(self._judge, self._registries))
            pool = ModelPool(self._registries, self._surroundings, self._cache, self._progress)
            self._pool = self._stack.enter_context(pool)
        core = self._pool.core(self._candidate.model)
        return core.answer(self._candidate, requests, label=f"judge: {self._judge}")

    def classify(self, name: str, texts: Sequence[str]) -> list[Findings]:
        """Run one classifier."""
        from harness.evaluation.classify import classify

        if name not in self._classifiers:
            made = self._registries.classifiers.get(name, key="classifiers")({}, self._surroundings)
            self._stack.callback(made.close)
            self._classifiers[name] = made
        classifier = self._classifiers[name]
        status = ClassifierStatus(name=name, fingerprint=classifier.fingerprint(), ran=True)
        found = classify({name: classifier}, [status], texts, cache=self._cache, progress=self._progress)
        return [findings[name] for findings in found]
