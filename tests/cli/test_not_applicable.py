"""A gate that holds on some devices alone is said to be not applicable on others, and is no pass there."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from harness.testing import assert_gate
from tests.cli.adapters import write_adapter

SUITE = """\
id: tiny
samples: {source: jsonl, path: tiny.jsonl}
measure: [exact_match, {latency: {samples: 2}}]
gates:
  - {metric: exact_match, min: 0.5}
  - {metric: per_100_tokens_p50, max: 0.0000001, evidence: point, devices: [cuda, mps]}
"""


@pytest.fixture
def home(cli):
    cli.write("tiny.yaml", SUITE)
    cli.write("harness.yaml", 'model: "echo:"\npolicy: mine\npolicies:\n  mine:\n    suites: [tiny.yaml]\n'
              "    left_out: [speed on a CPU]\n")  # fmt: skip
    write_adapter(cli.folder / "one", 1.0)
    return cli


def test_it_is_said_everywhere_and_stands_in_nobodys_way(home):
    assert home("run", "tiny.yaml", "--junit", "out.xml", "--markdown", "out.md") == 0, home.out
    words = "it holds on cuda and mps, and this ran on none"
    assert "– not applicable" in home.out
    assert words in " ".join(home.out.split())
    assert ET.parse(home.folder / "out.xml").find(".//skipped").get("message") == f"not applicable: {words}"
    assert "➖ not applicable" in (home.folder / "out.md").read_text()
    assert home("gate", "latest") == 0
    assert "– not applicable" in home.out
    assert home("decide", "--adapter", "./one") == 0, home.err
    assert "may be promoted: the one gate that apply here, of 2, of the policy mine" not in home.out
    assert "may be promoted: the one gate that applies here, of 2, of the policy mine passed" in home.out
    assert "not asked for: speed on a CPU" in home.out
    assert home("promote", "latest") == 0, home.err
    assert_gate("tiny.yaml")


def test_where_nothing_applies_nothing_is_passed(home):
    home.write("tiny.yaml", SUITE.replace("  - {metric: exact_match, min: 0.5}\n", ""))
    code, found = home.json("run", "tiny.yaml", "--junit", "out.xml", "--markdown", "out.md")
    assert (code, found["runs"][0]["status"]) == (1, "ungated")
    failure = ET.parse(home.folder / "out.xml").find(".//failure")
    assert (failure.get("type"), "nothing was passed" in failure.text) == ("ungated", True)
    assert "➖ ungated" in (home.folder / "out.md").read_text()
    assert home("run", "tiny.yaml") == 1
    assert "gates: – ungated" in home.out
    code, found = home.json("gate", "latest")
    assert (code, found["status"]) == (1, "ungated")
    assert home("gate", "latest") == 1
    assert "gates: – ungated" in home.out
    assert home("report", "--export", "report.html") == 0
    page = (home.folder / "report.html").read_text()
    assert "– ungated" in page
    assert "✓ passed" not in page
    assert home("decide", "--adapter", "./one", "--junit", "decided.xml", "--markdown", "decided.md") == 1
    assert "no gate applies on this device" in home.out
    assert "– ungated" in home.out
    types = {found.get("type") for found in ET.parse(home.folder / "decided.xml").iter("failure")}
    assert types == {"ungated"}
    assert (home.folder / "decided.md").read_text().splitlines()[1].startswith("## ➖ ungated")
    assert home("promote", "latest") == 1
    with pytest.raises(AssertionError, match="0 of 0 gates"):
        assert_gate("tiny.yaml")


def test_on_a_device_where_it_holds_it_is_checked(home):
    home.write("tiny.yaml", SUITE.replace("[cuda, mps]", "[cpu]").replace("0.0000001", "5"))
    assert home("run", "tiny.yaml") == 0
    home.write("tiny.yaml", SUITE.replace("[cuda, mps]", "[gpu]"))
    assert home("run", "tiny.yaml") == 2
    assert "devices" in home.err
