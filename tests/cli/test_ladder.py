"""A board on hidden samples that are used again: one bit is told of each candidate, and it costs half of the level."""

from __future__ import annotations

import json
import math

import pytest

CONFIG = """\
model: "echo:9"
policy: mine
policies:
  mine:
    suites:
      - {suite: board.yaml, deciding: 0.8, gates: [{metric: exact_match, superior: {to: base}}]}
  open:
    suites: [board.yaml]
  fresh:
    suites: [{suite: board.yaml, deciding: 0.8, fresh: true, limit: 20}]
  ungated:
    suites: [{suite: board.yaml, deciding: 0.8, gates: [{metric: exact_match, min: 0.1}]}]
"""
SUITE = """\
id: board
version: 1
samples: {source: jsonl, path: board.jsonl}
measure: [exact_match]
gates:
  - {metric: exact_match, non_inferior: {to: promoted, margin: 0.5}}
"""
LEVEL = 0.05 * 6 / math.pi**2


@pytest.fixture
def home(cli):
    """A suite whose answers are 1, 2 and 3, a base that never knows them, and candidates that know one each."""
    cli.write("harness.yaml", CONFIG)
    cli.write("board.yaml", SUITE)
    rows = [{"id": f"q{n}", "prompt": f"Which one, {n}?", "target": [str(1 + (n % 4 > 0))]} for n in range(60)]
    cli.write("board.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return cli


def look(home, answer: int, *more: str) -> dict:
    home("ladder", "--model", f"echo:{answer}", "--json", *more)
    return json.loads(home.out)


def test_one_bit_is_told_and_no_number(home):
    first = look(home, 1)
    assert (first["rose"], first["told"]) == (True, 1)
    assert look(home, 3)["rose"] is False
    best = look(home, 2)
    assert best["rose"] is True
    assert [rose for _, rose in best["board"]] == [True, False, True]
    assert not list(home.folder.rglob("run.json")), "a run's values could be read"
    assert home("ladder", "--model", "echo:3") == 1
    assert "%" not in home.out
    exported = home("ledger", "export")
    assert exported == 0
    assert all("best" not in json.loads(row).get("body", {}) for row in home.out.splitlines())
    assert home("ledger", "verify") == 0


def test_the_same_candidate_again_is_told_the_same_and_costs_nothing(home):
    assert look(home, 2)["replay"] is False
    again = look(home, 2)
    assert (again["replay"], again["rose"], again["told"]) == (True, True, 1)


def test_each_look_halves_the_level_of_later_attempts(home):
    for answer in (1, 3, 1):
        look(home, answer)
    home("decide", "--model", "echo:2", "--json")
    decided = json.loads(home.out)["decision"]
    assert decided["level"] == pytest.approx(LEVEL / 4)
    look(home, 4)
    home("decide", "--model", "echo:2", "--json")
    assert json.loads(home.out)["decision"]["level"] == pytest.approx(LEVEL / 4), "a replay keeps its level"
    _, shown = home.json("show", "policy", "mine")
    assert shown["attempts"]["next_level"] == pytest.approx(0.05 * 6 / math.pi**2 / 4 / 8)


def test_looks_cost_nothing_where_other_samples_decide(home):
    look(home, 1)
    home("decide", "--model", "echo:2", "--policy", "fresh", "--json")
    assert json.loads(home.out)["decision"]["level"] == pytest.approx(LEVEL)


def test_a_step_must_be_climbed(home):
    assert look(home, 1, "--step", "0.1")["rose"] is True
    assert look(home, 2, "--step", "0.9")["rose"] is False


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--policy", "open"), "hides no samples"),
        (("--policy", "fresh"), "draws fresh samples"),
        (("--policy", "ungated"), "compares nothing"),
        (("--metric", "chrf"), "exact_match"),
        (("--step", "0"), "is none"),
    ],
)
def test_what_is_no_ladder_is_refused_before_anything_is_asked(home, arguments, said):
    assert home("ladder", "--model", "echo:1", *arguments) == 2
    assert said in home.err


def test_a_candidate_that_is_the_base_is_refused(home):
    assert home("ladder") == 2
    assert "what it would be compared with" in home.err


def test_a_board_that_was_changed_is_noticed(home):
    look(home, 1)
    (kept,) = (home.folder / ".harness" / "ladder").iterdir()
    kept.write_text('{"best": -1.0}', "utf-8")
    assert home("ladder", "--model", "echo:3") == 3
    assert "not what its last look left" in home.err


def test_a_look_that_is_cut_off_leaves_the_board_as_it_was(home, monkeypatch):
    from harness_ladder.board import Board

    look(home, 1)
    kept = Board.keep

    def cut(self, *given):
        kept(self, *given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Board, "keep", cut)
        assert home("ladder", "--model", "echo:2") == 130
    assert look(home, 3)["rose"] is False
    assert look(home, 2)["rose"] is True
    assert len(list((home.folder / ".harness" / "ladder").glob("*.json"))) == 1
