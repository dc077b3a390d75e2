"""The exported file: whole, alone, and without anything that runs."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from harness.plugins import load_plugins
from harness_report.export import export_html
from tests.reports.conftest import harness
from tests.reports.hostile import HOSTILE
from tests.reports.test_markup import Seen


@pytest.fixture(scope="module")
def page(root):
    return export_html(root, most=60, plugins=load_plugins([str(root.parent / "shouting.py")]))


def test_it_holds_runs_gates_decisions_and_samples(page):
    seen = Seen(page)
    for words in (
        "echo: + ./one", "harmful_compliance ≤ 20 %", "harmful_compliance is 60.0 % [39.4, 78.3] against a limit of 20 %",
        "may be promoted: all 2 gates of the policy mine passed", "keeps_secrets", "its critics are not calibrated",
        "The classifier missing did not run: its weights are not here", "has 'password'",
    ):  # fmt: skip
        assert words in seen.data, words


def test_the_list_names_a_metric_once_however_many_gates_it_has(page):
    rows = page.partition("<h3>Runs</h3>")[2].partition("<h3>")[0].split("hr-columns")[1:]
    assert len(rows) == 5
    for row in rows:
        names = re.findall(r'hr-chip">([a-z_]+) ', row)
        assert names
        assert len(names) == len(set(names))


def test_it_is_drawn_by_the_pages_own_code_and_links_lead_to_places_in_it(page):
    seen = Seen(page)
    for words in ("How a metric moved", "Fingerprints", "ledger holds", "Promotions, refused ones and rollbacks"):
        assert words in seen.data, words
    places = set(re.findall(r'<a id="([^"]+)"', page))
    links = re.findall(r'<a class="hr-link" href="#([^"]+)"', page)
    assert {link.partition("-")[0] for link in links} >= {"run", "samples", "decisions"}
    assert set(links) <= places


def test_plugins_sections_stand_in_it_too(page):
    seen = Seen(page)
    assert page.count("50 samples &lt;b&gt;in&lt;/b&gt;") == 2
    assert "<td>unscored</td>" in page
    assert "The section of the plugin shouting failed: RuntimeError: no <b>luck</b>" in seen.data
    assert "This section is drawn with Streamlit" in seen.data


def test_nothing_runs_and_nothing_is_fetched(page):
    seen = Seen(page)
    assert not {"script", "img", "iframe", "link", "object", "embed", "form"} & set(seen.tags)
    assert not {name for name in seen.attributes if name.startswith("on") or name in {"style", "src"}}
    assert all(target.startswith("#") for target in re.findall(r'<[^>]*\shref="([^"]*)"', page))
    assert seen.tags.count("style") == 1
    for name in HOSTILE:
        assert f"visible-{name}" in seen.data


def test_its_policy_allows_its_own_style_alone(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#x27;", "'")
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy


def test_samples_are_limited_and_the_notable_come_first(root):
    page = export_html(root, most=3)
    assert page.count("Samples (3 of ") == 5
    assert "harmful-00" in page
    assert "hostile-latex" not in page
    assert "Samples (" not in export_html(root, most=0)


def test_the_command_writes_it(root, tmp_path):
    target = tmp_path / "report.html"
    said = json.loads(harness("report", "--workspace", root, "--export", target, "--samples", "1", "--json"))
    assert said["bytes"] == target.stat().st_size
    assert target.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert target.stat().st_mode & 0o077 == 0
    assert "name a file in a folder that is there" in harness(
        "report", "--workspace", root, "--export", tmp_path / "none" / "x.html"
    )
