"""The examples of docs/python-api.md and of the README run as they stand, on a tiny model with a tiny adapter."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from rich.console import Console

import harness
from harness.errors import InputError
from harness.plugins import load_plugins
from harness.session import RunOptions
from tests.tiny import save_adapter, save_llama

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGE = BLOCK.findall((ROOT / "docs" / "python-api.md").read_text(encoding="utf-8"))
README = [block for block in BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")) if "harness.open" in block]
SUITE = """\
id: {id}
samples: {{source: jsonl, path: tiny.jsonl}}
ask: {{max_new_tokens: 4}}
measure: [{metrics}]
gates:
  - {{metric: {gate}, non_inferior: {{to: promoted, margin: 0.3}}}}
"""
SETTINGS = """\
model: {model}
policy: house
policies:
  house: {{suites: [tiny.yaml]}}
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    base = save_llama(folder / "base")
    save_adapter(base, folder / "my-adapter", seed=1)
    return folder


@pytest.fixture
def project(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my-adapter").symlink_to(models / "my-adapter")
    (tmp_path / "harness.yaml").write_text(SETTINGS.format(model=models / "base"))
    (tmp_path / "tiny.yaml").write_text(SUITE.format(id="tiny", metrics="exact_match", gate="exact_match"))
    rows = [f'{{"id": "s{n}", "prompt": "say {n}", "target": "{n}"}}' for n in range(40)]
    (tmp_path / "tiny.jsonl").write_text("\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_runs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(PAGE) == 2
    exec(compile(PAGE[0], "docs/python-api.md", "exec"), {})
    out = capsys.readouterr().out
    assert "0.00 [0.00, " in out
    assert "exact_match" in out
    assert re.search(r"^(passed|failed|inconclusive) because ", out, re.MULTILINE)
    exec(compile(PAGE[1], "docs/python-api.md", "exec"), {})
    assert "1 metrics, 40 samples missed" in capsys.readouterr().out


def test_the_readme_runs_in_ten_lines(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = README
    assert len(block.strip().splitlines()) <= 10
    exec(
        compile(block.replace('"persona"', '"tiny.yaml"').replace("answer_match", "exact_match"), "README", "exec"), {}
    )
    assert re.search(r"(passed|failed|inconclusive)", capsys.readouterr().out)


def test_results_draw_themselves_in_a_notebook_with_text_escaped(project: Path) -> None:
    with harness.open(".") as session:
        run = session.run("tiny.yaml", adapter="./my-adapter", system="<script>alert(1)</script>")
        drawn = run._repr_html_()
        assert "exact_match" in drawn
        assert "<script>" not in drawn
        console = Console(record=True, width=120)
        console.print(run)
        assert "exact_match" in console.export_text()
        compared = session.compare(run, run)
        assert list(compared.to_pandas()["difference"]) == [0.0]
        assert "exact_match" in compared._repr_html_()


def test_a_session_of_another_folder_reads_paths_from_there(project: Path, monkeypatch, tmp_path_factory) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with harness.open(project, seed=3) as session:
        run = session.run("tiny.yaml", adapter="./my-adapter", limit=10)
        assert run.record.seed == 3
        assert run.record.samples == 10
        assert session.workspace.root == project / ".harness"
        assert [found.id for found in session.runs("tiny")][-1] == run.id


def test_a_workspace_itself_can_be_opened(project: Path) -> None:
    with harness.open(project) as session:
        session.run("tiny.yaml", gates=False)
    with harness.open(project / ".harness") as session:
        assert session.stored().status == "ungated"


def test_bind_shares_plugins_and_changes_only_what_it_names(project: Path) -> None:
    session = harness.open(".")
    plugins = session.plugins
    other = session.bind(seed=7)
    assert other.plugins is plugins
    assert (session.options.seed, other.options.seed) == (0, 7)
    assert session.bind(plugins=("no:harness_canaries",)).plugins is not plugins


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda session: session.run("tiny.yaml", limmit=3), "did you mean 'limit'"),
        (lambda session: session.run("tiny.yaml", limit=0), "at least 1"),
        (lambda session: session.bind(sed=1), "did you mean 'seed'"),
        (lambda session: session.run("tinny.yaml"), "tinny.yaml"),
        (lambda session: session.stored("nothing"), "no"),
        (lambda session: session.decide(policy="hous"), "did you mean 'house'"),
    ],
)
def test_what_is_wrong_gets_one_sentence(project: Path, call, sentence: str) -> None:
    with harness.open(".") as session, pytest.raises(InputError, match=re.escape(sentence)):
        call(session)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        harness.open(tmp_path / "nowhere")


def test_replies_are_judged_by_a_constitution(project: Path) -> None:
    polite = "You are a clown and a moron."
    with harness.open(".") as session:
        first, second = session.judge([("How are you?", "Fine, thank you."), ("How are you?", polite)], "civility")
        assert [verdict.principle for verdict in first] == ["civility"]
        assert first[0].score > second[0].score
        with pytest.raises(InputError, match="did you mean 'civility'"):
            session.judge([("a", "b")], "civilty")


def test_the_page_names_every_option_and_every_job() -> None:
    text = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    options = {field.name for field in fields(RunOptions)}
    assert {name for name in options if f"`{name}=" not in text} == set()
    jobs = {job.name for job in load_plugins(installed=False).registries.jobs}
    assert {name for name in jobs if f"session.{name}(" not in text} == set()
