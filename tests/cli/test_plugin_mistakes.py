"""What a plugin's author gets wrong is said with the plugin's file, line, cause and next step, and never passes."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

PLUGIN = """\
import harness
from harness import Classifier, Critic, Example, Finding, Metric, Principle, Sample, Unscored, hookimpl
from harness.types import Completion, Generate, Message


class M(Metric):
    name = "m"
    kind = "proportion"
    direction = "higher"
    bounds = (0.0, 1.0)

    def requests(self, sample, ask):
        return (Generate(messages=sample.messages, decoding=ask),)

    def observe(self, sample, replies, findings, verdicts):
        if not isinstance(replies[0], Completion):
            return Unscored(reason="silent")
        return (1.0, 1.0)


class L(Classifier):
    labels = ("l",)

    def fingerprint(self):
        return "classifier-1"

    def classify(self, texts):
        return [(Finding(label="l", probability=0.5),) for text in texts]


class C(Critic):
    classifiers = ("mine",)

    def fingerprint(self):
        return "critic-1"

    def score(self, sample, reply, principle, replies, findings):
        return 1.0, ""


def read(source):
    for number, line in enumerate(source.path.read_text().splitlines()):
        yield Sample(id=f"s{number}", messages=(Message(role="user", content=line),), target=("x",))


RULE = Principle(
    id="rule",
    text="Be kind.",
    critics=("mine",),
    examples=(
        Example(kind="pass", prompt="a", response="b"),
        Example(kind="fail", prompt="a", response="c"),
    ),
)


@hookimpl
def register_metrics(register):
    register("mine", lambda options, constitutions: [M()])


@hookimpl
def register_classifiers(register):
    register("mine", L)


@hookimpl
def register_critics(register):
    register("mine", C)


@hookimpl
def register_sources(register):
    register("mine", read)


@hookimpl
def register_principles(register):
    register(RULE)
"""
SUITE = """\
id: mine
samples: {source: mine, path: lines.txt}
measure:
  - mine
  - adherence: {constitution: rule}
gates:
  - {metric: m, min: 0.2}
"""
ROW = "return (1.0, 1.0)"
ASK = "return (Generate(messages=sample.messages, decoding=ask),)"
SCORE = 'return 1.0, ""'
FOUND = '(Finding(label="l", probability=0.5),)'


@pytest.fixture
def mistaken(cli):
    """Run the suite with the plugin after replacements in it."""
    cli.write("lines.txt", "\n".join(f"line {number}" for number in range(20)))
    cli.write("mine.yaml", SUITE)

    def run(*replacements: tuple[str, str]) -> int:
        text = PLUGIN
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new, 1)
        cli.write("mine.py", text)
        return cli("run", "mine.yaml", "--model", "echo:", "-p", "mine.py")

    return run


def test_the_plugin_without_a_mistake_passes(mistaken, cli):
    assert mistaken() == 0, cli.err


RAISED = r"; mend the plugin \(HARNESS_DEBUG=1 shows the whole way there\)"
CASES = {
    "metric raises": (ROW, "return (1 / 0, 1.0)", 3,
        rf"the metric 'm' on the sample 's0' raised ZeroDivisionError: division by zero \(\S*mine\.py:18\){RAISED}"),
    "row is None": (ROW, "return None", 3,
        r"the metric 'm' on the sample 's0' gave None \(\S*mine\.py\); a row of kind proportion is \(1 or 0, 1\), and "
        r"what could not be scored is Unscored\(reason=\.\.\.\)"),
    "row is a number": (ROW, "return 1.0", 3, r"'s0' gave 1\.0 "),
    "row is too short": (ROW, "return (1.0,)", 3, r"'s0' gave \(1\.0,\) "),
    "row is a text": (ROW, "return ('a', 1.0)", 3, r"'s0' gave \('a', 1\.0\) "),
    "row is half": (ROW, "return (0.5, 1.0)", 3, r"'s0' gave \(0\.5, 1\.0\) .* \(1 or 0, 1\)"),
    "unknown kind": ('kind = "proportion"', 'kind = "rate"', 2,
        r"\S*mine\.py: M\.kind: is 'rate', which is none of proportion, mean, ratio, corpus, run; did you mean 'ratio'"),
    "unknown direction": ('direction = "higher"', 'direction = "up"', 2,
        r"\S*mine\.py: M\.direction: is 'up', which is none of higher, lower, neither; use one of them"),
    "no name": ('name = "m"', "pass", 2, r"\S*mine\.py: M\.name: is missing"),
    "classifiers without a comma": ('direction = "higher"', 'classifiers = ("mine")', 2, r"M\.classifiers: is a text"),
    "factory gives no list": ("[M()]", "M()", 3, r"the factory of the metric 'mine' gave <.*return a list of Metric"),
    "factory takes too little": ("lambda options, constitutions", "lambda options", 3,
        r"the factory of the metric 'mine' raised TypeError: .* \(\S*mine\.py\)"),
    "no requests": (ASK, "return None", 3,
        r"the requests of the metric 'm' gave None \(\S*mine\.py\); return a tuple of Generate"),
    "one request": (ASK, ASK.replace("return (", "return ").replace(",)", ""), 3, r"the requests of the metric 'm' gave Gen"),
    "observe is misspelt": ("def observe", "def observ", 3, r"the metric 'm' .*raised NotImplementedError"),
    "critic gives a number": (SCORE, "return 1.0", 3,
        r"the critic 'mine' gave 1\.0 \(\S*mine\.py\); score returns \(score, rationale\)"),
    "critic gives None": (SCORE, "return None", 3, r"the critic 'mine' gave None"),
    "critic gives a text": (SCORE, "return '1', ''", 3, r"the critic 'mine' gave \('1', ''\)"),
    "critic raises": (SCORE, "return findings['no'], ''", 3,
        r"the critic 'mine' on the sample 's0' raised KeyError: 'no' \(\S*mine\.py:38\)"),
    "critic has no fingerprint": ('return "critic-1"', "return None", 3,
        r"the fingerprint of the critic 'mine' gave None .*return a text that changes"),
    "critic cannot be made": ("class C(Critic):", "class C(Critic):\n    def __init__(self):\n        pass\n", 3,
        r"making the critic 'mine' raised TypeError: .* \(\S*mine\.py\)"),
    "classifier cannot be made": ("class L(Classifier):", "class L(Classifier):\n    def __init__(self, a):\n        pass\n",
        3, r"making the classifier 'mine' raised TypeError: .* \(\S*mine\.py\)"),
    "classifier has no fingerprint": ('return "classifier-1"', "return None", 3, r"the fingerprint of the classifier 'mine'"),
    "classifier raises": ("for text in texts]", "for text in 1 / 0]", 3,
        r"the classifier 'mine' raised ZeroDivisionError: .* \(\S*mine\.py:\d+\)"),
    "classifier gives one finding": (FOUND, FOUND[1:-2], 3, r"the classifier 'mine' gave Finding\("),
    "classifier answers too few": ("for text in texts]", "for text in texts[1:]]", 3,
        r"the classifier mine gave 19 answers to 20 texts"),
    "source raises": ("for number", "1 / 0\n    for number", 3,
        r"the source 'mine' raised ZeroDivisionError: .* \(\S*mine\.py:\d+\)"),
    "source gives None": ("def read(source):", "def read(source):\n    return None\n\n\ndef unused(source):", 3,
        r"the source 'mine' raised TypeError: 'NoneType' object is not iterable"),
    "source gives no samples": ("yield Sample(", "yield dict(", 3, r"the source 'mine', sample 1, gave \{"),
    "source gives a text as target": ('target=("x",)', 'target="x"', 3,
        r"the source 'mine', sample 1, gave 'x' .*; target is a tuple of texts"),
    "source gives messages as mappings": ("Message(role", "dict(role", 3, r"messages is a tuple of Message"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_explained_and_never_passes(mistaken, cli, case):
    old, new, code, message = CASES[case]
    assert mistaken((old, new)) == code, cli.out + cli.err
    assert re.search(message, cli.err), cli.err
    assert "Traceback" not in cli.err


def test_a_value_outside_the_metrics_bounds_does_not_pass_a_gate(mistaken, cli):
    assert mistaken(('"proportion"', '"mean"'), (ROW, "return (3.0, 1.0)")) == 3
    assert "gave (3.0, 1.0)" in cli.err
    assert "its bounds are (0, 1)" in cli.err


@pytest.mark.parametrize("row", ["(1.0, 0.0)", "(3.0, 2.0)"])
def test_a_mean_cannot_weigh_a_sample_out_of_its_denominator(mistaken, cli, row):
    assert mistaken(('"proportion"', '"mean"'), (ROW, f"return {row}")) == 3
    assert f"gave {row}" in cli.err
    assert "a row of kind mean is (value, 1)" in cli.err


@pytest.mark.parametrize("kind", ["proportion", "mean"])
def test_nan_is_unscored_whatever_the_kind(mistaken, cli, kind):
    assert mistaken(('"proportion"', f'"{kind}"'), (ROW, "return (float('nan'), 1.0)")) == 1
    assert re.search(r"m ↑ .* 20 +20 ", cli.out), cli.out


def test_a_probability_that_is_none_is_unscored(mistaken, cli):
    assert mistaken(("probability=0.5", "probability=float('nan')"), (SCORE, 'return findings["mine"], ""')) == 0, (
        cli.err
    )
    assert re.search(r"adherence\.rule ↑ .* 20 +20 ", cli.out), cli.out


MODEL = """
from harness import Model, hookimpl
from harness.types import Completion
class Mo(Model):
    def fingerprint(self, candidate):
        return {"weights": "1"}
    def answer(self, candidate, requests, deliver):
        for index, request in enumerate(requests):
            deliver(index, Completion(text="x", prompt_tokens=None, completion_tokens=None, finish="stop"))
@hookimpl
def register_models(register):
    register("mo", Mo)
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "Completion(text",
            "dict(text",
            r"the model scheme 'mo' gave \{.*mo\.py\); deliver\(index, reply\) takes a Comp",
        ),
        ('"x"', "None", r"the model scheme 'mo' gave None .*the text of a Completion is a text"),
        ("deliver(index", "deliver(index + 1", r"the model scheme 'mo' gave 40 .*takes an index from 0 to 39"),
        ("deliver(index", "deliver(1 / 0", r"the model scheme 'mo' raised ZeroDivisionError: .*mo\.py:9\)"),
        (
            '{"weights": "1"}',
            '"weights"',
            r"the fingerprint of the model scheme 'mo' gave 'weights' .*mapping of texts",
        ),
    ],
)
def test_a_mistake_of_a_model_is_explained(cli, old, new, message):
    assert old in MODEL
    cli.write("mo.py", MODEL.replace(old, new))
    assert cli("run", "tiny.yaml", "--model", "mo:", "-p", "mo.py") == 3
    assert re.search(message, cli.err), cli.err


def test_a_completion_is_no_log_probability(cli):
    cli.write("tiny.yaml", (cli.folder / "tiny.yaml").read_text().split("measure:")[0] + "measure: [perplexity]\n")
    cli.write("tiny.jsonl", '{"id": "a", "target": "a text"}\n')
    cli.write("mo.py", MODEL)
    assert cli("run", "tiny.yaml", "--model", "mo:", "-p", "mo.py") == 3
    assert "a rolling_log_likelihood request is answered with a LogProb or a NoReply" in cli.err


@pytest.mark.parametrize(("supports", "shown"), [("{'generate', 'loglikelihood'}", "'loglikelihood'"),
                                                 ("'generate'", "'generate'"), ("None", "None")])  # fmt: skip
def test_a_kind_of_request_that_nobody_asks_for_is_refused(cli, supports, shown):
    cli.write("mo.py", MODEL.replace("(Model):", f"(Model):\n    supports = {supports}"))
    assert cli("run", "tiny.yaml", "--model", "mo:", "-p", "mo.py") == 3
    assert f"`supports` of the model scheme 'mo' gave {shown}" in cli.err
    assert "it holds some of 'generate', 'log_likelihood', 'rolling_log_likelihood'" in cli.err


def test_a_run_says_why_a_metric_has_no_number(cli):
    settings = (cli.folder / "tiny.yaml").read_text().split("measure:")[0]
    cli.write("tiny.yaml", settings + "measure: [exact_match, accuracy, perplexity]\n")
    cli.rows(10, choices=["say 1", "say 2"], answer=0)
    cli.write("mo.py", MODEL.replace("(Model):", "(Model):\n    supports = {'generate'}"))
    assert cli("run", "tiny.yaml", "--model", "mo:", "-p", "mo.py") == 0, cli.err
    said = " ".join(cli.out.split())
    assert "accuracy: all samples are unscored: no reply: the model scheme 'mo' cannot answer log_likelihood" in said
    assert "bits_per_byte: applies to none of the 10 samples: " in said


def test_debug_shows_the_way_to_a_plugins_error(mistaken, cli, monkeypatch):
    monkeypatch.setenv("HARNESS_DEBUG", "1")
    assert mistaken((ROW, "return (1 / 0, 1.0)")) == 3
    assert "Traceback" in cli.err
    assert "ZeroDivisionError" in cli.err


def test_a_data_file_that_is_not_there_is_wrong_input(mistaken, cli):
    cli.write("mine.yaml", SUITE.replace("lines.txt", "line.txt"))
    assert mistaken() == 2
    assert re.search(r"mine\.yaml:2: samples\.path: there is no file \S*/line\.txt; check the path", cli.err), cli.err


@pytest.mark.parametrize("kind", ["critic", "classifier"])
def test_a_section_for_a_name_that_nobody_registered_is_wrong_input(mistaken, cli, kind):
    cli.write("mine.yaml", SUITE + f"{kind}s:\n  mime: {{}}\n")
    assert mistaken() == 2
    assert re.search(rf"mine\.yaml:9: {kind}s\.mime: no {kind} is called 'mime'; did you mean 'mine'\?", cli.err), (
        cli.err
    )


def test_a_critics_wrong_option_names_the_suites_line(mistaken, cli):
    cli.write(
        "mine.yaml", SUITE.replace("constitution: rule", "constitution: demo") + "critics:\n  judge: {undecidd: 1}\n"
    )
    assert mistaken() == 2
    assert re.search(r"mine\.yaml:9: critics\.judge\.undecidd: unknown option; did you mean 'undecided'", cli.err), (
        cli.err
    )


def test_a_misspelt_key_is_named_before_the_missing_one(mistaken, cli):
    cli.write("mine.yaml", SUITE.replace("samples:", "sample:"))
    assert mistaken() == 2
    assert re.search(r"mine\.yaml:2: sample: unknown key; did you mean 'samples'\?", cli.err), cli.err


def test_a_broken_plugin_is_told_of_once(mistaken, cli):
    assert mistaken(("import harness", "import harnes")) == 2
    assert cli.err.count("is broken") == 1, cli.err


def test_a_command_of_a_plugin_in_harness_yaml_is_there(cli):
    cli.write(
        "greet.py",
        "import click\nfrom harness import hookimpl\n@hookimpl\ndef register_commands(cli):\n"
        "    @cli.command()\n    def greet():\n        'Greet.'\n        click.echo('Good day.')\n",
    )
    cli.write("harness.yaml", "plugins: [./greet.py]\n")
    assert cli("greet") == 0, cli.err
    assert cli.out == "Good day.\n"
    assert cli("--help") == 0
    assert re.search(r"^  greet +Greet\.$", cli.out, re.MULTILINE), cli.out


@pytest.mark.parametrize("what", ["constitution", "recipe"])
def test_a_path_can_be_shown_wherever_it_can_be_used(cli, what):
    cli.write("mine.yaml", {
        "constitution": "id: mine\nprinciples:\n  - {id: kind, text: Be kind.}\n",
        "recipe": "id: mine\nbase: smollm2-135m\nstages:\n  - sft: {data: a.jsonl}\n",
    }[what])  # fmt: skip
    assert cli("show", what, "./mine.yaml") == 0, cli.err
    assert "id: mine" in cli.out


def test_a_candidate_that_is_the_bare_base_is_called_that(cli):
    cli.write("harness.yaml", "policies:\n  p:\n    suites: [./tiny.yaml]\n")
    assert cli("decide", "--policy", "p", "--model", "echo:") == 2
    assert "the candidate (echo:) is the bare base, and nothing is promoted in its place; name another" in cli.err


def test_a_reader_that_goes_away_is_no_error(cli):
    command = [sys.executable, "-m", "harness.cli.main", "list"]
    process = subprocess.Popen(command, cwd=cli.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert (process.wait(), process.stderr.read()) == (0, b"")
    process.stderr.close()
