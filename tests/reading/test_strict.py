"""Strict YAML: every error names file, line, key, cause and the next step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.reading.config import read_config
from harness.reading.constitution import read_constitution
from harness.reading.strict import read_document
from harness.reading.suite import read_suite
from harness.types import Gate
from harness_training.recipe import read_recipe

SUITE = """\
id: tiny
version: 2
samples: {source: jsonl, path: data.jsonl, columns: {prompt: question}}
ask: {max_new_tokens: 8}
measure:
  - compliance
  - toxicity: {classifier: minilm-toxicity, at: 0.5}
gates:
  - {metric: harmful_compliance, non_inferior: {to: promoted, margin: 0.08}}
  - {metric: over_refusal, max: 0.30}
"""


def suite(tmp_path, text, **options):
    path = tmp_path / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    return read_suite(path, **options)


def test_a_suite_is_read(tmp_path):
    read = suite(tmp_path, SUITE, alpha=0.01, seed=7)
    assert (read.id, read.version, read.source) == ("tiny", 2, "jsonl")
    assert read.data_path == tmp_path / "data.jsonl"
    assert read.source_options == {"columns": {"prompt": "question"}}
    assert read.measure == (("compliance", {}), ("toxicity", {"classifier": "minilm-toxicity", "at": 0.5}))
    assert read.ask.max_new_tokens == 8
    assert read.ask.seed == 7
    assert read.gates[0] == Gate(
        metric="harmful_compliance", kind="non_inferior", margin=0.08, to="promoted", alpha=0.01
    )
    assert read.gates[1] == Gate(metric="over_refusal", kind="max", limit=0.3, alpha=0.01)


def test_the_fingerprint_ignores_gates_and_prose_and_nothing_else(tmp_path):
    (tmp_path / "data.jsonl").write_text("{}\n")
    first = suite(tmp_path, SUITE).fingerprint()
    assert suite(tmp_path, SUITE.replace("max: 0.30", "max: 0.10")).fingerprint() == first
    assert suite(tmp_path, SUITE + "about: other words\n").fingerprint() == first
    assert suite(tmp_path, SUITE.replace("max_new_tokens: 8", "max_new_tokens: 9")).fingerprint() != first
    (tmp_path / "data.jsonl").write_text("{} \n")
    assert suite(tmp_path, SUITE).fingerprint() != first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("ask: {max_new_tokens: 8}", "ask: {max_new_token: 8}"), r":4: ask\.max_new_token: unknown key; did you mean 'max_new_tokens'\?"),
        (("max: 0.30", "maxx: 0.30"), r":10: gates\[1\]\.maxx: unknown key; did you mean 'max'\?"),
        (("max: 0.30", "max: a lot"), r":10: gates\[1\]\.max: .*number.*'a lot'"),
        (("max: 0.30", "max: 0.3, min: 0.1"), r":10: gates\[1\]: a gate needs exactly one of .*; this has min, max"),
        ((", margin: 0.08", ""), r":9: gates\[0\]\.non_inferior: the key 'margin' is missing"),
        (("margin: 0.08", "margin: -1"), r":9: gates\[0\]\.non_inferior\.margin: .*greater than 0"),
        (("version: 2", "version: 2\nversion: 3"), r":3: version: the key stands twice \(first on line 2\)"),
        (("id: tiny", "id: Not An Id"), r":1: id: may hold lower-case letters"),
        (("id: tiny\n", ""), r":1: the key 'id' is missing"),
        (("  - compliance\n", "  - {compliance: {}, bleu: {}}\n"), r":6: measure\[0\]: one entry names 2 metrics"),
        (("version: 2", "version: [2"), r":\d: not valid YAML"),
        (("version: 2", "version: !!python/object:os.system 2"), r":2: not valid YAML"),
    ],
)  # fmt: skip
def test_errors_name_the_line_the_key_and_the_cause(tmp_path, change, message):
    with pytest.raises(InputError, match=r"tiny\.yaml" + message):
        suite(tmp_path, SUITE.replace(*change))


def test_a_missing_file_an_empty_one_and_wrong_bytes(tmp_path):
    with pytest.raises(InputError, match="no such suite"):
        read_suite(tmp_path / "gone.yaml")
    with pytest.raises(InputError, match="must be a mapping of keys, this is empty"):
        suite(tmp_path, "")
    path = tmp_path / "latin.yaml"
    path.write_bytes("id: x\nabout: caf\xe9\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.yaml:2: byte 0xe9 is not UTF-8; save the file as UTF-8"):
        read_suite(path)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_escape_as_anything_but_an_input_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("yaml") / "any.yaml"
    path.write_bytes(data)
    try:
        read_document(path)
    except InputError as error:
        assert "any.yaml" in str(error)


def test_a_constitution_is_normalised_and_its_duplicates_refused(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("id: c\nprinciples:\n  - {id: a, text: A, weight: 3}\n  - {id: b, text: B, weight: 1}\n")
    read = read_constitution(path)
    assert [principle.weight for principle in read.principles] == [0.75, 0.25]
    assert read.fingerprint
    path.write_text("id: c\nprinciples:\n  - {id: a, text: A}\n  - {id: a, text: B}\n")
    with pytest.raises(InputError, match=r"c\.yaml:4: principles\[1\]: the principle 'a' stands twice"):
        read_constitution(path)


def test_a_recipe_is_read_with_its_stages_in_order(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("id: r\nbase: smollm2-135m\nstages:\n  - sft: {data: d.jsonl}\n  - dpo:\n")
    assert read_recipe(path).stages == (("sft", {"data": "d.jsonl"}), ("dpo", {}))
    path.write_text("id: r\nbase: smollm2-135m\nstages: []\n")
    with pytest.raises(InputError, match=r"r\.yaml:3: stages: .*at least 1"):
        read_recipe(path)


def test_a_misspelt_key_of_a_principle_gets_the_principles_keys(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("id: c\nprinciples:\n  - {id: a, text: A, wieght: 3}\n")
    with pytest.raises(InputError, match=r"c\.yaml:3: principles\[0\]\.wieght: unknown key; did you mean 'weight'\?"):
        read_constitution(path)


def test_a_misspelt_key_of_a_policys_suite_gets_the_suites_keys(tmp_path):
    path = tmp_path / "harness.yaml"
    path.write_text("policies:\n  mine:\n    suites:\n      - {suite: persona, limmit: 3}\n")
    with pytest.raises(InputError, match=r"harness\.yaml:4: .*limmit: unknown key; did you mean 'limit'\?"):
        read_config(tmp_path)


def test_harness_yaml_gives_policies_their_gates_and_level(tmp_path):
    (tmp_path / "harness.yaml").write_text(
        "workspace: here\npolicies:\n  mine:\n    alpha: 0.01\n    suites:\n      - safety-core\n"
        "      - {suite: persona, limit: 3, gates: [{metric: m, min: 0.5}]}\n"
    )
    config = read_config(tmp_path)
    policy = config.policies["mine"]
    assert config.workspace == tmp_path / "here"
    assert policy.suites[0].gates is None
    assert policy.suites[1].gates == (Gate(metric="m", kind="min", limit=0.5, alpha=0.01),)
    assert policy.fingerprint != read_config(tmp_path / "nowhere").policies.get("mine")


def test_a_nul_character_is_named_with_its_line(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text('id: a\nsamples: {path: "a\\0b"}\nmeasure: [length]\n')
    with pytest.raises(InputError, match=r"s\.yaml:2: samples\.path: holds a NUL character"):
        read_suite(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("gates: [{metric: length, max: true}]", r"s\.yaml:4: gates\[0\]\.max: must be a number, not yes"),
        ("gates: [{metric: length, max_unscored: true}]", r"gates\[0\]\.max_unscored: must be a number, not yes"),
        ("gates: [{metric: length, max: .nan}]", r"s\.yaml:4: gates\[0\]\.max: \.nan is not a number"),
        ("critics: {judge: {since: 2020-01-01}}", r"s\.yaml:4: critics\.judge\.since: 2020-01-01 is read as a date"),
        ("critics: {judge: {key: !!binary aGk=}}", r"s\.yaml:4: critics\.judge\.key: holds bytes"),
        ('ask: {stop: [""]}', r"s\.yaml:4: ask\.stop\[0\]: "),
        ("version: no", r"s\.yaml:4: version: must be a number, not no"),
    ],
)
def test_values_that_would_quietly_mean_something_else(tmp_path, change, message):
    path = tmp_path / "s.yaml"
    path.write_text(f"id: a\nsamples: {{}}\nmeasure: [length]\n{change}\n")
    with pytest.raises(InputError, match=message):
        read_suite(path)


def test_yes_is_no_number_in_a_policy_either(tmp_path):
    path = tmp_path / "harness.yaml"
    path.write_text("policies:\n  p:\n    suites:\n      - suite: a\n        gates: [{metric: m, max: yes}]\n")
    with pytest.raises(InputError, match=r"harness\.yaml:5: .*gates\[0\]\.max: must be a number, not yes"):
        read_config(tmp_path)
