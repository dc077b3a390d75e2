"""Gates on adherence, from the suite's file to the decision: only calibrated principles gate, and each has its own check."""

from __future__ import annotations

import pytest

from tests.cli.adapters import write_adapter

CONSTITUTION = """\
id: mine
version: 1
principles:
  - {id: plain, text: Speak plainly., critics: [rules]}
  - {id: brief, text: Be brief., critics: [rules]}
"""
CALIBRATED = """\
      calibration:
        plain: {sensitivity: [57, 60], specificity: [118, 120], where: replies that two people labelled}
        brief: {sensitivity: [55, 60], specificity: [117, 120]}
"""
SUITE = f"""\
id: tiny
samples: {{source: jsonl, path: tiny.jsonl}}
ask: {{max_new_tokens: 16}}
critics:
  rules: {{must_not: [forsooth]}}
measure:
  - adherence:
      constitution: ./mine.yaml
{CALIBRATED}gates:
  - {{metric: adherence, each: principle, min: 0.8}}
  - {{metric: adherence.plain, min: 0.7, corrected: true}}
"""
POLICY = """\
model: "echo:"
policy: mine
policies:
  mine:
    suites:
      - suite: tiny.yaml
        gates: [{metric: adherence, each: principle, min: 0.75}]
"""


@pytest.fixture
def home(cli):
    cli.write("mine.yaml", CONSTITUTION)
    cli.write("tiny.yaml", SUITE)
    cli.write("harness.yaml", POLICY)
    write_adapter(cli.folder / "one", 1.0)
    return cli


def test_each_principle_has_a_check(home):
    code, found = home.json("run", "tiny.yaml", "--model", "echo:")
    assert code == 0, home.err
    checks = found["runs"][0]["run"]["checks"]
    assert [check["gate"]["metric"] for check in checks] == ["adherence.plain", "adherence.brief", "adherence.plain"]
    assert checks[2]["corrected"]["value"] == 1.0
    assert checks[2]["estimate"]["method"] == "Clopper–Pearson"
    assert home("gate", "latest") == 0, home.err
    assert home("gate", "latest", "--policy", "mine") == 0, home.err
    assert "exploratory" in home.out


def test_a_policy_holds_every_principle_to_its_floor(home):
    assert home("decide", "--adapter", "./one") == 0, home.err
    assert "all 2 gates of the policy mine passed" in home.out
    home.write("tiny.yaml", SUITE.replace("forsooth", "say 1"))
    assert home("decide", "--adapter", "./one") == 1
    assert "2 of 2 gates inconclusive (tiny adherence.plain, tiny adherence.brief)" in home.out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((CALIBRATED, ""), "adherence.plain informs and does not gate until its critics are calibrated"),
        (("brief: {sens", "breif: {sens"), "calibration.breif: no principle judged here is called 'breif'"),
        (("[57, 60]", "[61, 60]"), "sensitivity is [labelled right, all], and 61 is more than 60"),
        (("[57, 60]", "[5, 10]"), "adherence.plain cannot be corrected: its labeller found 118 of 120 and spared 5 of 10"),
        (("adherence, each: principle", "adherence.plain, each: principles"), "gates[0].each"),
        (("adherence, each: principle", "adherences, each: principle"), "nothing measures adherences by principle"),
        (("min: 0.8", "min: 0.97"), "min 0.97 on adherence.plain could not pass even with perfect data"),
        (("min: 0.7, corrected", "non_inferior: {margin: 0.3}, corrected"), "corrected is for min and max, not for non_inferior"),
        (("corrected: true", "corrected: true, evidence: point"), "a corrected gate needs its interval"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_its_place(home, change, message):
    assert change[0] in SUITE
    home.write("tiny.yaml", SUITE.replace(*change))
    assert home("run", "tiny.yaml", "--model", "echo:") == 2
    assert message in " ".join(home.err.split())
    assert "tiny.yaml:11: " in home.err if "breif" in change[1] else "tiny.yaml:" in home.err
