"""Item banks and hidden halves: what decides is fresh and hidden, and what was seen never decides again."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from harness.api.workspace import is_deciding, read_all_samples, read_prompts, read_samples
from harness.session import open_session
from tests.cli.adapters import write_adapter

CONFIG = """\
model: "echo:"
policy: half
policies:
  half:
    suites:
      - {suite: tiny.yaml, deciding: 0.5}
"""
BANKED = """\
model: "echo:"
policy: bank
policies:
  bank:
    suites:
      - {suite: bank.yaml, deciding: 0.8, fresh: true, limit: 40}
"""
SUITE = """\
id: bank
samples: {source: jsonl, path: bank.jsonl}
measure: [exact_match]
gates:
  - {metric: exact_match, min: 0.4}
"""
MARK = "zebra"


@pytest.fixture
def home(cli):
    """A folder whose policy hides half of a suite; every prompt and reply holds the mark and a number."""
    cli.write("harness.yaml", CONFIG)
    rows = [{"id": f"s{n}", "prompt": f"{MARK} {n}", "target": f"{MARK} {n}" if n % 3 else "other"} for n in range(120)]
    cli.write("tiny.jsonl", "\n".join(map(json.dumps, rows)) + "\n")
    for number in range(1, 6):
        write_adapter(cli.folder / f"a{number}", float(number))
    return cli


@pytest.fixture
def banked(home):
    """A folder whose policy draws fresh samples from a bank of thirty templates of eight fillings."""
    home.write("harness.yaml", BANKED)
    rows = [
        {"id": f"t{t}-{f}-{form}", "prompt": f"{MARK} {t} {f} {form}", "target": f"{MARK} {t} {f} {form}",
         "cluster": f"t{t}", "metadata": {"filling": f"t{t}-{f}"}}
        for t in range(30) for f in range(8) for form in ("one", "two")
    ]  # fmt: skip
    home.write("bank.jsonl", "\n".join(map(json.dumps, rows)) + "\n")
    home.write("bank.yaml", SUITE)
    return home


def decided(home, adapter):
    code, found = home.json("decide", "--adapter", adapter)
    assert code in {0, 1}, home.err
    return found["decision"]


def drawn(home):
    """What the ledger holds of each draw."""
    with open_session(home.folder) as session:
        return [entry.body for entry in session.workspace.ledger.entries("draw")]


def test_run_takes_the_open_half_and_decide_the_other(home):
    code, shown = home.json("run", "tiny.yaml", "--adapter", "./a1")
    assert code == 0, home.err
    (run,) = shown.get("runs", [shown])
    opened = run["run"]["samples"] if "run" in run else run["samples"]
    decision = decided(home, "./a1")
    (hidden,) = [body["items"] for body in drawn(home)]
    assert 30 < len(hidden) < 90
    assert opened + len(hidden) == 120
    assert any("hidden" in text for text in decision["drawn"])


def test_samples_of_one_content_are_asked_once_each(home):
    """Two rows of another id may hold the same prompt and target."""
    rows = [
        {"id": f"s{n}", "prompt": f"{MARK} {n // 2}", "target": f"{MARK} {n // 2}", "cluster": f"c{n // 2}"}
        for n in range(120)
    ]
    home.write("tiny.jsonl", "\n".join(map(json.dumps, rows)) + "\n")
    (run,) = decided(home, "./a1")["runs"]
    hidden = [f"s{n}" for n in range(120) if is_deciding(f"c{n // 2}", 0.5, f"s{n}")]
    with open_session(home.folder) as session:
        assert [one.sample.id for one in read_all_samples(session.workspace, run)] == hidden


def test_what_a_policy_hides_stays_hidden_while_another_of_its_lines_is_wrong(home):
    home.write("harness.yaml", CONFIG + "      - safty-core\n")
    code, shown = home.json("run", "tiny.yaml", "--adapter", "./a1")
    assert code == 0, home.err
    assert shown["runs"][0]["run"]["samples"] < 120


@pytest.mark.parametrize("sections", [
    "{suite: bank.yaml, deciding: 0.5}",
    "{suite: bank.yaml, deciding: 0.8, fresh: true, limit: 40}",
])  # fmt: skip
def test_what_passed_on_hidden_samples_can_be_promoted_until_they_change(banked, sections):
    banked.write("harness.yaml", BANKED.replace("{suite: bank.yaml, deciding: 0.8, fresh: true, limit: 40}", sections))
    banked.write("bank.yaml", SUITE.replace("min: 0.4", "max_unscored: 0.4"))
    decision = decided(banked, "./a1")
    assert decision["status"] == "passed"
    rows = (banked.folder / "bank.jsonl").read_text(encoding="utf-8")
    banked.write("bank.jsonl", rows.replace(f"{MARK} 1", f"{MARK} 1 again"))
    code = banked("promote", decision["id"])
    assert code == 2
    assert "the samples of bank changed" in banked.err
    banked.write("bank.jsonl", rows)
    code = banked("promote", decision["id"])
    assert code == 0, banked.err


def looks(home, run):
    """Every command that shows replies or rows of a run."""
    return (
        ("samples", run), ("samples", run, "--failed"), ("samples", run, "--grep", MARK), ("samples", run, "--json"),
        ("samples", run, "--csv", home.folder / "out.csv", "--force"), ("why", "latest"),
        ("samples", run, "--jsonl", home.folder / "out.jsonl", "--force"),
        ("runs", "show", run), ("runs", "diff", "base", run), ("runs", "diff", "base", run, "--json"),
        ("report", "--export", home.folder / "out.html", "--force"),
    )  # fmt: skip


def test_nothing_that_decided_is_shown_by_any_command(home):
    decision = decided(home, "./a1")
    (run,) = decision["runs"]
    told = re.compile(rf"{MARK} \d+")
    for command in looks(home, run):
        assert home(*command) in {0, 1}, (command, home.err)
        assert not told.search(home.out), command
    for name in ("out.csv", "out.jsonl", "out.html"):
        assert not told.search((home.folder / name).read_text("utf-8")), name
    assert home("samples", run) == 0, home.err
    assert "decide and are hidden" in home.out


def test_python_shows_none_either(home):
    decision = decided(home, "./a1")
    (run,) = decision["runs"]
    with open_session(home.folder) as session:
        assert list(read_samples(session.workspace, run)) == []
        hidden = [one.sample.id for one in read_all_samples(session.workspace, run)]
        assert hidden
        assert read_prompts(session.workspace, run, hidden) == {}


def test_reviewing_retires_and_is_in_the_ledger(home):
    decision = decided(home, "./a1")
    (run,) = decision["runs"]
    (before,) = [body["items"] for body in drawn(home)]
    with open_session(home.folder) as session:
        first = next(read_all_samples(session.workspace, run)).sample.id
    assert home("reveal", run, "--reason", "why") == 2
    assert home("reveal", run, "--id", "none", "--reason", "why") == 2
    assert home("reveal", run, "--id", first, "--reason", "the rule looks wrong") == 0, home.err
    assert "1 sample of" in home.out
    assert home("samples", run) == 0
    assert MARK in home.out
    decided(home, "./a2")
    _, exported = home.json("samples", run)
    assert exported["matching"] == 1
    (other,) = decided(home, "./a3")["runs"]
    with open_session(home.folder) as session:
        assert len(list(read_all_samples(session.workspace, other))) == len(before) - 1
    assert home("reveal", run, "--all", "--reason", "done") == 0
    assert home("decide", "--adapter", "./a4") == 2
    assert "is left to decide" in home.err


def test_each_attempt_draws_fresh_samples_and_a_retry_keeps_its_draw(banked):
    one = decided(banked, "./a1")
    again = decided(banked, "./a1")
    assert again["attempt"] == one["attempt"] == 1
    assert len(drawn(banked)) == 1
    decided(banked, "./a2")
    first, second = (set(body["items"]) for body in drawn(banked))
    assert len(first) == len(second) == 40
    assert not first & second
    assert [body["reused"] for body in drawn(banked)] == [0, 0]
    assert drawn(banked)[1]["left"] == drawn(banked)[0]["left"] - 40


def test_both_arms_have_the_same_draw_of_whole_fillings_over_all_templates(banked):
    decision = decided(banked, "./a1")
    with open_session(banked.folder) as session:
        arms = [
            [one.sample for one in read_all_samples(session.workspace, run)]
            for run in (*decision["runs"], *decision["baseline_runs"])
        ]
    assert len(arms) >= 1
    assert all([one.id for one in arm] == [one.id for one in arms[0]] for arm in arms)
    fillings = [one.metadata["filling"] for one in arms[0]]
    assert all(fillings.count(name) == 2 for name in fillings)
    assert len({one.cluster for one in arms[0]}) == 20


def test_used_up_it_says_plainly_that_evidence_is_reused(banked):
    text = (banked.folder / "harness.yaml").read_text()
    banked.write("harness.yaml", text.replace("limit: 40", "limit: 300"))
    decided(banked, "./a1")
    decision = decided(banked, "./a2")
    assert drawn(banked)[1]["reused"] > 0
    assert "reused" in " ".join(decision["drawn"])
    assert banked("why", decision["id"]) == 0
    assert "evidence is reused" in banked.out


def test_what_a_run_asks_in_the_open_is_not_fresh(banked):
    banked.write("harness.yaml", BANKED.replace("deciding: 0.8, fresh: true, limit: 40", "limit: 40"))
    assert banked("run", "bank.yaml", "--adapter", "./a1") == 0, banked.err
    banked.write("harness.yaml", BANKED)
    assert banked("decide", "--adapter", "./a2") == 2
    assert "were shown" in banked.err


def test_the_bank_says_what_is_left(banked):
    decided(banked, "./a1")
    _, before = banked.json("bank", "--policy", "bank")
    decided(banked, "./a2")
    code, after = banked.json("bank", "--policy", "bank")
    assert code == 0
    (was,), (now,) = before["suites"], after["suites"]
    assert now["fresh"] == was["fresh"] - 40
    assert was["open"] + was["deciding"] == 480
    assert now["decisions"] == now["fresh"] // 40
    assert banked("bank") == 0
    assert "bank" in banked.out


def test_fresh_needs_a_share_and_a_size(banked):
    banked.write("harness.yaml", BANKED.replace("deciding: 0.8, ", ""))
    assert banked("decide", "--adapter", "./a1") == 2
    assert "needs `deciding`" in banked.err


def test_training_is_kept_apart_from_both_halves(home):
    decided(home, "./a1")
    home.write(
        "train.jsonl", "".join(json.dumps({"prompt": f"{MARK} {n}", "response": "yes"}) + "\n" for n in range(120))
    )
    code, found = home.json("data", "check", "train.jsonl", "--against", "tiny.yaml")
    assert code in {0, 1}, home.err
    assert len({one["sample"] for one in found["matches"]}) == 120


def test_only_gates_and_checks_read_what_is_hidden():
    """Whatever shows samples reads them where hidden ones are left out."""
    root = Path(__file__).parents[2]
    allowed = {
        "plugins/harness_revision/finding.py",  # `constitution diff` counts what turns, and names no hidden reply
        "harness/store/runs.py", "harness/store/sample_writer.py",  # which write and read the file
        "harness/evaluation/stored.py",  # tables for gates
        "harness/api/workspace.py",
        "plugins/harness_promotion/rollback_check.py",  # asks again, and says how many answers differ
        "plugins/harness_promotion/promoting.py",  # ids alone: whether what decided still is what it was
        "plugins/harness_banks/command.py",  # finds what to reveal
        "plugins/harness_inspect/choosing.py",  # ids alone: whether one that is asked for is hidden
    }  # fmt: skip
    found = {
        path.relative_to(root).as_posix()
        for folder in ("harness", "plugins", "reports")
        for path in (root / folder).rglob("*.py")
        if re.search(r"read_all_samples|SAMPLES_FILE|samples\.parquet[\"']\)?$", path.read_text("utf-8"), re.MULTILINE)
    }
    assert found <= allowed | {"reports/harness_report/reading.py"}, found - allowed  # which asks for its size and time


def test_a_candidate_that_differs_in_its_template_alone_gets_a_draw_of_its_own(banked):
    decided(banked, "./a1")
    banked.write("plain.jinja", "{% for message in messages %}{{ message['content'] }}{% endfor %}")
    code, _ = banked.json("decide", "--adapter", "./a1", "--template", "plain.jinja")
    assert code in {0, 1}, banked.err
    first, second = (set(body["items"]) for body in drawn(banked))
    assert not first & second


def test_weights_that_were_overwritten_in_place_get_a_draw_of_their_own(banked, tiny_base, tmp_path):
    """The folder is named as before, and what lies in it is another candidate."""
    whole = tmp_path / "whole"
    shutil.copytree(tiny_base, whole)
    assert banked("decide", "--model", whole, "--baseline", tiny_base) in {0, 1, 2}
    weights = whole / "model.safetensors"
    tensors = load_file(weights)
    save_file({name: value + 0.01 for name, value in tensors.items()}, weights, {"format": "pt"})
    code, _ = banked.json("decide", "--model", whole, "--baseline", tiny_base)
    assert code in {0, 1}, banked.err
    assert len(drawn(banked)) == 1
    save_file({name: value + 0.02 for name, value in tensors.items()}, weights, {"format": "pt"})
    code, _ = banked.json("decide", "--model", whole, "--baseline", tiny_base)
    assert code in {0, 1}, banked.err
    first, second = (set(body["items"]) for body in drawn(banked))
    assert not first & second


def test_a_mark_cannot_hide_what_was_asked_before_it(home):
    """The mark came after a run on all samples: the decision says how many of them people could see."""
    home.write("harness.yaml", CONFIG.replace(", deciding: 0.5", ""))
    assert home("run", "tiny.yaml", "--adapter", "./a1") in {0, 1}, home.err
    home.write("harness.yaml", CONFIG)
    decision = decided(home, "./a2")
    (body,) = drawn(home)
    assert body["opened"] == len(body["items"])
    assert "ASKED IN THE OPEN" in " ".join(decision["drawn"])
    assert "ASKED IN THE OPEN" in " ".join(decided(home, "./a3")["drawn"])


def test_what_nobody_asked_before_is_not_said_to_be_open(home):
    decided(home, "./a1")
    assert home("run", "tiny.yaml", "--adapter", "./a1") in {0, 1}, home.err
    assert "OPEN" not in " ".join(decided(home, "./a2")["drawn"])
    assert drawn(home)[0]["opened"] == 0


def test_the_same_question_with_other_metadata_is_not_fresh(banked):
    """Fillings and notes beside a question change its content hash, and not what a model is asked."""
    decided(banked, "./a1")
    rows = [json.loads(line) for line in (banked.folder / "bank.jsonl").read_text("utf-8").splitlines()]
    for row in rows:
        row["metadata"]["note"] = "new"
    banked.write("bank.jsonl", "\n".join(map(json.dumps, rows)) + "\n")
    decided(banked, "./a2")
    asked = [set(body["questions"]) for body in drawn(banked)]
    assert len(asked[0]) == len(asked[1]) == 40
    assert not asked[0] & asked[1]
    assert not set(drawn(banked)[0]["items"]) & set(drawn(banked)[1]["items"])


def test_a_dry_run_counts_what_the_run_would_ask(home):
    """Of a suite that a policy hides a part of: its open half."""
    _, told = home.json("run", "tiny.yaml", "--adapter", "./a1", "--dry-run")
    code, shown = home.json("run", "tiny.yaml", "--adapter", "./a1")
    assert code == 0, home.err
    (run,) = shown["runs"]
    assert run["run"]["samples"] < 120
    assert str(run["run"]["samples"]) in json.dumps(told)
    assert "120" not in json.dumps(told)


def test_a_policy_that_ships_hides_nothing_until_it_is_named(home):
    """Whoever runs a bank without it has the whole bank; from then on it is the open part."""
    home.write("harness.yaml", 'model: "echo:"\n')
    _, whole = home.json("run", "bias-bank", "--dry-run")
    home.write("harness.yaml", 'model: "echo:"\npolicy: fresh\n')
    _, part = home.json("run", "bias-bank", "--dry-run", "--no-gates")
    asked = [{row["samples"] for row in told["forecast"]} for told in (whole, part)]
    assert asked == [{4800}, {480}]
