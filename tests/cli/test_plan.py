"""What gates can detect and how often they would pass, as a person asks before a run."""

from __future__ import annotations

import json

import pytest

from tests.cli.adapters import write_adapter

SUITE = """\
id: tiny
samples: {source: jsonl, path: tiny.jsonl}
ask: {max_new_tokens: 16}
measure: [exact_match]
gates:
  - {metric: exact_match, min: 0.5}
  - {metric: exact_match, non_inferior: {to: promoted, margin: 0.2}}
"""
CONFIG = """\
model: "echo:"
policy: mine
policies:
  mine: {suites: [tiny.yaml]}
"""


@pytest.fixture
def home(cli):
    """Three of four targets are what the echo model says."""
    lines = [
        {"id": f"s{n}", "prompt": f"say {n}", "target": f"say {n}" if n % 4 else "something else"} for n in range(60)
    ]
    cli.write("tiny.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    cli.write("tiny.yaml", SUITE)
    cli.write("harness.yaml", CONFIG)
    lengths = "id: words\nsamples: {path: tiny.jsonl}\nmeasure: [length]\ngates: [{metric: length_words, max: 9}]\n"
    cli.write("words.yaml", lengths)
    write_adapter(cli.folder / "one", 1.0)
    return cli


def test_before_any_run_it_says_what_can_be_said_and_writes_nothing(home):
    code, found = home.json("plan", "tiny.yaml")
    assert code == 0, home.err
    first, second = found["gates"]
    assert (first["samples"], first["least"], second["least"]) == (60, 5, 14)
    assert first["detects"] == pytest.approx(0.15, abs=0.02)
    assert second["detects"] == pytest.approx(0.152, abs=0.001)  # exact, where the approximation has 0.144
    assert found["together"] is None
    assert found["left_out"] == ["tiny exact_match", "tiny exact_match"]
    assert not (home.folder / ".harness").exists()
    assert home("plan", "tiny.yaml") == 0
    assert "give --assume METRIC=X" in home.out


def test_assumptions_are_simulated_and_more_samples_help(home):
    ask = ("plan", "tiny.yaml", "--assume", "exact_match=0.75", "--discordant", "0.3", "--simulations", "150")
    _, found = home.json(*ask)
    _, more = home.json(*ask, "--samples", "200")
    weakest = min(found["gates"], key=lambda gate: gate["power"])
    assert found["costliest"] == f"{weakest['suite']} {weakest['gate']['metric']}"
    assert home(*ask, "--power", "0.99") == 0
    assert "costs most: it passes in" in home.out
    assert found["simulations"] == 150
    assert found["low"] <= found["together"] <= found["high"]
    assert found["gates"][0]["power"] > 0.95
    assert 0.7 < found["gates"][1]["power"] < 0.97
    assert more["gates"][1]["power"] >= 0.99
    assert more["gates"][1]["samples"] == 200
    assert found["gates"][1]["needed"] == pytest.approx(46, abs=6)
    assert found["gates"][1]["expected"]["discordant"] == pytest.approx(0.3, abs=0.04)
    _, worse = home.json(*ask, "--change", "exact_match=-0.2")
    assert worse["gates"][1]["power"] < 0.12
    assert worse["gates"][1]["needed"] is None
    assert home(*ask, "--power", "0.99") == 0
    assert "a candidate as good as what it is compared with passes all gates in" in home.out


def test_stored_rows_are_drawn_from(home):
    assert home("run", "tiny.yaml", "--adapter", "./one", "--baseline", "base") == 0, home.err
    code, found = home.json("plan", "tiny.yaml", "--simulations", "60")
    assert code == 0, home.err
    assert found["sources"]["tiny"].startswith("drawn from the run ")
    assert ", against " in found["sources"]["tiny"]
    assert found["gates"][0]["expected"]["value"] == 0.75
    assert found["gates"][1]["expected"]["discordant"] == 0.0
    assert found["together"] > 0.9
    _, injected = home.json("plan", "tiny.yaml", "--simulations", "60", "--change", "exact_match=-0.3")
    assert injected["together"] < 0.1
    assert home("plan", "tiny.yaml", "--truth", "seen", "--run", "latest") == 0, home.err
    home.write("tiny.yaml", SUITE.replace("16}", "17}"))
    _, other = home.json("plan", "tiny.yaml")
    assert other["together"] is None


def test_a_policy_is_planned_at_its_next_attempts_level(home):
    _, first = home.json("plan", "--policy", "mine", "--assume", "exact_match=0.75", "--simulations", "100")
    assert first["attempt"] == 1
    assert first["gates"][0]["gate"]["alpha"] == pytest.approx(0.0304, abs=1e-4)
    _, tenth = home.json(
        "plan", "--policy", "mine", "--attempt", "10", "--assume", "exact_match=0.75", "--simulations", "100"
    )
    assert tenth["gates"][1]["power"] < first["gates"][1]["power"]
    assert tenth["gates"][1]["least"] > first["gates"][1]["least"]
    assert home("decide", "--adapter", "./one") == 0, home.err
    _, second = home.json("plan", "--policy", "mine", "--simulations", "10")
    assert second["attempt"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name suites or a policy"),
        (("tiny.yaml", "--policy", "mine"), "name suites or a policy"),
        (("tiny.yaml", "--attempt", "2"), "--attempt is a policy's"),
        (("tiny.yaml", "--change", "exact_match"), "'exact_match' is not METRIC=NUMBER"),
        (("tiny.yaml", "--change", "exact_match=nan"), "is not METRIC=NUMBER"),
        (("tiny.yaml", "--assume", "exact_mach=0.5"), "no gated metric is called 'exact_mach'; did you mean 'exact_match'"),
        (("tiny.yaml", "--assume", "exact_match=50"), "is no share"),
        (("words.yaml", "--assume", "length_words=0.5"), "length_words is of kind mean, and only proportions can be assumed"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(home, arguments, message):
    assert home("plan", *arguments) == 2
    assert message in " ".join(home.err.split())


def test_the_leak_suite_is_planned_with_the_canaries_of_an_adapter(home):
    """Its samples come with the adapter's training record, by folder and under a policy too."""
    from harness_canaries.drawing import DEFAULT_FORMATS, CanarySet

    canaries = CanarySet(formats=DEFAULT_FORMATS, count=30, repeat=(1,), seed=5)
    (home.folder / "one" / "stage.json").write_text(json.dumps({"injected": [canaries.plain()]}))
    home.write("harness.yaml", CONFIG + "  careful: {suites: [tiny.yaml, leak]}\n")
    assert home("plan", "leak") == 2
    assert "no adapter that is known to be trained on canaries" in home.err
    code, found = home.json("plan", "leak", "--adapter", "./one", "--assume", "canary_exposed=0.01")
    assert code == 0, home.err
    assert {gate["samples"] for gate in found["gates"]} == {30}
    assert next(gate for gate in found["gates"] if gate["gate"]["metric"] == "canary_exposed")["least"] == 14
    code, found = home.json("plan", "--policy", "careful", "--adapter", "./one")
    assert code == 0, home.err
    assert [gate["samples"] for gate in found["gates"] if gate["suite"] == "leak"] == [30, 30, 30]
    assert not (home.folder / ".harness").exists()
    assert home("plan", "leak", "--adapter", "./none") == 2
    assert "no such adapter folder" in home.err
