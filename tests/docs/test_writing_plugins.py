"""Every example of docs/writing-plugins.md is taken out of the page, loaded as a person would, and used."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import harness
from harness import hookspecs
from harness.api.stats import check_gate, require_attainable
from harness.cli.main import cli
from harness.contracts import RunContext, SourceInput
from harness.engine.programs import guarded
from harness.engine.programs import run as run_program
from harness.errors import InputError
from harness.evaluation.constitutions import Constitutions
from harness.gates.kinds import CORRECTIONS, KINDS, kind_of
from harness.plugins import Plugins, load_plugins
from harness.progress import NoProgress
from harness.reading.config import read_policy
from harness.reading.suite import read_suite
from harness.types import (
    Candidate,
    Case,
    Completion,
    Decoding,
    Generate,
    LedgerEntry,
    LogLikelihood,
    LogProb,
    Message,
    ModelSpec,
    NoReply,
    NotApplicable,
    Reply,
    Request,
    RunRecord,
    RunSpec,
    Sample,
    SampleRecord,
    StageInput,
    Unscored,
)
from harness_training.recipe import read_recipe
from tests.stats.conftest import events

__all__ = ["events"]

PAGE = Path(__file__).parents[2] / "docs" / "writing-plugins.md"
BLOCK = re.compile(r"^```(\w+)\n# (\S+\.\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = {name: (language, body) for language, name, body in BLOCK.findall(PAGE.read_text(encoding="utf-8"))}
PLUGIN_FILES = sorted(name for name, (language, _) in EXAMPLES.items() if language == "python" and "test_" not in name)
SAMPLE = Sample(id="s", messages=(Message(role="user", content="What is the capital of Peru?"),), target=("Lima",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, (_, body) in EXAMPLES.items():
        (tmp_path / name).write_text(body, encoding="utf-8")
    return tmp_path


@pytest.fixture
def load(folder: Path):
    def load(*names: str) -> Plugins:
        plugins = load_plugins([str(folder / name) for name in names], installed=False)
        assert not plugins.broken, plugins.broken
        return plugins

    return load


def completion(text: str) -> Completion:
    return Completion(text=text, prompt_tokens=None, completion_tokens=None, finish="stop")


def run_record(**changes: Any) -> RunRecord:
    candidate = Candidate(model=ModelSpec(reference="parrot:", scheme="parrot", name=""))
    record = RunRecord(
        id="r1", created="2026-01-02T10:00:00+00:00", harness_version="0", suite="capitals", suite_version=1,
        suite_fingerprint="", candidate=candidate, candidate_fingerprint="", judge=None, judge_fingerprint=None,
        seed=0, limit=None, samples=8, samples_fingerprint="", estimates=(), checks=(), classifiers=(), critics={},
        constitutions={}, baseline_runs={}, requests=9, model_calls=7, seconds=1.0, environment={},
    )  # fmt: skip
    return replace(record, **changes)


def test_every_block_of_code_names_its_file() -> None:
    fences = len(re.findall(r"^```\w+$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert fences == len(BLOCK.findall(PAGE.read_text(encoding="utf-8"))) == len(EXAMPLES)


def test_every_hook_is_on_the_page_and_every_hook_on_the_page_exists() -> None:
    hooks = {name for name, value in vars(hookspecs).items() if hasattr(value, "harness_spec")}
    shown = set(re.findall(r"@hookimpl\ndef (\w+)\(", PAGE.read_text(encoding="utf-8")))
    assert shown == hooks


def test_headings_and_links_of_the_page_agree() -> None:
    text = PAGE.read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-")
        for line in re.findall(r"^## (.+)$", text, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", text)) <= anchors


@pytest.mark.parametrize("name", PLUGIN_FILES)
def test_each_example_loads_alone(load, name: str) -> None:
    assert load(name).infos[-1].name == Path(name).stem


def test_all_examples_load_together_from_one_folder(folder: Path) -> None:
    plugins = load_plugins([str(folder)], installed=False)
    assert not plugins.broken
    assert {Path(name).stem for name in PLUGIN_FILES} <= {info.name for info in plugins.infos}
    assert not any(info.name.startswith("test_") for info in plugins.infos)


def test_the_tests_of_the_page_pass(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_brief.py", "test_parrot.py", "test_contracts.py"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout


def test_pyproject_of_the_page_names_the_group(folder: Path) -> None:
    import tomllib

    from harness.plugins import ENTRY_POINT_GROUP

    assert ENTRY_POINT_GROUP in tomllib.loads((folder / "pyproject.toml").read_text())["project"]["entry-points"]


def test_principle_passes_its_own_test(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(cli, ["principle", "test", "brief.py"], standalone_mode=False)
    assert result.return_value == 0, result.output


def test_critic(load) -> None:
    critic = load("warmth.py").registries.critics.get("warmth")({})
    rule = load("brief.py").registries.principles.get("brief")
    requests = critic.requests(SAMPLE, completion("Hello\nthere"), rule)
    assert "> Hello\n> there" in requests[0].messages[0].content
    replies: tuple[Reply, ...] = tuple(LogProb(logprob=math.log(p), tokens=1) for p in (0.6, 0.2))
    assert critic.score(SAMPLE, completion("Hello"), rule, replies, {})[0] == pytest.approx(0.75)
    silent = (NoReply(reason="down"),) * 2
    assert isinstance(critic.score(SAMPLE, completion("Hello"), rule, silent, {})[0], Unscored)


def test_tool(load) -> None:
    find = load("orders.py").registries.tools.get("find_order")
    assert find({"id": "7"}, SAMPLE) == {"status": "sent"}
    assert find({"id": "9"}, SAMPLE) == {"status": "there is no such order"}


def test_verifier(load) -> None:
    check = load("cites.py").registries.verifiers.get("cites_a_page")
    rule = load("brief.py").registries.principles.get("brief")

    def verdict(prompt: str, reply: str) -> object:
        asked = replace(SAMPLE, messages=(Message(role="user", content=prompt),))
        return check(Case(sample=asked, completion=completion(reply), principle=rule, findings={}))

    assert verdict("Name your source.", "Mills, p. 12") is True
    assert verdict("Name your source.", "I forgot.") is False
    assert isinstance(verdict("Hello", "Hi"), NotApplicable)


def test_a_critic_that_asks_twice(load) -> None:
    critic = load("second_thought.py").registries.critics.get("second_thought")({})
    rule = load("brief.py").registries.principles.get("brief")
    case = Case(sample=SAMPLE, completion=completion("Hello\nthere"), principle=rule, findings={})
    asked: list[tuple[str, int]] = []

    def answer(role: str, requests: Sequence[Request]) -> list[Reply]:
        asked.append((role, len(requests)))
        assert all("> Hello\n> there" in request.messages[0].content for request in requests)  # type: ignore[union-attr]
        if role == "reviser":
            return [completion("It rambles.")]
        return [LogProb(logprob=-1.0 if one.continuation == "Yes" else -2.0, tokens=1) for one in requests]  # type: ignore[union-attr]

    program = guarded(lambda: critic.judge(case), "the critic", critic, roles=critic.roles)
    assert run_program(program, answer) == (0.0, "It rambles.")
    assert asked == [("reviser", 1), ("judge", 2)]
    silent = guarded(lambda: critic.judge(case), "the critic", critic, roles=critic.roles)
    score, _ = run_program(silent, lambda _, requests: [NoReply(reason="down")] * len(requests))
    assert isinstance(score, Unscored)


def test_constitution(load, folder: Path) -> None:
    plugins = load("manners.py", "brief.py", "warmth.py")
    brief, warm = Constitutions(plugins.registries, folder)["manners"]
    assert (brief.id, brief.weight, warm.weight) == ("brief", 0.25, 0.75)
    assert {example.kind for example in warm.examples} == {"pass", "fail", "near_miss"}


def test_source(load, folder: Path) -> None:
    read = load("pairs.py").registries.sources.get("pairs")
    samples = list(read(SourceInput(path=folder / "capitals.txt")))
    assert samples[0].messages[0].content == "What is the capital of France?"
    assert samples[0].target == ("Paris",)
    (folder / "bad.txt").write_text("no equals sign\n")
    with pytest.raises(InputError, match=r"bad\.txt:1: the line lacks"):
        list(read(SourceInput(path=folder / "bad.txt")))


def test_metrics(load) -> None:
    metrics = load("mentions.py").registries.metrics
    (mentions,) = metrics.get("mentions")({}, {})
    (exclamations,) = metrics.get("exclamations")({}, {})
    assert mentions.requests(SAMPLE, Decoding()) == (Generate(messages=SAMPLE.messages, decoding=Decoding()),)
    assert mentions.observe(SAMPLE, (completion("It is lima."),), {}, ()) == (1.0, 1.0)
    assert mentions.observe(SAMPLE, (completion("Cusco"),), {}, ()) == (0.0, 1.0)
    assert exclamations.observe(SAMPLE, (completion("Oh! Ah!"),), {}, ()) == (2.0, 1.0)
    assert isinstance(mentions.observe(SAMPLE, (NoReply(reason="down"),), {}, ()), Unscored)
    with pytest.raises(InputError, match="exclamations has no options"):
        metrics.get("exclamations")({"at": 1}, {})


@pytest.fixture(autouse=True)
def kinds_of_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what a test adds to the process's kinds of gate end with it."""
    monkeypatch.setattr(KINDS, "_makers", dict(KINDS._known()))
    monkeypatch.setattr(KINDS, "_made", {})
    monkeypatch.setattr(CORRECTIONS, "_makers", dict(CORRECTIONS._known()))
    monkeypatch.setattr(CORRECTIONS, "_made", {})


def test_a_kind_of_gate_is_read_and_checked_as_those_that_ship(load, folder: Path, events) -> None:
    load("within.py")
    suite = folder / "short.yaml"
    text = EXAMPLES["capitals.yaml"][1].partition("gates:")[0] + "gates:\n"
    gates = {}
    for around, by in ((0.5, 0.4), (0.1, 0.05), (0.5, 0.05)):
        suite.write_text(f"{text}  - {{metric: mentions, within: {{around: {around}, by: {by}}}}}\n")
        (gate,) = read_suite(suite).gates
        gates[around, by] = gate
    assert gates[0.5, 0.4].kind == "within"
    table = events(30, 30, name="mentions")
    checks = [check_gate(gate, table) for gate in gates.values()]
    assert [check.status for check in checks] == ["passed", "failed", "inconclusive"]
    assert checks[0].sentence.startswith("passed: mentions is 50.0 % [")
    for gate in gates.values():
        require_attainable(gate, table.metric, 60)
        assert kind_of(gate).drawn(checks[0]).region.ends
    suite.write_text(f"{text}  - {{metric: mentions, within: {{arround: 0.5, by: 0.4}}}}\n")
    with pytest.raises(InputError, match=r"short\.yaml:\d+: gates\[0\]\.within\.arround: unknown key.*'around'"):
        read_suite(suite)
    suite.write_text(f"{text}  - {{metric: mentions, wihtin: {{around: 0.5, by: 0.4}}}}\n")
    with pytest.raises(InputError, match=r"did you mean 'within'"):
        read_suite(suite)


def test_a_correction_is_read_and_gives_the_verdict(load, folder: Path, events) -> None:
    load("sure.py")
    suite = folder / "short.yaml"
    text = EXAMPLES["capitals.yaml"][1].partition("gates:")[0] + "gates:\n"
    suite.write_text(f"{text}  - {{metric: mentions, max: 0.5, correction: sure}}\n")
    (gate,) = read_suite(suite).gates
    assert check_gate(gate, events(0, 200, name="mentions")).status == "passed"
    found = check_gate(gate, events(0, 60, name="mentions"))
    assert found.status == "inconclusive"
    assert "on 60 samples alone, passed: mentions is" in found.sentence
    suite.write_text(f"{text}  - {{metric: mentions, max: 0.5, correction: shure}}\n")
    with pytest.raises(InputError, match=r"no correction is called 'shure'; did you mean 'sure'"):
        read_suite(suite)


def test_suite_is_read_and_uses_what_the_page_registers(load, folder: Path) -> None:
    plugins = load("capitals.py", "pairs.py", "mentions.py")
    suite = read_suite(plugins.registries.suites.get("capitals"))
    assert suite.source in plugins.registries.sources
    assert all(name in plugins.registries.metrics for name, _ in suite.measure)
    assert suite.data_path is not None
    assert suite.data_path.is_file()


def test_suite_runs_on_the_model_of_the_page(folder: Path) -> None:
    (folder / "test_brief.py").unlink()
    arguments = ["run", "capitals", "--model", "parrot:Lima", "-p", ".", "--json", "--offline"]
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli.main", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr  # a parrot mentions one capital in eight, which proves nothing
    values = {one["metric"]: one["value"] for one in json.loads(done.stdout)["runs"][0]["run"]["estimates"]}
    assert values["mentions"] == pytest.approx(1 / 8)
    assert values["exclamations"] == 1.0
    assert "capitals: " in (folder / "diary.log").read_text()


def test_classifier(load, tmp_path: Path) -> None:
    make = load("shouting.py").registries.classifiers.get("shouting")
    loud, mixed, none = make({}, RunContext(weights=tmp_path)).classify(["HEY", "Hi", "123"])
    assert loud[0].probability == 1.0
    assert mixed[0].probability == 0.5
    assert isinstance(none, Unscored)


def test_model(load, tmp_path: Path) -> None:
    make = load("parrot.py").registries.models.get("parrot")
    spec = ModelSpec(reference="parrot:Well,", scheme="parrot", name="Well,")
    model = make(spec, RunContext(weights=tmp_path))
    replies: dict[int, Reply] = {}
    asked = (Generate(messages=(Message(role="user", content="hello"),), decoding=Decoding()),)
    model.answer(Candidate(model=spec), asked, replies.__setitem__)
    assert replies[0] == completion("Well, hello!")
    said = Message(role="user", content="hello")
    model.answer(Candidate(model=spec), (LogLikelihood(messages=(said,), continuation="No"),), replies.__setitem__)
    assert replies[0] == LogProb(logprob=pytest.approx(-2 * math.log(26)), tokens=2)
    assert model.fingerprint(Candidate(model=spec)) != make(replace(spec, name="x"), model.context).fingerprint(
        Candidate(model=spec)
    )


def stage_input(folder: Path, **options: Any) -> StageInput:
    output = folder / "out"
    output.mkdir()
    return StageInput(
        model=ModelSpec(reference="x", scheme="hf", name="x"), base_path=folder, adapter=None, dataset=None,
        options=options, recipe_path=folder / "polite.yaml", seed=0, output=output, constitution=None, critics={},
        generate=None, progress=NoProgress(), offline=True,
    )  # fmt: skip


def test_stage(load, folder: Path) -> None:
    stage = load("distinct.py").registries.stages.get("distinct")()
    inputs = stage_input(folder, data="polite.jsonl")
    with pytest.raises(InputError, match="distinct needs a data file"):
        stage.check(inputs)
    (folder / "polite.jsonl").write_text('{"a": 1}\n{"a": 1}\n{"a": 2}\n')
    stage.check(inputs)
    assert stage.inputs(inputs) == {"data": folder / "polite.jsonl"}
    outcome = stage.run(inputs)
    assert outcome.figures == {"dropped": 1.0}
    assert outcome.dataset == folder / "out" / "dataset.jsonl"
    assert outcome.dataset.read_text() == '{"a": 1}\n{"a": 2}\n'


def test_recipe_names_stages_that_exist(load) -> None:
    plugins = load("polite.py", "distinct.py")
    recipe = read_recipe(plugins.registries.recipes.get("polite"))
    assert [name for name, _ in recipe.stages] == ["distinct", "sft"]
    assert all(name in plugins.registries.stages for name, _ in recipe.stages)


def test_policy(load) -> None:
    policy = read_policy(load("careful.py").registries.policies.get("careful"), "careful")
    assert policy.suites[0].suite == "capitals"
    assert policy.suites[0].gates is not None
    assert policy.suites[0].gates[0].margin == 0.1


def test_veto(load) -> None:
    plugins = load("not_on_friday.py")

    def reasons(day: datetime) -> list[object]:
        answers = plugins.collect("veto_promotion", run=run_record(created=day.isoformat()), baseline=None)
        return [answer for name, answer in answers if name == "not_on_friday"]

    assert reasons(datetime(2026, 1, 2)) == ["nothing is promoted on a Friday"]  # noqa: DTZ001
    assert reasons(datetime(2026, 1, 3)) == [None]  # noqa: DTZ001


def test_observers(load, folder: Path) -> None:
    plugins = load("diary.py")
    record = SampleRecord(sample=SAMPLE, replies=(), findings={}, verdicts=(), rows={})
    entry = LedgerEntry(number=3, created="", kind="promotion", body={}, previous="0" * 64, hash="")
    warnings = (
        *plugins.notify("run_started", spec=RunSpec(suites=("capitals",), model="parrot:")),
        *plugins.notify("sample_finished", record=record),
        *plugins.notify("run_finished", run=run_record(), folder=folder),
        *plugins.notify("promotion_changed", entry=entry),
    )
    assert warnings == ()
    assert (folder / "diary.log").read_text().splitlines() == [
        "started capitals", "finished s", "capitals: ungated", "promotion 3",
    ]  # fmt: skip


def test_report_section(load, folder: Path) -> None:
    section = load("counts.py").registries.report_sections.get("counts")
    said, table = section.render(run_record(), folder)
    assert said == "8 samples, 7 of 9 requests asked"
    assert table.columns == ("metric", "n", "unscored")
    assert len(table.rows) == len(run_record().estimates)
    assert section.title == "Counts"


def test_command(folder: Path) -> None:
    result = CliRunner().invoke(cli, ["-p", str(folder / "greet.py"), "greet", "Ada"], standalone_mode=False)
    assert result.output == "Good day, Ada.\n"


def test_job(folder: Path) -> None:
    with harness.open(folder, plugins=folder / "catalogue.py") as session:
        assert session.catalogue("pers") == ["persona"]
        assert "catalogue" in dir(session)
        with pytest.raises(AttributeError, match="catalog'"):
            _ = session.catalog


def test_a_job_does_not_take_a_sessions_own_name(folder: Path) -> None:
    plugin = folder / "catalogue.py"
    plugin.write_text(
        plugin.read_text(encoding="utf-8").replace('register("catalogue"', 'register("run"'), encoding="utf-8"
    )
    with harness.open(folder, plugins=plugin) as session, pytest.raises(InputError, match=r"'run'.*no:catalogue"):
        session.require_plugins()
