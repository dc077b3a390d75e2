"""Several candidates, one of them to the gates: at the attempt's level over their number, counted once."""

from __future__ import annotations

import json
import math

import pytest

from harness.errors import BrokenRunError
from tests.cli.adapters import write_adapter

CONFIG = """\
model: "echo:"
policy: mine
policies:
  mine:
    suites: [tiny.yaml]
  looks:
    looks: [0.5, 1]
    suites: [tiny.yaml]
"""


@pytest.fixture
def home(cli):
    """A folder with a policy and three adapters, which the echo model minds by their ids alone."""
    cli.write("harness.yaml", CONFIG)
    for name in ("a1", "a2", "a3"):
        write_adapter(cli.folder / name, int(name[1]))
    return cli


def test_the_best_is_decided_about_at_its_part_of_the_level_and_counts_once(home):
    assert home("tournament", "--adapter", "./a1", "--adapter", "./a2", "--adapter", "./a3", "--json") == 0, home.err
    found = json.loads(home.out)
    level = 0.05 * 6 / math.pi**2 / 3
    assert found["level"] == pytest.approx(level)
    assert found["decision"]["level"] == pytest.approx(level)
    assert found["decision"]["candidate_fingerprint"] == found["contenders"][0]["fingerprint"]
    assert len(found["contenders"]) == 3
    assert "attempt 1, the best of 3" in found["decision"]["sentence"]
    assert all(
        check["gate"]["alpha"] == pytest.approx(level) for one in found["contenders"] for _, check in one["checks"]
    )
    _, shown = home.json("show", "policy", "mine")
    assert shown["attempts"]["attempts"] == 1
    assert home("promote", found["decision"]["id"]) == 0, home.err


def test_who_would_be_checked_is_said_without_asking(home):
    assert home("tournament", "--adapter", "./a1", "--adapter", "./a2", "--dry-run") == 0, home.err
    assert "attempt 1 of the policy mine: 2 candidates, each checked at 0.0152" in home.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--adapter", "./a1"), "two candidates or more"),
        (("--adapter", "./a1", "--adapter", "./a1"), "two of the candidates are the same"),
        (("--adapter", "./a1", "--adapter", "./a2", "--policy", "looks"), "takes one look at one level"),
    ],
)
def test_what_is_no_tournament_is_refused(home, arguments, said):
    assert home("tournament", *arguments) == 2
    assert said in home.err


def test_the_same_once_more_is_at_the_level_of_its_attempt(home):
    """Level and gates of a replay are those of the attempt that it repeats, not of the next one."""
    arguments = ("tournament", "--adapter", "./a1", "--adapter", "./a2", "--json")
    assert home(*arguments) == 0, home.err
    first = json.loads(home.out)
    assert home(*arguments) == 0, home.err
    again = json.loads(home.out)
    assert again["level"] == first["level"] == again["decision"]["level"]
    assert again["contenders"] == first["contenders"]
    assert again["decision"]["attempt"] == 1


def test_whole_models_take_part_beside_adapters(home):
    arguments = ("tournament", "--whole", "echo:say 1", "--whole", "echo:say 2", "--adapter", "./a1")
    code, found = home.json(*arguments, "--dry-run")
    assert code == 0, home.err
    assert found["attempt"] == 1
    assert found["level"] == pytest.approx(0.05 * 6 / math.pi**2 / 3)
    assert len(found["candidates"]) == 3
    code, found = home.json(*arguments)
    assert code == 0, home.err
    assert len({one["fingerprint"] for one in found["contenders"]}) == 3
    assert "./a1" in found["contenders"][0]["candidate"], "the echo model alone repeats what it is told"
    assert [one["passed"] for one in found["contenders"]] == [1, 0, 0]
    assert home("tournament", "--whole", "echo:say 1", "--whole", "echo:say 1") == 2
    assert "two of the candidates are the same" in home.err
    assert home("tournament") == 2
    assert "--whole" in home.err


def test_a_policy_that_hides_what_decides_holds_no_tournament(home):
    """It would ask the hidden samples of each candidate without a draw, and show them."""
    home.write("harness.yaml", CONFIG.replace("suites: [tiny.yaml]", "suites: [{suite: tiny.yaml, deciding: 0.5}]", 1))
    assert home("tournament", "--adapter", "./a1", "--adapter", "./a2") == 2
    assert "hides what decides" in home.err
    assert not list(home.folder.rglob("run.json"))


def test_nothing_is_measured_where_no_attempt_is_left(home):
    home.write("harness.yaml", CONFIG.replace("  mine:\n", "  mine:\n    attempts: 1\n"))
    assert home("tournament", "--adapter", "./a1", "--adapter", "./a2") == 0, home.err
    made = len(list(home.folder.rglob("run.json")))
    assert home("tournament", "--adapter", "./a1", "--adapter", "./a3") == 2
    assert "all 1 attempts" in home.err
    assert len(list(home.folder.rglob("run.json"))) == made
    assert home("tournament", "--adapter", "./a1", "--adapter", "./a3", "--dry-run") == 2
    assert "all 1 attempts" in home.err


@pytest.mark.parametrize("arguments", [("--adapter", "./a1"), ("--adapter", "./a1", "--adapter", "./a1")])
def test_a_dry_run_refuses_what_the_tournament_would(home, arguments):
    assert home("tournament", *arguments, "--dry-run") == 2


def test_the_attempt_is_spent_before_a_number_is_known(home, monkeypatch):
    """A tournament that is broken off when its numbers are stored does not get its attempt back."""

    def broken(*_: object, **__: object) -> None:
        raise BrokenRunError("the machine was switched off")

    arguments = ("tournament", "--adapter", "./a1", "--adapter", "./a2")
    with monkeypatch.context() as patched:
        patched.setattr("harness_promotion.policy_run.decide", broken)
        assert home(*arguments) == 3
    assert list(home.folder.rglob("run.json"))
    assert home("tournament", "--adapter", "./a1", "--adapter", "./a3", "--json") == 0, home.err
    assert json.loads(home.out)["decision"]["attempt"] == 2
    assert home(*arguments, "--json") == 0, home.err
    assert json.loads(home.out)["decision"]["attempt"] == 1


def test_who_is_promoted_already_is_not_measured_again(home):
    assert home("decide", "--adapter", "./a1", "--json") == 0, home.err
    assert home("promote", json.loads(home.out)["decision"]["id"]) == 0, home.err
    made = len(list(home.folder.rglob("run.json")))
    assert home("tournament", "--adapter", "./a2", "--adapter", "./a1") == 2
    assert "is what is promoted already" in home.err
    assert "./a1" in home.err
    assert len(list(home.folder.rglob("run.json"))) == made
