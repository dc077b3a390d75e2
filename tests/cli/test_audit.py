"""`harness gate audit` on the command line: what it lists, what it refuses, and its exit codes."""

from __future__ import annotations

import pytest


@pytest.fixture
def cli(cli, monkeypatch):
    monkeypatch.chdir(cli.folder)
    return cli


def test_a_dry_run_lists_the_cases_of_the_recorded_rows(cli):
    code, found = cli.json("gate", "audit", "--dry-run")
    assert code == 0
    groups = {case["group"] for case in found["cases"]}
    assert {"max", "non_inferior", "superior", "equivalent", "max corrected", "unscored", "policy demo"} <= groups
    assert all("recorded" in source for source in found["sources"])


def test_a_small_audit_says_what_it_found(cli):
    code, found = cli.json(
        "gate", "audit", "--gate", "max_unscored", "--simulations", "50", "--jobs", "1", "--seed", "3"
    )
    assert code == 0
    assert {result["group"] for result in found["results"]} == {"max_unscored"}
    assert all(result["promotes"] == 0 for result in found["results"])
    assert cli("gate", "audit", "--gate", "max_unscored", "--simulations", "50", "--jobs", "1") == 0
    assert "the gates keep their promises" in cli.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--gate", "superiour"), "superior"),
        (("--policy", "strikt"), "strict"),
        (("--run", "latest"), "no workspace"),
        (("--run", "latest", "--recorded"), "--recorded"),
        (("--only", "toxic"), "--full"),
        (("--full", "--only", "toxik"), "toxic"),
        (("--workspace", "nowhere"), "nowhere"),
    ],
)
def test_mistakes_are_one_sentence(cli, arguments, said):
    assert cli("gate", "audit", "--dry-run", *arguments) == 2
    assert cli.err.startswith("error: ")
    assert said in cli.err
    assert len(cli.err.strip().splitlines()) == 1
    assert "Traceback" not in cli.err


def test_the_full_audit_says_beforehand_what_it_will_do(cli):
    assert cli("gate", "audit", "--full", "--dry-run") == 0
    assert "toxic" in cli.out
    assert not (cli.folder / ".harness-audit").exists()


def test_gate_still_takes_a_run(cli):
    assert cli("gate", "audit", "--help") == 0
    assert "--simulations" in cli.out
    assert cli("gate", "--help") == 0
    assert "audit" in cli.out
    assert "--junit" in cli.out
    assert cli("gate") == 2
