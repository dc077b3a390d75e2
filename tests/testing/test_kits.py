"""Every bundled plugin keeps the contract of its kind, by the kits that authors of plugins use; and the kits can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.api import Finding, Message, Sample, SourceInput
from harness.plugins import load_plugins
from harness.testing import (
    ContractError,
    Observed,
    assert_classifier,
    assert_command,
    assert_critic,
    assert_metric,
    assert_model,
    assert_observers,
    assert_principle,
    assert_report_section,
    assert_source,
    assert_stage,
)
from harness_conformance.models import _requests as questions
from tests.classifiers.conftest import options_of, small_checkpoint  # noqa: F401 - fixtures
from tests.critics.test_calibrate import NATIVE as LABELLED
from tests.metrics.cases import CASES
from tests.metrics.conftest import PRINCIPLES
from tests.sources.test_native import SMALL
from tests.training.test_every_stage import OPTIONS as TRAINING

REGISTRIES = load_plugins(installed=False).registries
FACTORIES = {case.factory: case for case in CASES.values()}
RUN = ("latency", "throughput", "peak_memory")
TOXIC = (Finding(label="toxicity", probability=0.3),)
CRITICS = {
    "judge": ({}, {}),
    "toxicity": ({}, {"minilm-toxicity": (Finding(label="toxicity", probability=0.3),)}),
    "pii": ({}, {"presidio": ()}),
    "rules": ({"must_not": ["ignore"]}, {}),
    "judge-text": ({}, {}),
    "panel": ({"critics": {"toxicity": None, "judge": None}}, {"minilm-toxicity": TOXIC}),
    "classifier": ({"classifier": "minilm-toxicity", "breaks": ["toxicity"]}, {"minilm-toxicity": TOXIC}),
    "tone": ({}, {"minilm-toxicity": TOXIC}),
    "verifier": ({"expression": "words(reply) < 50"}, {}),
    "grounding": ({}, {}),
    "relevance": ({}, {}),
    "consistency": ({}, {}),
    "harmful-response": ({}, {}),
    "declining-response": ({}, {}),
    "helping-response": ({}, {}),
}
BY_MEANING = ("grounding", "relevance", "consistency")
STAGES = {"canaries": {"data": "rows.jsonl", "count": 4}}
"""Options of the stages that `tests/training/test_every_stage.py` does not hold to the contract already."""
GRADED = {"constitutional", "interpolate", "pairs", "preferences", "rlaif"}
"""Stages that need a constitution, a reward, an adapter or replies: tests/training and tests/revision have tests of each."""
PLAIN = {"id": "one", "prompt": "What is the capital of Peru?", "target": "Lima"}


def names(kind: str) -> list[str]:
    return [entry.name for entry in getattr(REGISTRIES, kind)]


@pytest.mark.parametrize("name", names("metrics"))
def test_metrics(name: str) -> None:
    case = FACTORIES.get(name)
    if case is None:
        assert name in RUN
        assert_metric(name, options={})
        return
    given = case.best
    shown = Observed(
        sample=case.sample, replies=given.replies, findings=given.findings, verdicts=given.verdicts,
        constitutions=PRINCIPLES, versions=given.versions,
    )  # fmt: skip
    assert_metric(name, options=case.options, observed=shown)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.weights] * (name in BY_MEANING)) for name in names("critics")]
)
def test_critics(name: str) -> None:
    options, findings = CRITICS[name]
    context = {"context": "The capital of Peru is Lima. " * 3} if name in BY_MEANING else {}
    sample = Sample(id="s", messages=(Message(role="user", content="What is the capital of Peru?"),), metadata=context)
    assert_critic(name, options=options, findings=findings, sample=sample)


@pytest.mark.weights
@pytest.mark.parametrize("name", names("classifiers"))
def test_classifiers(name: str, options_of) -> None:  # noqa: F811 - the fixture
    assert_classifier(name, options=options_of(name))


@pytest.mark.parametrize("name", names("principles"))
def test_principles(name: str) -> None:
    assert_principle(name)


def source_input(name: str, folder: Path) -> SourceInput:
    """Write a small file as the source reads it."""
    path = folder / f"data.{name}"
    if name in SMALL:
        path.write_text(SMALL[name], encoding="utf-8")
    elif name in LABELLED:
        path.write_text(LABELLED[name][1], encoding="utf-8")
    elif name in {"json", "jsonl"}:
        path.write_text(json.dumps([PLAIN] if name == "json" else PLAIN), encoding="utf-8")
    elif name == "csv":
        path.write_text("id,prompt\none,Hello\n", encoding="utf-8")
    elif name == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"id": ["one"], "prompt": ["Hello"]}), path)
    elif name == "canaries":
        from harness_canaries.drawing import KIND, CanarySet

        drawn = CanarySet(formats=("The code of {name} is {digits:6}.",), count=3, repeat=(1,), seed=1)
        return SourceInput(path=None, injected=({"kind": KIND, **drawn.plain()},))
    else:
        raise AssertionError(f"give the source {name} its data here")
    return SourceInput(path=path)


SOURCES = [name for name in names("sources") if name not in {"datasets", "template"}]
"""But for the hub's, and for templates, which tests/banks holds to the contract."""


@pytest.mark.parametrize("name", SOURCES)
def test_sources(name: str, tmp_path: Path) -> None:
    assert_source(name, source_input(name, tmp_path))


def test_the_hubs_source(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: [PLAIN])
    assert_source("datasets", SourceInput(path=None, options={"name": "org/set"}))


@pytest.mark.parametrize("name", STAGES)
def test_stages(name: str, tmp_path: Path) -> None:
    rows = [{"prompt": f"Say {n}", "completion": str(n)} for n in range(8)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "config.json").write_text("{}")
    assert_stage(name, tmp_path, options=STAGES[name])


@pytest.mark.parametrize("scheme", ["echo", "hf", "replay"])
def test_models(scheme: str, tmp_path: Path, tiny_base: Path) -> None:
    """What a server answers is up to the server: `openai` has tests of its own, and so has `vllm`."""
    log = tmp_path / "log.jsonl"
    asked = {request.messages[-1].content for request in questions() if request.type == "generate"}
    log.write_text("".join(json.dumps({"prompt": text, "response": "Hello"}) + "\n" for text in asked))
    assert_model({"echo": "echo:", "hf": f"hf:{tiny_base}", "replay": f"replay:{log}"}[scheme])


def test_the_command() -> None:
    assert_command("gate audit")
    for name in ("run", "train", "decide", "report"):
        assert_command(name)


def test_there_is_a_test_of_each_bundled_thing() -> None:
    """Kinds that no bundled plugin brings are tested by the tutorial's."""
    assert names("report_sections") == []
    assert set(names("classifiers")) == {"detoxify", "minilm-toxicity", "presidio", "toxicity-smollm2", "words-harm"}
    assert set(names("stages")) == {*STAGES, *TRAINING, *GRADED}
    assert set(names("models")) == {"echo", "hf", "openai", "replay", "vllm"}


BROKEN = """
import itertools
from harness import Classifier, Critic, Finding, Metric, Principle, Stage, Unscored, hookimpl
from harness.api import ReportSection, StageOutput
from harness import Sample

count = itertools.count()

class Counting(Classifier):
    def fingerprint(self):
        return str(next(count))
    def classify(self, texts):
        return [(Finding(label="long", probability=0.5, span=(0, len(text) + len(texts))),) for text in texts]

class Kind(Critic):
    def fingerprint(self):
        return "1"
    def score(self, sample, reply, principle, replies, findings):
        return 1.0, ""

class Loud(Metric):
    name, kind, direction, bounds = "loud", "mean", "higher", (0.0, 9.0)
    def requests(self, sample, ask):
        from harness.api import Generate
        return (Generate(messages=sample.messages, decoding=ask),)
    def observe(self, sample, replies, findings, verdicts):
        return 1.0, 1.0

class Stray(Stage):
    def check(self, inputs):
        pass
    def inputs(self, inputs):
        return {"data": inputs.base_path / "none.jsonl"}
    def run(self, inputs):
        (inputs.output / "rows.jsonl").write_text(str(next(count)))
        return StageOutput(adapter=None, dataset=inputs.recipe_path, figures={"loss": float("nan")})

def read(source):
    yield Sample(id="one", messages=())
    yield Sample(id="one", messages=(), target=(str(next(count)),))

@hookimpl
def register_classifiers(register):
    register("counting", lambda options, surroundings: Counting(options, surroundings))
@hookimpl
def register_critics(register):
    register("kind", Kind)
@hookimpl
def register_metrics(register):
    register("loud", lambda options, constitutions: [Loud()])
@hookimpl
def register_principles(register):
    register(Principle(id="bare", text="Be.", critics=("nobody",)))
@hookimpl
def register_stages(register):
    register("stray", Stray)
@hookimpl
def register_sources(register):
    register("twice", read)
@hookimpl
def register_report_sections(register):
    register("sad", ReportSection(title=" ", render=lambda run, folder: 1 / 0))
@hookimpl
def register_commands(cli):
    @cli.command()
    def mute():
        pass
    cli.add_late("lost", "nowhere.at_all:command", about="Nowhere.")
@hookimpl
def run_finished(run):
    raise ValueError("no")
@hookimpl
def veto_promotion(run):
    return 7
"""


@pytest.fixture
def broken(tmp_path: Path) -> list[Path]:
    file = tmp_path / "broken.py"
    file.write_text(BROKEN)
    return [file]


def fails(check, *said: str) -> None:
    with pytest.raises(ContractError) as caught:
        check()
    for part in said:
        assert part in str(caught.value)


def test_each_way_of_breaking_a_contract_is_named(broken: list[Path], tmp_path: Path) -> None:
    fails(
        lambda: assert_classifier("counting", plugins=broken, options={}),
        "fingerprint", "unknown option is taken", "outside of it", "shares its batch",
    )  # fmt: skip
    fails(lambda: assert_critic("kind", plugins=broken, options={}), "unknown option is taken", "the empty reply ''")
    fails(lambda: assert_metric("loud", plugins=broken), "without replies")
    text = broken[0].read_text()
    for right, wrong, said in (
        ('"mean"', '"men"', "'men'"), ('"higher"', '"up"', "'up'"), ("(0.0, 9.0)", "(1.0, 0.0)", "bounds of loud"),
    ):  # fmt: skip
        broken[0].write_text(text.replace(right, wrong))
        fails(lambda: assert_metric("loud", plugins=broken), said)
    broken[0].write_text(text)
    fails(lambda: assert_principle("bare", plugins=broken), "no critic 'nobody'", "no example of kind near_miss")
    fails(
        lambda: assert_stage("stray", tmp_path, plugins=broken),
        "its input 'data' is no file", "its dataset is not in the folder", "the figure 'loss' is nan",
        "writes something else", "it wrote dataset, and writes is",
    )  # fmt: skip
    fails(lambda: assert_source("twice", SourceInput(path=None), plugins=broken), "the same id", "other samples")
    fails(lambda: assert_report_section("sad", plugins=broken, folder=tmp_path), "no title", "division by zero")
    fails(lambda: assert_command("mute", plugins=broken), "no line says")
    fails(lambda: assert_command("absent", plugins=broken), "does not list it", "exit code 2")
    fails(lambda: assert_observers("broken", plugins=broken, folder=tmp_path), "run_finished raised", "returned 7")
