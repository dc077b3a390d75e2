"""Attempts, looks, reviews and what promote reads afresh, as a person meets them on the command line."""

from __future__ import annotations

import json
import math

import pytest

from harness.stats.sequential import look_levels
from tests.cli.adapters import write_adapter

CONFIG = """\
model: "echo:"
policy: mine
policies:
  mine:
    suites: [tiny.yaml]
  looks:
    suites:
      - {suite: tiny.yaml, samples: [10, 20, 40]}
  reviewed:
    review: manual
    suites: [tiny.yaml]
"""
HARD = "gates:\n  - {metric: exact_match, min: 0.9}\n"


@pytest.fixture
def home(cli):
    """A folder with policies and adapters, which the echo model minds by their ids alone."""
    cli.write("harness.yaml", CONFIG)
    for number in range(1, 8):
        write_adapter(cli.folder / f"a{number}", float(number))
    return cli


def decided(home, *arguments):
    code, found = home.json("decide", *arguments)
    return code, found["decision"]


def test_attempts_are_counted_and_replays_are_not(home):
    levels = []
    for number in (1, 2, 3):
        code, decision = decided(home, "--adapter", f"./a{number}")
        assert (code, decision["attempt"]) == (0, number)
        levels.append(decision["level"])
        assert {check["gate"]["alpha"] for _, check in decision["checks"]} == {decision["level"]}
    assert levels == pytest.approx([0.05 * 0.6079271 / n**2 for n in (1, 2, 3)])
    assert decided(home, "--adapter", "./a1")[1]["attempt"] == 1
    assert home("decide", "--adapter", "./a1") == 0
    assert "attempt 1 was made before: the same again spends nothing" in home.out
    assert "at attempt 1 (level 0.0304)" in home.out
    home.rows(60)
    assert decided(home, "--adapter", "./a1")[1]["attempt"] == 4
    assert home("show", "policy", "mine") == 0
    assert "attempts: 4" in home.out


def test_an_attempt_whose_level_nothing_could_reach_is_refused_before_the_run_and_spends_nothing(home):
    home.write("tiny.yaml", (home.folder / "tiny.yaml").read_text().split("gates:")[0] + HARD)
    assert home("decide", "--adapter", "./a1") == 0, home.err + home.out
    assert home("decide", "--adapter", "./a2") == 2
    assert "at attempt 2 (level 0.0076) of the policy mine" in home.err
    assert "harness policy reset mine" in home.err
    _, shown = home.json("show", "policy", "mine")
    assert shown["attempts"]["attempts"] == 1
    assert home("policy", "reset", "mine", "--reason", "the echo is another one") == 0, home.err
    assert "1 attempt had spent 0.0304 of its alpha" in home.out
    code, decision = decided(home, "--adapter", "./a2")
    assert (code, decision["attempt"]) == (0, 1)
    assert home("policy", "reset", "mien", "--reason", "x") == 2
    assert "did you mean 'mine'" in home.err


def test_looks_go_on_until_one_decides_and_others_are_exploratory(home):
    code, decision = decided(home, "--adapter", "./a1", "--policy", "looks")
    assert (code, decision["look"], decision["looks"]) == (0, 1, 3)
    assert decision["level"] == pytest.approx(look_levels(0.05 * 6 / math.pi**2, (0.25, 0.5, 1.0))[0])
    assert "at attempt 1, look 1 of 3 (level 0.0109)" in decision["sentence"]
    code, decision = decided(home, "--adapter", "./a1", "--policy", "looks", "--samples", "40")
    assert (code, decision["look"], decision["attempt"], decision["exploratory"]) == (0, 3, 1, "")
    code, decision = decided(home, "--adapter", "./a1", "--policy", "looks", "--samples", "30")
    assert (code, decision["status"], decision["attempt"]) == (1, "inconclusive", 0)
    assert decision["exploratory"] == "the policy looks declares no look at 30 samples"
    assert home("promote", decision["id"]) == 1
    assert "exploratory, and may not be promoted" in home.err


def test_a_look_that_decides_nothing_is_followed_by_the_next(home):
    """The echo gets every third wrong: ten are not enough to tell 67 % from 50 %."""
    rows = [
        {"id": f"s{n}", "prompt": f"say {n}", "target": f"say {n}" if n % 3 else "something else"} for n in range(400)
    ]
    home.write("tiny.jsonl", "\n".join(map(json.dumps, rows)) + "\n")
    home.write("harness.yaml", CONFIG.replace("[10, 20, 40]", "[10, 20, 400]"))
    assert home("decide", "--adapter", "./a1", "--policy", "looks") == 0, home.err
    assert "look 1: may not be promoted under the policy looks at attempt 1, look 1 of 3" in home.out
    assert "look 3 of 3" in home.out
    _, listed = home.json("history", "--decisions")
    assert [entry["body"]["status"] for entry in listed["history"]][-1] == "passed"
    assert len(listed["history"]) >= 2


def test_sequential_stops_early_and_is_one_attempt_that_can_be_promoted(home):
    code, decision = decided(home, "--adapter", "./a1", "--sequential")
    assert (code, decision["attempt"], decision["look"], decision["looks"]) == (0, 1, 1, 3)
    run = json.loads((home.folder / ".harness" / "runs" / next(iter(decision["runs"])) / "run.json").read_text())
    rows = (home.folder / "tiny.jsonl").read_text().strip().count("\n") + 1
    assert run["samples"] == math.ceil(rows / 4)
    code, again = decided(home, "--adapter", "./a1", "--sequential")
    assert (code, again["attempt"], again["look"]) == (0, 1, 1)
    assert home("promote", decision["id"]) == 0, home.err


def test_looks_count_samples_and_not_their_draws(home):
    home.rows(160)
    suite = (home.folder / "tiny.yaml").read_text()
    suite = suite.replace("ask: {max_new_tokens: 16}", "ask: {max_new_tokens: 16, temperature: 1}")
    home.write("tiny.yaml", f"{suite}epochs: 2\n")
    assert home("decide", "--adapter", "./a1", "--sequential") in {0, 1}, home.err
    limits = {json.loads(path.read_text())["limit"] for path in (home.folder / ".harness" / "runs").glob("*/run.json")}
    assert min(limits) == 40
    assert max(limits) <= 160


def test_sequential_with_looks_of_its_own_or_one_size_is_refused(home):
    assert home("decide", "--adapter", "./a1", "--policy", "looks", "--sequential") == 2
    assert "the policy looks declares its own looks" in home.err
    assert home("decide", "--adapter", "./a1", "--sequential", "--samples", "10") == 2
    assert "--sequential looks at rising sizes" in home.err


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("looks: [0.5, 0.25]", "rise to 1"),
        ("looks: [0.25, 0.5]", "rise to 1"),
        ("fdr: saffron\n    attempts: 3", "gives each attempt its level"),
        ("fdr: safron", "saffron"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused_with_its_line(home, keys, said):
    home.write("harness.yaml", CONFIG.replace("  mine:\n", f"  mine:\n    {keys}\n"))
    assert home("decide", "--adapter", "./a1") == 2
    assert said in home.err
    assert "harness.yaml" in home.err


def test_gates_that_are_changed_after_the_numbers_are_known_cannot_promote(home):
    text = (home.folder / "tiny.yaml").read_text()
    home.write("tiny.yaml", text.replace("min: 0.5", "max: 0.5"))
    assert home("decide", "--adapter", "./a1") == 1
    home.write("tiny.yaml", text)
    code, decision = decided(home, "--adapter", "./a1")
    assert (code, decision["status"]) == (1, "inconclusive")
    assert "before the policy mine was as it is now" in decision["exploratory"]
    assert home("promote", "latest") == 1
    code, decision = decided(home, "--adapter", "./a2")
    assert (code, decision["attempt"]) == (0, 1), "a candidate that nobody has measured counts"
    assert home("promote", "latest") == 0, home.err


def test_a_run_before_the_policy_was_written_is_a_look_too(home):
    home.write("harness.yaml", 'model: "echo:"\n')
    assert home("run", "tiny.yaml", "--adapter", "./a1") == 0
    home.write("harness.yaml", CONFIG)
    assert decided(home, "--adapter", "./a1")[1]["exploratory"]
    assert home("run", "tiny.yaml", "--adapter", "./a2") == 0
    assert decided(home, "--adapter", "./a2")[1]["exploratory"] == ""


def test_a_policy_under_review_waits_for_a_person(home):
    assert home("decide", "--adapter", "./a1", "--policy", "reviewed") == 0
    assert "may be promoted once a person approves it" in home.out
    assert "next: harness approve" in home.out
    assert home("promote", "latest") == 1
    assert "wants a person's word" in home.err
    assert home("reject", "latest", "--reason", "another voice") == 0
    assert home("promote", "latest") == 1
    assert "another voice" in home.err
    assert home("approve", "latest", "--reason", "heard again") == 0
    assert "next: harness promote" in home.out
    assert home("promote", "latest") == 0, home.err
    assert home("ledger", "verify") == 0
    assert home("policy", "reset", "reviewed", "--reason", "a new year") == 2
    assert "nothing to reset" in home.err  # the promotion began a new period
    home("decide", "--adapter", "./a2", "--policy", "reviewed")
    assert home("policy", "reset", "reviewed", "--reason", "a new year") == 0
    assert home("history", "--decisions") == 0
    assert [line.split()[4] for line in home.out.splitlines() if "UTC" in line] == [
        "decision", "review", "review", "promotion", "decision", "reset",
    ]  # fmt: skip
    assert "after 1 attempt: a new year" in " ".join(home.out.split())


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("tiny.jsonl", ('say 3"', 'say 4"'), "the samples of tiny changed since the decision"),
        ("tiny.yaml", ("max_new_tokens: 16", "max_new_tokens: 17"), "what measures and judges the suite of tiny changed"),
        ("tiny.yaml", ("min: 0.5", "min: 0.4"), "the policy mine has changed since the decision"),
    ],
)  # fmt: skip
def test_promote_reads_suites_and_data_afresh(home, file, change, words):
    home("decide", "--adapter", "./a1")
    path = home.folder / file
    text = path.read_text()
    path.write_text(text.replace(*change))
    assert path.read_text() != text
    assert home("promote", "latest") == 2
    assert words in home.err
    path.write_text(text)
    assert home("promote", "latest") == 0, home.err


def test_promote_reads_the_weights_of_the_base_afresh(home):
    replay = home.write("answers.jsonl", "".join(
        json.dumps({"prompt": f"say {n}", "response": f"say {n}"}) + "\n" for n in range(40)
    ))  # fmt: skip
    assert home("decide", "--model", f"replay:{replay}", "--system", "Be brief.") == 0, home.err
    text = replay.read_text()
    replay.write_text(text + text.splitlines()[0] + "\n")
    assert home("promote", "latest") == 3
    assert "the weights of the base of replay:" in home.err
    assert "are not what was judged" in home.err
    replay.write_text(text)
    assert home("promote", "latest") == 0, home.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{suite: tiny.yaml, samples: [40, 20]}", "must rise"),
        ("{suite: tiny.yaml, samples: [20], limit: 10}", "keep one"),
        ("{suite: tiny.yaml, samples: [20, 30]}\n      - {suite: tiny.yaml, samples: [1, 2, 3]}", "same number of looks"),
    ],
)  # fmt: skip
def test_a_schedule_that_makes_no_sense_names_its_line(home, text, words):
    home.write("harness.yaml", CONFIG.replace("{suite: tiny.yaml, samples: [10, 20, 40]}", text))
    assert home("decide", "--adapter", "./a1") == 2
    assert words in home.err
    assert "harness.yaml" in home.err


def test_the_same_gates_at_the_attempts_level_are_not_exploratory(home):
    home("decide", "--adapter", "./a1")
    home("decide", "--adapter", "./a2")
    code, found = home.json("gate", "latest", "--policy", "mine")
    assert (code, found["exploratory"]) == (0, False)
    assert found["checks"][0]["gate"]["alpha"] == pytest.approx(0.05 * 0.6079271 / 4)
    home.write("tiny.yaml", (home.folder / "tiny.yaml").read_text().replace("min: 0.5", "min: 0.4"))
    assert home.json("gate", "latest", "--policy", "mine")[1]["exploratory"] is True


def test_looks_by_an_e_process_have_the_whole_level_each(home):
    """Twenty looks cost nothing: each gate's level is the attempt's, and not its part of a look."""
    home.write(
        "tiny.yaml", (home.folder / "tiny.yaml").read_text().replace("min: 0.5}", "min: 0.5, correction: e_process}")
    )
    shares = [round(n / 10, 1) for n in range(1, 11)]
    home.write(
        "harness.yaml", f"model: 'echo:'\npolicy: mine\npolicies: {{mine: {{looks: {shares}, suites: [tiny.yaml]}}}}\n"
    )
    code, found = home.json("decide", "--adapter", "./a1")
    assert code in {0, 1}, home.err
    decision = found["decision"]
    assert {check["gate"]["alpha"] for _, check in decision["checks"]} == {6 * 0.05 / math.pi**2}
    assert any("at any number of looks" in check["sentence"] for _, check in decision["checks"])
