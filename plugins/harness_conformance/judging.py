"""The contracts of what judges, checked: classifiers, critics, principles and metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness_conformance.contract import (
    ODD_TEXTS,
    TEXTS,
    Where,
    context,
    example_sample,
    faults,
    loaded,
    refuses_unknown,
)  # fmt: skip

if TYPE_CHECKING:
    from harness.api import (
        Case,
        Classifier,
        Critic,
        Findings,
        Metric,
        NotApplicable,
        Principle,
        Reply,
        Request,
        Row,
        Sample,
        Unscored,
        Verdict,
        Version,
    )


def assert_classifier(name: str, *, plugins: Where = (), options: Mapping[str, Any] | None = None) -> None:
    """Check a classifier: a stable fingerprint, findings of each text in order, whatever the text and its batch.

    Args:
        name: as registered.
        plugins: as for -p.
        options: as a suite gives them; where they are given, an unknown one has to be refused.

    Raises:
        ContractError: with everything that does not hold.
    """
    __tracebackhide__ = True
    make = loaded(plugins).registries.classifiers.get(name)
    given = dict(options or {})
    with faults(f"the classifier {name!r}") as found:
        classifier = make(given, context())
        if not classifier.fingerprint() or make(given, context()).fingerprint() != classifier.fingerprint():
            found.append("its fingerprint is empty, or another one at each call")
        if options is not None:
            found.extend(refuses_unknown(make, options, context()))
        found.extend(_classified(classifier, name))
        classifier.close()
        if len(classifier.classify(TEXTS[:1])) != 1:
            found.append("it does not work again after close()")


def _classified(classifier: Classifier, name: str) -> Iterator[str]:
    from harness.api.checking import check_findings

    if list(classifier.classify([])):
        yield "no texts have findings"
    texts = (*TEXTS, *ODD_TEXTS)
    together = [check_findings(one, name, classifier) for one in classifier.classify(texts)]
    if len(together) != len(texts):
        yield f"{len(texts)} texts have findings for {len(together)}"
        return
    unbatched = [check_findings(classifier.classify([text])[0], name, classifier) for text in texts]
    for text, one, other in zip(texts, together, unbatched, strict=True):
        shown = repr(text[:30])
        if not _alike(one, other):
            yield f"the findings of {shown} depend on what shares its batch"
        for finding in one if isinstance(one, tuple) else ():
            if classifier.labels and finding.label not in classifier.labels:
                yield f"the label {finding.label!r} is not among its labels"
            if finding.span is not None and not 0 <= finding.span[0] < finding.span[1] <= len(text):
                yield f"a span of {shown} lies outside of it: {finding.span}"


def _alike(one: Findings, other: Findings) -> bool:
    if not isinstance(one, tuple) or not isinstance(other, tuple):
        return one == other
    return len(one) == len(other) and all(
        (a.label, a.span) == (b.label, b.span) and math.isclose(a.probability, b.probability, abs_tol=1e-4)
        for a, b in zip(one, other, strict=True)
    )


def assert_critic(
    name: str, *, plugins: Where = (), options: Mapping[str, Any] | None = None, principle: Principle | None = None,
    findings: Mapping[str, Findings] | None = None, sample: Sample | None = None,
) -> None:  # fmt: skip
    """Check a critic: a stable fingerprint, a score in [0, 1] or a reason, and nothing made of what was not judged.

    Args:
        name: as registered.
        plugins: as for -p.
        options: as a constitution gives them; where they are given, an unknown one has to be refused.
        principle: that it judges by; None is one of the kit's.
        findings: by classifier, for a critic that reads any.
        sample: what was asked; None is one of the kit's.

    Raises:
        ContractError: with everything that does not hold.
    """
    __tracebackhide__ = True
    from harness.api import Case, Completion, Principle
    from harness.api.checking import make_critic

    registries = loaded(plugins).registries
    make, given = registries.critics.get(name), dict(options or {})
    rule = principle or Principle(id="kind", text="The assistant is kind.", critics=(name,))
    with faults(f"the critic {name!r}") as found:
        critic = make_critic(name, given, registries, context())
        again = make_critic(name, given, registries, context())
        if not critic.fingerprint() or again.fingerprint() != critic.fingerprint():
            found.append("its fingerprint is empty, or another one at each call")
        if options is not None:
            found.extend(refuses_unknown(make, options))
        for text in (*TEXTS, *ODD_TEXTS):
            said = Completion(text=text, prompt_tokens=None, completion_tokens=None, finish="stop")
            asked = sample or example_sample()
            case = Case(sample=asked, completion=said, principle=rule, findings=findings or {})
            found.extend(_judged(critic, name, case))


def _judged(critic: Critic, name: str, case: Case) -> Iterator[str]:
    from harness.api import LogProb, NoReply, Unscored
    from harness.api.checking import check_score, guarded, run

    asked: list[Request] = []

    def score(answer: Callable[[Request], Reply], found: Mapping[str, Findings]) -> object:
        def answered(_: str, requests: Sequence[Request]) -> list[Reply]:
            asked.extend(requests)
            return [answer(request) for request in requests]

        shown = replace(case, findings=found)
        what = f"the critic {name!r}"
        program = guarded(lambda: critic.judge(shown), what, critic, roles=critic.roles)
        return check_score(run(program, answered), name, critic)[0]

    text, findings = case.completion.text, case.findings
    shown = repr(text[:30])
    if repr(score(_answer, findings)) != repr(score(_answer, findings)):
        yield f"it scores {shown} differently when asked again"
    if not text.strip() and not isinstance(score(_answer, findings), Unscored):
        yield f"the empty reply {shown} has a score; what says nothing is Unscored"
    silences: tuple[Reply, ...] = (NoReply(reason="time-out"), LogProb(logprob=math.nan, tokens=1))
    for silence in silences if asked else ():
        if not isinstance(score(lambda _, said=silence: said, findings), Unscored):  # type: ignore[misc]
            yield f"it scores {shown} where the judge's answer is {silence!r}"
    failed: dict[str, Findings] = dict.fromkeys(critic.classifiers, Unscored(reason="it did not load"))
    if failed and not isinstance(score(_answer, failed), Unscored):
        yield f"it scores {shown} where its classifier could not judge"


def assert_principle(name: str, *, plugins: Where = ()) -> None:
    """Check a principle: its fields, critics that are registered, and examples that pass, fail and nearly miss.

    `harness principle test` judges the examples.

    Raises:
        ContractError: with everything that does not hold.
    """
    __tracebackhide__ = True
    registries = loaded(plugins).registries
    principle = registries.principles.get(name)
    with faults(f"the principle {name!r}") as found:
        found.extend(f"no critic {one!r} is registered" for one in principle.critics if one not in registries.critics)
        kinds = {example.kind for example in principle.examples}
        found.extend(f"it has no example of kind {kind}" for kind in ("pass", "fail", "near_miss") if kind not in kinds)
        if len({(example.prompt, example.response) for example in principle.examples}) < len(principle.examples):
            found.append("two of its examples are the same")


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What a metric is shown in its test."""

    sample: Sample = field(default_factory=example_sample)
    replies: tuple[Reply, ...] | None = None
    """In the order of the metric's requests; None lets the kit answer them."""
    findings: Mapping[str, Findings] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    constitutions: Mapping[str, tuple[Principle, ...]] = field(default_factory=dict)
    versions: tuple[tuple[Version, ...], ...] = ()
    """What became of each completion, itself first, for a metric with a rewriter."""


def assert_metric(
    name: str, *, plugins: Where = (), options: Mapping[str, Any] | None = None, observed: Observed | None = None
) -> None:
    """Check the metrics of a factory: what they declare, a row of their kind, and that silence is Unscored.

    Args:
        name: as registered.
        plugins: as for -p.
        options: as a suite gives them; where they are given, an unknown one has to be refused.
        observed: a sample that one of the metrics at least applies to, with what there is to read of it.

    Raises:
        ContractError: with everything that does not hold.
    """
    __tracebackhide__ = True
    from harness.api.stats import metric_kind as kind_of

    make = loaded(plugins).registries.metrics.get(name)
    shown = observed or Observed()
    with faults(f"the metric {name!r}") as found:
        metrics = make(dict(options or {}), shown.constitutions)
        if options is not None:
            found.extend(refuses_unknown(make, options, shown.constitutions))
        found.extend(_declared(metrics, name, make))
        rows = 0
        for metric in () if found else metrics:
            if not kind_of(metric).per_sample:
                found.extend(f"{metric.name}: {fault}" for fault in _of_nothing(metric))
                rows += 1
            else:
                row, wrong = _observed(metric, shown)
                found.extend(f"{metric.name}: {fault}" for fault in wrong)
                rows += isinstance(row, tuple)
        if not rows and not found:
            found.append("none of its metrics gives the sample a row; pass `observed` with one that it applies to")


def _declared(metrics: object, name: str, make: object) -> Iterator[str]:
    from harness.api import InputError
    from harness.api.checking import check_metrics

    try:
        for metric in check_metrics(metrics, name, make):
            if metric.bounds is not None and not -math.inf < metric.bounds[0] < metric.bounds[1] < math.inf:
                yield f"the bounds of {metric.name} are {metric.bounds!r}"
    except InputError as error:
        yield str(error)


def _of_nothing(metric: Metric) -> Iterator[str]:
    from harness.api import RunFacts, Unscored

    given: object = metric.measure(RunFacts(timings=(), peak_memory=0, generated_tokens=0, seconds=0.0))
    if not isinstance(given, Unscored):
        yield f"a run that measured nothing has the value {given!r}; it is Unscored"


def _observed(metric: Metric, shown: Observed) -> tuple[Row | Unscored | None, list[str]]:
    import numpy as np

    from harness.api import Decoding, NoReply, NotApplicable, Sample, Unscored
    from harness.api.checking import check_requests
    from harness.api.stats import metric_kind as kind_of

    ask = Decoding(max_new_tokens=16)
    requests = check_requests(metric.requests(shown.sample, ask), f"the metric {metric.name!r}", metric)
    replies = tuple(_answer(request) for request in requests) if shown.replies is None else shown.replies

    def row(replies: Sequence[Reply]) -> Row | Unscored | NotApplicable:
        given = metric.observe(shown.sample, tuple(replies), shown.findings, shown.verdicts)
        rewritten = metric.rewriter is not None and shown.versions and not isinstance(given, NotApplicable)
        if rewritten and not all(isinstance(reply, NoReply) for reply in replies):
            given = metric.compare(shown.sample, shown.versions)
        return kind_of(metric).check_row(metric, shown.sample.id, given)

    first = row(replies)
    if isinstance(first, NotApplicable):
        return None, []
    wrong = []
    if requests != metric.requests(shown.sample, ask) or repr(row(replies)) != repr(first):
        wrong.append("its requests, or its row, are others at each call")
    silence = row([NoReply(reason="time-out")] * len(requests)) if requests else Unscored(reason="nothing was asked")
    if not isinstance(silence, Unscored):
        wrong.append(f"a sample without replies has the row {silence!r}; it is Unscored")
    if isinstance(first, tuple) and not kind_of(metric).reads_records:
        sums = np.array([first, first]) * np.array([[1.0], [3.0]])
        values = np.asarray(metric.estimate(sums))
        single = np.array([float(metric.estimate(one)) for one in sums])
        if values.shape != (2,) or not np.allclose(values, single, equal_nan=True):
            wrong.append("estimate of sums of shape (2, k) is not what it gives for each of them")
    if kind_of(metric).reads_records:
        value = metric.resample([(shown.sample, replies)] * 2, np.array([1, 0]))
        if not math.isnan(metric.resample([(shown.sample, replies)], np.array([], dtype=np.int64))):
            wrong.append("resample of no records is a number; it is NaN")
        if not math.isclose(value, metric.resample([(shown.sample, replies)] * 2, np.array([0, 1]))):
            wrong.append("resample depends on the order of the records")
    bare = Sample(id="bare")
    if requests and not metric.requests(bare, ask) and isinstance(metric.observe(bare, (), {}, ()), tuple):
        wrong.append("a sample that it asks nothing about has a row; it is NotApplicable or Unscored")
    return first, wrong


def _answer(request: Request) -> Reply:
    from harness.api import Completion, Generate, LogProb

    if isinstance(request, Generate):
        return Completion(text="It is Lima.", prompt_tokens=8, completion_tokens=3, finish="stop")
    return LogProb(logprob=-1.5, tokens=2)
