"""Gates with a fixed anchor, from the suite's file to the decision: the anchor's arm is run and stays where it is."""

from __future__ import annotations

import pytest

from tests.cli.adapters import write_adapter

ANCHORED = """\
id: tiny
samples: {source: jsonl, path: tiny.jsonl}
ask: {max_new_tokens: 16}
measure: [exact_match]
gates:
  - {metric: exact_match, non_inferior: {to: promoted, margin: 0.1, anchor: first_promoted, total_margin: 0.2}}
  - {metric: exact_match, equivalent: {to: base, margin: 0.1}}
"""


@pytest.fixture
def home(cli):
    cli.write("tiny.yaml", ANCHORED)
    cli.rows(90)  # enough for the third attempt's level
    cli.write("harness.yaml", 'model: "echo:"\npolicy: mine\npolicies:\n  mine: {suites: [tiny.yaml]}\n')
    for name, weight in (("one", 1.0), ("two", 2.0), ("three", 3.0)):
        write_adapter(cli.folder / name, weight)
    return cli


def test_the_anchor_is_run_and_stays_what_was_promoted_first(home):
    for name in ("one", "two"):
        assert home("decide", "--adapter", f"./{name}") == 0, home.err
        assert home("promote", "latest") == 0, home.err
    _, found = home.json("decide", "--adapter", "./three")
    _, check = found["decision"]["checks"][0]
    assert check["status"] == "passed"
    assert check["anchor"]["status"] == "passed"
    assert "of first_promoted: +0.0 points" in check["sentence"]
    _, run = home.json("runs", "show", "latest")
    first, second = (run["baseline_runs"][name] for name in ("first_promoted", "promoted"))
    assert first != second
    _, shown = home.json("runs", "show", first)
    assert shown["candidate"]["adapters"][0]["reference"] == "./one"
    assert home("gate", "latest") == 0, home.err
    assert "first_promoted" in home.out
    assert home("decide", "--adapter", "./three") == 0
    assert "1 of 1 runs were stored already" in home.out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((", total_margin: 0.2", ""), "gates[0].non_inferior: anchor and total_margin belong together"),
        (("anchor: first_promoted", "anchor: promoted"), "the anchor must stay where it is, and 'promoted' moves"),
        (("total_margin: 0.2", "total_margin: 0.05"), "total_margin 0.05 is smaller than margin 0.1"),
        (("to: promoted, margin: 0.1, anchor: first_promoted", "to: base, margin: 0.1, anchor: base"),
         "the anchor is what `to` names already, 'base'"),
        (("equivalent: {to: base, margin: 0.1}", "equivalent: {to: base, margin: 0.01}"),
         "equivalent to base within 0.01 on exact_match could not pass even with the best outcome: it needs at least "),
        (("equivalent: {to: base, margin: 0.1}", "equivalent: {to: base}"), "the key 'margin' is missing"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_its_place(home, change, message):
    home.write("tiny.yaml", ANCHORED.replace(*change))
    assert home("run", "tiny.yaml", "--model", "echo:", "--adapter", "./one") == 2
    told = " ".join(home.err.split())
    assert message in told
    assert "tiny.yaml:6" in told or "tiny.yaml:7" in told
