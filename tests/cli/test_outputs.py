"""Gates for other programs: JUnit XML and Markdown that say what the table says, whatever a text tries."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli.outputs import Checked
from harness.types import Veto
from harness_ci.junit import junit_xml
from harness_ci.markdown import markdown_summary
from tests.cli.adapters import write_adapter
from tests.store import builders

TWO = """\
gates:
  - {metric: exact_match, min: 0.5}
  - {metric: exact_match, max: 0.2}
  - {metric: exact_match, superior: {to: base}}
"""


@pytest.fixture
def home(cli):
    cli.write("harness.yaml", 'model: "echo:"\npolicy: mine\npolicies:\n  mine: {suites: [tiny.yaml]}\n')
    cli.write("tiny.yaml", (cli.folder / "tiny.yaml").read_text().split("gates:")[0] + TWO)
    write_adapter(cli.folder / "one", 1.0)
    return cli


@pytest.mark.parametrize("command", ["run", "decide", "gate"])
def test_every_command_with_gates_writes_both(home, command):
    assert home("run", "tiny.yaml", "--adapter", "./one") == 1
    arguments = {"run": ["run", "tiny.yaml", "--adapter", "./one"], "decide": ["decide", "--adapter", "./one"],
                 "gate": ["gate", "latest"]}[command]  # fmt: skip
    assert home(*arguments, "--junit", "out.xml", "--markdown", "out.md") == 1, home.err
    root = ET.parse(home.folder / "out.xml").getroot()
    suite = root.find("testsuite[@name='tiny']")
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "2", "0")
    found = {case.get("name"): case.find("failure") for case in suite.findall("testcase")}
    assert found["exact_match ≥ 50 %"] is None
    assert found["exact_match ≤ 20 %"].get("type") == "failed"
    assert found["exact_match better than base"].get("type") == "inconclusive"
    assert "against a limit of 20 %" in found["exact_match ≤ 20 %"].get("message")
    assert root.get("failures") == ("3" if command == "decide" else "2")
    text = (home.folder / "out.md").read_text()
    assert "| exact\\_match ≤ 20 % | ❌ failed | exact\\_match is 100\\.0 % " in text
    assert "❔ inconclusive" in text
    assert ("policy mine" in text) == (command == "decide")


def test_a_decision_that_passes_has_no_failure_and_a_run_without_gates_is_skipped(home):
    home.write("tiny.yaml", (home.folder / "tiny.yaml").read_text().split("  - {metric: exact_match, max")[0])
    assert home("decide", "--adapter", "./one", "--junit", "out.xml") == 0
    root = ET.parse(home.folder / "out.xml").getroot()
    assert (root.get("tests"), root.get("failures")) == ("2", "0")
    assert home("run", "tiny.yaml", "--no-gates", "--junit", "out.xml", "--markdown", "out.md") == 0
    assert ET.parse(home.folder / "out.xml").find(".//skipped").get("message") == "the run has no gates"
    assert "This run has no gates" in (home.folder / "out.md").read_text()


def test_the_ci_pages_file_is_added_to_and_any_other_is_written_anew(home, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(home.folder / "summary.md"))
    home.write("summary.md", "what an earlier step said\n")
    home.write("other.md", "<!-- Made by: harness, Markdown -->\nold\n")
    assert home("run", "tiny.yaml", "--markdown", "summary.md") == 1
    assert home("run", "tiny.yaml", "--markdown", "other.md") == 1, home.err
    assert (home.folder / "summary.md").read_text().startswith("what an earlier step said\n###")
    assert "old" not in (home.folder / "other.md").read_text()


def test_a_file_that_cannot_be_written_is_one_sentence(home):
    assert home("run", "tiny.yaml", "--junit", "nowhere/out.xml") == 2
    assert "nowhere/out.xml: cannot be written" in home.err


def test_json_stays_one_document(home):
    assert home("run", "tiny.yaml", "--json", "--junit", "out.xml") == 1
    assert json.loads(home.out)["runs"]


def decision_with(text: str):
    check = replace(builders.check("failed"), sentence=f"failed: {text}")
    run = builders.run_record(builders.candidate(), checks=(check,), notes=(text,))
    from harness.types import Decision

    return run, Decision(
        id="0" * 12, created="2026-11-20", policy=text, policy_fingerprint="f", candidate=run.candidate,
        candidate_fingerprint="c", baseline=run.candidate, baseline_fingerprint="b", runs={}, baseline_runs={},
        checks=(("tiny", check),), vetoes=(Veto(owner=text, reason=text),), status="failed", sentence=text,
    )  # fmt: skip


@given(st.text())
def test_junit_carries_any_text(text):
    run, decision = decision_with(text)
    root = ET.fromstring(junit_xml([Checked(run=run, checks=run.checks)], decision).encode())
    assert len(root.findall(".//testcase")) == 2
    assert len(root.findall(".//failure")) == 2


HOSTILE = (
    "<script>alert(1)</script> | ![x](http://evil/x.png) [click](javascript:x) @team `code` www.evil.com\n"
    "# heading $\\color{red}x$"
)


def test_markdown_obeys_nothing():
    run, decision = decision_with(HOSTILE)
    text = markdown_summary([Checked(run=run, checks=run.checks)], decision)
    assert "<script" not in text
    assert "://" not in text
    assert "www." not in text
    assert "@" not in text
    assert "\n# heading" not in text
    assert "$" not in text.replace("\\$", "")
    assert "![" not in text.replace("\\!\\[", "")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "failed" in line]
    assert len(rows) == 1
    assert rows[0].replace("\\|", "").count("|") == 4


@given(st.text())
def test_a_row_of_the_markdown_table_has_three_cells_whatever_the_text(text):
    run, _ = decision_with(text)
    page = markdown_summary([Checked(run=run, checks=run.checks)])
    (row,) = [line for line in page.split("\n") if line.startswith("| accuracy")]
    unescaped = row.replace("\\\\", "").replace("\\|", "")
    assert unescaped.count("|") == 4
