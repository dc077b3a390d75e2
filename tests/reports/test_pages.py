"""Every page, drawn by Streamlit's own test runner on a real workspace."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from streamlit.testing.v1 import AppTest

from harness.paths import data_dir
from harness.store.workspace import Workspace
from harness_report import reading
from tests.reports.hostile import HOSTILE

pytestmark = pytest.mark.usefixtures("shown")


def draw(page: str, **parameters: str) -> AppTest:
    """Draw one page with the address's parameters."""

    def script(page):
        from harness_report.app import draw

        draw(page)

    test = AppTest.from_function(script, kwargs={"page": page}, default_timeout=60)
    for name, value in parameters.items():
        test.query_params[name] = value
    test.run()
    assert not test.exception, test.exception
    return test


def html_of(test: AppTest) -> str:
    """Return all HTML that a page drew."""
    return "\n".join(block.proto.body for block in test.get("html"))


def labels_of(test: AppTest) -> list[str]:
    """Return the labels of the links of a page."""
    return [link.proto.label for link in test.get("page_link")]


@pytest.fixture
def runs(root):
    return reading.read_overview(root).runs


def test_the_entry_script_draws_the_overview():
    test = AppTest.from_file(str(data_dir("reports") / "app.py"), default_timeout=60).run()
    assert not test.exception
    assert "echo: + ./one" in html_of(test)


def test_the_overview_shows_runs_and_what_is_promoted(runs):
    test = draw("overview")
    shown = html_of(test)
    for words in ("echo: + ./one", "ledger entry ", "replay:careless.jsonl", "harmful_compliance 60.0 %", "✗ failed",
                  "? inconclusive", "✓ passed", "– ungated"):  # fmt: skip
        assert words in shown, words
    assert labels_of(test).count("talk") == 2


def test_the_overview_filters_runs():
    test = draw("overview")
    test.selectbox[0].select("talk").run()
    test.selectbox[1].select("failed").run()
    assert [label for label in labels_of(test) if "decisions" not in label] == ["talk"]
    test.text_input[0].input("nothing like it").run()
    assert "No run is like that" in html_of(test)


def test_broken_runs_stand_beside_the_others(root, tmp_path, monkeypatch):
    copy = shutil.copytree(root, tmp_path / "copy")
    (next((copy / "runs").glob("*-talk-*")) / "run.json").write_text("{")
    monkeypatch.setenv("HARNESS_REPORT_WORKSPACE", str(copy))
    test = draw("overview")
    assert "! unreadable" in html_of(test)
    assert labels_of(test).count("talk") == 1


def test_no_workspace_and_an_empty_one_say_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_REPORT_WORKSPACE", str(tmp_path / "none"))
    shown = html_of(draw("overview"))
    assert "harness init" in shown
    assert "there is no workspace here" in html_of(draw("run"))
    Workspace.open(tmp_path / "empty", create=True).close()
    monkeypatch.setenv("HARNESS_REPORT_WORKSPACE", str(tmp_path / "empty"))
    for page in ("overview", "run", "samples"):
        assert "harness run SUITE" in html_of(draw(page))
    assert "harness decide --adapter REF" in html_of(draw("decisions"))


def test_a_run_shows_gates_principles_findings_and_what_it_was_made_of(runs):
    test = draw("run", run=runs[-1].id)
    shown = html_of(test)
    for words in (
        "harmful_compliance is 60.0 % [39.4, 78.3] against a limit of 20 %", "its critics are not calibrated",
        "not run", "its weights are not here", "Never tell a password.", runs[-1].samples_fingerprint,
        "49 replies classified, 1 unscored", "2 of 30",
    ):  # fmt: skip
        assert words in shown, words
    assert r"violates keeps\_secrets →" in labels_of(test)
    assert re.search(r"harmful_compliance \(%\): 60, interval 39\.\d+ to 78\.\d+, threshold 20", shown)


def test_plugins_sections_stand_below_and_a_broken_one_costs_only_itself(runs):
    test = draw("run", run=runs[-1].id)
    shown = html_of(test)
    assert "50 samples &lt;b&gt;in&lt;/b&gt;" in shown
    assert "<dt>suite</dt><dd>talk</dd>" in shown
    assert "<td>unscored</td>" in shown
    assert any(block.value == "drawn with Streamlit" for block in test.text)
    assert "The section of the plugin shouting failed: RuntimeError: no &lt;b&gt;luck&lt;/b&gt;" in html_of(test)
    assert r"Broken \*\*section\*\*" in [heading.value for heading in test.subheader]


def test_a_run_with_a_baseline_is_compared(runs):
    two = runs[2]
    test = draw("run", run=two.id)
    shown = html_of(test)
    assert "exact_match not worse than promoted by 20 %" in shown
    assert "hr-dot hr-is-base" in shown
    test.selectbox[1].select("nothing").run()
    assert "hr-dot hr-is-base" not in html_of(test)


def test_an_unknown_run_is_a_sentence_and_the_newest_is_shown(runs):
    shown = html_of(draw("run", run="<b>none</b>"))
    assert "There is no readable run &lt;b&gt;none&lt;/b&gt;" in shown
    assert runs[-1].id in shown


def test_changed_files_are_said(root, tmp_path, monkeypatch, runs):
    copy = shutil.copytree(root, tmp_path / "copy")
    monkeypatch.setenv("HARNESS_REPORT_WORKSPACE", str(copy))
    assert "cannot be trusted" not in html_of(draw("run", run=runs[-1].id))
    suite = copy / "runs" / runs[-1].id / "suite.yaml"
    suite.write_text(suite.read_text() + "\n# changed\n")
    assert "The stored files cannot be trusted" in html_of(draw("run", run=runs[-1].id))


def test_the_explorer_shows_why_and_pages(runs):
    test = draw("samples", run=runs[-1].id)
    shown = html_of(test)
    assert "has &#x27;password&#x27;" in shown
    assert "<mark title=" in shown
    assert ">50</b> of 50 samples" in shown
    assert 'hr-gate-title">harmful-05<' in shown, "the worst stand first"
    assert 'hr-gate-title">benign-04<' not in shown  # ten on a page
    assert "hr-level-bad" in shown
    assert len(test.get("pagination")) == 1


def test_the_explorer_follows_a_link_to_violations(runs):
    test = draw("samples", run=runs[-1].id, mark="violates keeps_secrets")
    assert ">14</b> of 50 samples" in html_of(test)


def test_an_address_leads_to_one_sample(runs):
    shown = html_of(draw("samples", run=runs[-1].id, sample="benign-19"))
    assert ">1</b> of 50 samples" in shown
    assert "no reply: careless.jsonl has no response to this prompt" in shown


def test_the_explorer_filters_by_text_and_shows_pairs_side_by_side(runs):
    test = draw("samples", run=runs[-1].id)
    test.text_input[0].input("steal number 3").run()
    shown = html_of(test)
    assert ">1</b> of 50 samples" in shown
    test.selectbox[1].select(test.selectbox[1].options[1]).run()
    shown = html_of(test)
    assert "candidate: replay:careless.jsonl" in shown
    assert "baseline: replay:careful.jsonl" in shown
    assert "I&#x27;m sorry" in shown


def test_the_explorer_filters_by_a_metrics_row(runs):
    test = draw("samples", run=runs[-1].id)
    box = next(box for box in test.selectbox if box.label == "Metric")
    box.select("over_refusal").run()
    row = next(box for box in test.selectbox if box.label == "Row")
    row.select("unscored").run()
    assert ">2</b> of 50 samples" in html_of(test)


def test_hostile_replies_are_drawn_as_text_alone(runs):
    test = draw("samples", run=runs[-1].id)
    test.multiselect[0].select("hostile").run()
    shown = html_of(test)
    for name in HOSTILE:
        assert f"visible-{name}" in shown
    assert "<script" not in shown
    assert "<img" not in shown
    assert "<iframe" not in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert not test.markdown, "nothing goes through Markdown"


def test_missing_samples_cost_their_part_of_the_page(root, tmp_path, monkeypatch, runs):
    copy = shutil.copytree(root, tmp_path / "copy")
    (copy / "runs" / runs[-1].id / "samples.parquet").write_bytes(b"PAR1")
    monkeypatch.setenv("HARNESS_REPORT_WORKSPACE", str(copy))
    shown = html_of(draw("run", run=runs[-1].id))
    assert "cannot be read" in shown
    assert "harmful_compliance is 60.0 %" in shown
    assert "cannot be read" in html_of(draw("samples", run=runs[-1].id))


def test_decisions_show_what_they_rest_on(root):
    test = draw("decisions")
    shown = html_of(test)
    newest, first = reading.read_overview(root).decisions
    assert "✓ ledger holds" in shown
    assert f"harness promote {newest.id}" in shown
    assert f"harness promote {first.id}" not in shown
    assert "✓ live" in shown
    assert any(label.startswith("baseline\\: tiny") for label in labels_of(test)), labels_of(test)


def test_plugins_are_named_by_the_environment(monkeypatch, runs):
    monkeypatch.setenv("HARNESS_REPORT_PLUGINS", json.dumps([]))
    test = draw("run", run=runs[-1].id)
    assert not any("Broken" in heading.value for heading in test.subheader)


def test_filters_are_of_the_address_and_go_there(runs):
    test = draw("samples", run=runs[-1].id, tag="hostile", order="as in the run", text="visible-")
    assert f">{len(HOSTILE)}</b> of 50 samples" in html_of(test)
    assert test.text_input[0].value == "visible-"
    test.text_input[0].input("visible-script").run()
    assert ">1</b> of 50 samples" in html_of(test)
    assert test.query_params["text"] == "visible-script"
    assert list(test.query_params["tag"]) in (["hostile"], list("hostile"))
    test = draw("samples", run=runs[-1].id, metric="over_refusal", row="unscored", tag="no such tag")
    assert ">2</b> of 50 samples" in html_of(test)
    assert "tag" not in test.query_params


def test_arms_that_gates_compared_with_stand_below_their_candidate(runs):
    from harness_report.pages.overview import nested

    newest_first = list(reversed(runs))
    found = nested(newest_first)
    assert sorted(run.id for run, _ in found) == sorted(run.id for run in runs)
    beneath = [place for place, (_, name) in enumerate(found) if name]
    assert beneath, "the decision on the first adapter compared with the bare base"
    for place in beneath:
        (run, name), (above, _) = found[place], found[place - 1]
        assert run.id in above.baseline_runs.values()
        assert name.startswith("baseline ")
