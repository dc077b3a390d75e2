"""The precision check on whole runs: a model that rounds, asked again in float32, and what its gates say then."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import SUITE, Cli

PLUGIN = """\
from dataclasses import replace
from pathlib import Path

from harness import Model, hookimpl
from harness.types import Completion

LOG = Path(__file__).with_name("calls.txt")


class Coarse(Model):
    '''Repeats the last user message; in bfloat16 it stumbles over every n-th, where its name says `n`.'''

    verifiable = True

    def _dtype(self):
        return "bfloat16" if self.spec.dtype == "auto" else self.spec.dtype

    def fingerprint(self, candidate):
        return {"base": self.spec.name, "adapters": "", "dtype": self._dtype(), "template": candidate.template,
                "backend": "coarse 1"}

    def reference(self):
        return None if self._dtype() == "float32" or "stuck" in self.spec.name else replace(self.spec, dtype="float32")

    def answer(self, candidate, requests, deliver):
        with LOG.open("a") as log:
            log.write(f"{self._dtype()} {len(requests)}\\n")
        every = int(self.spec.name.split("-")[0] or 0)
        for index, request in enumerate(requests):
            text = request.messages[-1].content
            stumbles = self._dtype() != "float32" and every and int(text.split()[-1]) % every == 0
            deliver(index, Completion(text="eh" if stumbles else text, prompt_tokens=1, completion_tokens=1,
                                      finish="stop"))


class Far(Coarse):
    verifiable = False


@hookimpl
def register_models(register):
    register("coarse", Coarse)
    register("far", Far)
"""


@pytest.fixture
def coarse(cli: Cli):
    """Run the suite with these gates on so many rows; give the run's record."""
    plugin = cli.write("coarse.py", PLUGIN)

    def run(gates: str, *options: str, model: str = "coarse:0", clusters: int = 400):
        cli.write("tiny.yaml", SUITE.replace("  - {metric: exact_match, min: 0.5}", gates))
        rows = [{"id": f"s{n}", "prompt": f"say {n}", "target": f"say {n}"} for n in range(400)]
        grouped = [{**row, "cluster": f"c{n % clusters}"} for n, row in enumerate(rows)]
        cli.write("tiny.jsonl", "\n".join(json.dumps(row) for row in (grouped if clusters < 400 else rows)))
        cli("run", "tiny.yaml", "-p", plugin, "--model", model, *options, "--json")
        assert cli.out, cli.err
        document = json.loads(cli.out)
        return document["runs"][0]["run"]

    run.cli, run.plugin = cli, plugin
    run.calls = lambda: (cli.folder / "calls.txt").read_text().split("\n")[:-1]
    return run


MIN = "  - {{metric: exact_match, min: {}}}".format
SAME = "  - {metric: exact_match, non_inferior: {to: base, margin: 0.3}}"


def test_a_run_in_float32_has_nothing_to_check(coarse):
    run = coarse(MIN(0.5), "--dtype", "float32")
    assert run["precision"] is None
    assert run["environment"]["dtype"] == "float32"
    assert coarse.calls() == ["float32 400"]


def test_no_change_among_k_samples_is_not_no_drift(coarse):
    run = coarse(MIN(0.95))
    (shift,) = run["precision"]["shifts"]
    assert (shift["n"], shift["changed"], shift["value"], shift["reference"]) == (32, 0, 1.0, 1.0)
    most = 1 - 0.05 ** (1 / 32)
    assert (shift["low"], shift["high"]) == (pytest.approx(-most), pytest.approx(most))
    (check,) = run["checks"]
    assert check["status"] == "inconclusive"
    assert "bfloat16 against float32 moves it by [-8.9, 8.9] points (0 of 32 samples changed)" in check["sentence"]
    assert "--precision-check 69, or run with --dtype float32" in check["sentence"]


def test_the_advised_number_of_samples_is_enough_and_one_less_is_not(coarse):
    assert coarse(MIN(0.95), "--precision-check", "68")["checks"][0]["status"] == "inconclusive"
    (check,) = coarse(MIN(0.95), "--precision-check", "69")["checks"]
    assert check["status"] == "passed"
    assert "(0 of 69 samples changed), within the slack" in check["sentence"]


def test_a_larger_check_asks_only_what_is_new(coarse):
    coarse(MIN(0.5), "--precision-check", "20")
    assert coarse.calls() == ["bfloat16 400", "float32 20"]
    run = coarse(MIN(0.5), "--precision-check", "30")
    assert coarse.calls()[2:] == ["float32 10"]
    assert (run["precision"]["requests"], run["precision"]["model_calls"]) == (30, 10)
    assert coarse(MIN(0.5), "--precision-check", "30")["precision"]["model_calls"] == 0
    assert len(coarse.calls()) == 3


def test_the_second_arm_is_an_ordinary_one_whose_replies_a_float32_run_takes_up(coarse):
    coarse(MIN(0.5))
    run = coarse(MIN(0.5), "--dtype", "float32")
    assert run["model_calls"] == 400 - 32


@pytest.mark.parametrize("error", ["MemoryError", "RuntimeError"])
def test_a_base_that_does_not_fit_in_float32_decides_nothing_and_breaks_nothing(coarse, error):
    coarse.cli.write("coarse.py", PLUGIN.replace(
        "        every = int", f"        if self._dtype() == 'float32':\n            raise {error}('no room')\n        every = int"
    ))  # fmt: skip
    run = coarse(MIN(0.5))
    (check,) = run["checks"]
    assert check["status"] == "inconclusive"
    assert "computing it in float32 failed" in check["sentence"]
    assert "no room" in run["precision"]["reason"]


def test_a_model_that_rounds_badly_does_not_pass(coarse):
    run = coarse("  - {metric: exact_match, max: 0.9}", model="coarse:2")
    (shift,) = run["precision"]["shifts"]
    assert shift["reference"] == 1.0
    assert shift["value"] < 0.8
    assert shift["high"] < 0
    (check,) = run["checks"]
    assert check["status"] == "inconclusive"  # by its own numbers, about a half against at most 90 %, it passed
    assert check["sentence"].endswith(": run with --dtype float32")


def test_drift_towards_the_good_side_of_a_gate_takes_nothing_from_it(coarse):
    (check,) = coarse(MIN(0.4), model="coarse:2")["checks"]
    assert check["status"] == "passed"


def test_a_failure_that_rounding_could_explain_is_no_failure(coarse):
    (check,) = coarse(MIN(0.9), model="coarse:5")["checks"]
    assert check["status"] == "inconclusive"
    assert "failed" not in check["sentence"]


def test_an_explicit_zero_is_said_in_the_record_and_in_the_gate(coarse):
    run = coarse(MIN(0.95), "--precision-check", "0")
    assert (run["precision"]["asked"], run["precision"]["samples"]) == (0, 0)
    (check,) = run["checks"]
    assert check["status"] == "passed"
    assert check["sentence"].endswith("; the shift of bfloat16 against float32 was not checked")


def test_a_local_model_without_a_float32_form_decides_nothing_unless_one_says_so(coarse):
    (check,) = coarse(MIN(0.5), model="coarse:0-stuck")["checks"]
    assert check["status"] == "inconclusive"
    assert "cannot be computed in float32" in check["sentence"]
    assert coarse(MIN(0.5), "--precision-check", "0", model="coarse:0-stuck")["checks"][0]["status"] == "passed"


def test_of_a_model_that_nobody_can_repeat_the_run_says_so(coarse):
    run = coarse(MIN(0.5), model="far:0")
    assert run["precision"] is None
    assert run["checks"][0]["status"] == "passed"
    assert any("cannot be checked" in note for note in run["notes"])


def test_a_comparison_looks_at_the_shift_of_the_difference(coarse):
    run = coarse(SAME, "--system", "Be brief.", model="coarse:2")
    (shift,) = run["precision"]["shifts"]
    assert shift["to"] == "base"
    assert shift["value"] == shift["reference"] == 0.0  # both arms stumble over the same samples
    assert shift["changed"] > 5
    assert shift["high"] == pytest.approx(2 * (1 - 0.05 ** (1 / 32)))
    assert run["checks"][0]["status"] == "passed"


def test_a_gate_by_points_is_held_to_it_too(coarse):
    point = "  - {{metric: exact_match, max: {}, evidence: point}}".format
    assert coarse(point(0.95), model="coarse:2")["checks"][0]["status"] == "inconclusive"
    assert coarse(point(0.51), "--dtype", "float32", model="coarse:2")["checks"][0]["status"] == "failed"


def test_counts_and_times_of_the_run_itself_do_not_drift(coarse):
    run = coarse("  - {metric: exact_match, max_unscored: 0.1}")
    assert run["precision"] is None
    assert run["checks"][0]["status"] == "passed"


def test_clusters_are_drawn_one_sample_each_before_any_second(coarse):
    (shift,) = coarse(MIN(0.2), "--precision-check", "50", clusters=50)["precision"]["shifts"]
    assert (shift["n"], shift["note"]) == (50, "")  # fifty samples of fifty clusters: independent
    (shift,) = coarse(MIN(0.2), "--precision-check", "60", clusters=50)["precision"]["shifts"]
    assert "50 clusters" in shift["note"]


def test_a_stored_run_says_the_same_when_its_gates_are_checked_again(coarse):
    cli, plugin = coarse.cli, coarse.plugin
    for gates, options in ((MIN(0.95), ()), (MIN(0.95), ("--precision-check", "0")), (SAME, ("--system", "Be brief."))):
        run = coarse(gates, *options)
        code, again = cli.json("gate", run["id"], "-p", plugin)
        assert again["checks"] == run["checks"]
        assert code == (0 if run["checks"][0]["status"] == "passed" else 1)


def test_other_gates_than_those_that_were_checked_for_drift_decide_nothing(coarse):
    coarse(MIN(0.5))
    coarse.cli.write("harness.yaml", "policies: {strict: {suites: [tiny.yaml], alpha: 0.01}}")
    coarse.cli.write("tiny.yaml", SUITE.replace("min: 0.5", "min: 0.45"))  # and so at the policy's level
    code, again = coarse.cli.json("gate", "latest", "--policy", "strict", "-p", coarse.plugin)
    assert code == 1
    assert "was not measured for this gate" in again["checks"][0]["sentence"]


def test_runs_from_before_there_was_a_precision_check_can_be_read(coarse):
    run = coarse(MIN(0.5), "--dtype", "float32")
    from harness.serial import from_json
    from harness.types import RunRecord

    del run["precision"]
    assert from_json(RunRecord, json.dumps(run)).precision is None
    run["drift"] = {"dtype": "bfloat16", "asked": 0, "samples": 0, "reason": "as it was called once"}
    assert from_json(RunRecord, json.dumps(run)).precision.reason == "as it was called once"


def test_a_decision_does_not_rest_on_a_run_that_was_checked_less(coarse):
    cli = coarse.cli
    cli.write("harness.yaml", "policies: {mine: {suites: [tiny.yaml]}}")
    coarse(MIN(0.5), "--dtype", "float32")  # writes suite and samples

    def decide(*options):
        arguments = ("-p", coarse.plugin, "--model", "coarse:0", "--policy", "mine", "--system", "Be brief.", *options)
        code = cli("decide", *arguments, "--json")
        document = json.loads(cli.out)
        return code, document["reused_runs"], document["decision"]["checks"][0][1]["sentence"]

    code, reused, sentence = decide("--precision-check", "0")
    assert (code, reused) == (0, 0)
    assert sentence.endswith("was not checked")
    code, reused, sentence = decide()
    assert (code, reused) == (0, 0)
    assert sentence.endswith("within the slack")
    assert decide("--precision-check", "20")[:2] == (0, 1)


def test_the_table_shows_format_and_shift(coarse):
    coarse(MIN(0.5))
    assert coarse.cli("runs", "show", "latest", "-p", coarse.plugin) == 0
    assert "bfloat16 against float32, 32 samples once more" in coarse.cli.out
    assert "[-8.9, 8.9] points" in coarse.cli.out
    assert "0 of 32" in coarse.cli.out


def test_without_gates_a_check_that_was_asked_for_covers_every_metric(coarse):
    assert coarse(MIN(0.5), "--no-gates")["precision"] is None
    assert [
        shift["metric"] for shift in coarse(MIN(0.5), "--no-gates", "--precision-check", "5")["precision"]["shifts"]
    ] == ["exact_match"]


MIXED = """\
id: tiny
samples: {source: jsonl, path: tiny.jsonl}
measure: [accuracy, perplexity]
gates:
  - {metric: accuracy, min: 0.01}
  - {metric: token_perplexity, min: 1.1, evidence: point}
"""
WORDS = ["quick", "brown", "fox", "jumps", "over", "lazy", "dog", "then", "sleeps", "warm", "sun", "France", "Paris"]


def test_a_real_model_in_bfloat16_is_compared_with_itself_in_float32(cli, tiny_base):
    cli.write("tiny.yaml", MIXED)
    rows = []
    for n in range(40):
        one, two = WORDS[n % 13], WORDS[n % 12]
        rows.append(
            {
                "id": f"q{n}",
                "prompt": f"what is {one} {two} ?",
                "choices": [one, WORDS[(n + 1 + n % 7) % 13]],
                "answer": 0,
            }
        )
        rows.append({"id": f"t{n}", "target": f"the {one} {two} and then it sleeps in the warm {WORDS[n % 10]}"})
    cli.write("tiny.jsonl", "\n".join(map(json.dumps, rows)))

    def run(*options):
        cli("run", "tiny.yaml", "--model", tiny_base, "--device", "cpu", *options, "--json")
        assert cli.out, cli.err
        document = json.loads(cli.out)
        return document["runs"][0]["run"]

    some, every = run("--dtype", "bfloat16"), run("--dtype", "bfloat16", "--precision-check", "40")
    exact = run("--dtype", "float32")
    assert (some["environment"]["dtype"], some["precision"]["dtype"], exact["precision"]) == (
        "bfloat16",
        "bfloat16",
        None,
    )
    assert [shift["n"] for shift in some["precision"]["shifts"]] == [32, 32]
    moved = some["precision"]["shifts"][1]
    assert moved["changed"] == 32
    assert moved["low"] < moved["value"] - moved["reference"] < moved["high"]
    # A check of every sample finds what a run in float32 finds.
    found = [shift["reference"] for shift in every["precision"]["shifts"]]
    values = {estimate["metric"]: estimate["value"] for estimate in exact["estimates"]}
    assert found == pytest.approx([values["accuracy"], values["token_perplexity"]], rel=1e-4)


def test_the_old_name_of_the_option_says_what_to_write_instead(cli):
    for command in (("run", "suite.yaml"), ("decide",)):
        assert cli(*command, "--drift-check", "5") == 2
        said = "error: --drift-check is called --precision-check now; write: --precision-check 5\n"
        assert cli.err == said
