"""Candidates that are no adapters: a full fine-tune, a served model, a system prompt or a template alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.adapters import write_adapter
from tests.models.serving import Server, said

CONFIG = """\
model: {model}
policy: mine
policies:
  mine:
    suites: [tiny.yaml]
  strictly:
    unverifiable: refuse
    suites: [tiny.yaml]
"""
SUITE = """\
id: tiny
samples: {source: jsonl, path: tiny.jsonl}
ask: {max_new_tokens: 2}
measure: [accuracy]
gates:
  - {metric: accuracy, non_inferior: {to: promoted, margin: 0.95}}
"""


@pytest.fixture(scope="session")
def full_fine_tune(tiny_base, tiny_adapter, tmp_path_factory) -> Path:
    """Give a whole model: a tiny adapter merged into the tiny base."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("full") / "full"
    shutil.copytree(tiny_base, folder)
    base = AutoModelForCausalLM.from_pretrained(str(tiny_base))
    PeftModel.from_pretrained(base, str(tiny_adapter)).merge_and_unload().save_pretrained(str(folder))
    return folder


def alias(cli) -> dict[str, object]:
    return json.loads((cli.folder / ".harness" / "adapters" / "promoted").read_text())


def test_a_full_fine_tune_is_decided_promoted_and_left_again(cli, tiny_base, full_fine_tune):
    mine = Path(shutil.copytree(full_fine_tune, cli.folder / "mine"))
    cli.write("harness.yaml", CONFIG.format(model=tiny_base))
    cli.write("tiny.yaml", SUITE)
    cli.rows(12, choices=["Yes", "No"], answer=0)
    code, found = cli.json("decide", "--model", "./mine")
    decision = found["decision"]
    assert code == 0, cli.err
    assert decision["candidate"]["model"]["name"] == str(mine)
    assert (decision["baseline"]["model"]["name"], decision["verifiable"]) == (str(tiny_base), True)
    assert cli("promote", "latest") == 0, cli.err
    assert "promoted ./mine" in cli.out
    assert f"its weights stay in {mine}" in cli.out
    said_there = alias(cli)
    assert {"entry", "head", "promoted", "candidate", "candidate_fingerprint", "adapters"} < set(said_there)
    assert said_there["adapters"] == []
    assert said_there["model"]["name"] == str(mine)
    assert said_there["model"]["verifiable"] is True
    assert said_there["model"]["weights"] == decision["weights"]["base"]
    assert str(mine / "model.safetensors") in said_there["model"]["files"]
    assert cli("status") == 0
    assert f"model          {mine} (sha256 {decision['weights']['base']})" in cli.out
    assert cli("history") == 0
    assert "./mine (decision" in cli.out
    assert cli("why") == 0
    assert "it is what is promoted now" in cli.out
    # The same again is no candidate; what is promoted is run whole, and adapters of it are none.
    assert cli("decide", "--model", "promoted") == 2
    assert "is what is promoted already" in cli.err
    assert cli("run", "tiny.yaml", "--adapter", "promoted") == 2
    assert "what is promoted stands on ./mine" in cli.err
    assert (
        cli.json("run", "tiny.yaml", "--model", "promoted", "--no-gates")[1]["runs"][0]["run"]["candidate"]
        == (decision["candidate"])
    )
    assert cli("export", "hf", "promoted", "out") == 0, cli.err
    assert (cli.folder / "out" / "model.safetensors").is_file()
    assert cli("rollback", "--check", "--to", str(said_there["entry"]), "--samples", "2") == 0, cli.err
    assert cli("rollback", "--check", "--samples", "2") == 0, cli.err
    assert cli("rollback") == 0
    assert f"rolled back to the bare base ({tiny_base})" in cli.out
    assert (alias(cli)["candidate"], alias(cli)["model"]["name"]) == (None, str(tiny_base))
    # Its files are checked wherever they count.
    assert cli("rollback", "--to", str(said_there["entry"]), "--reason", "back") == 0, cli.err
    assert alias(cli)["model"] == said_there["model"]
    (mine / "generation_config.json").write_text("{}")
    assert cli("status") == 3
    assert f"{mine / 'generation_config.json'}: has changed since the model ./mine was promoted" in cli.err
    assert cli("rollback", "--to", "base") == 0
    assert cli("rollback", "--to", str(said_there["entry"])) == 3
    assert "has changed since the model ./mine was promoted; restore the folder" in cli.err
    (mine / "generation_config.json").unlink()
    assert cli("rollback", "--to", str(said_there["entry"])) == 3
    assert "is gone since the model" in cli.err


def test_weights_that_change_after_the_decision_are_not_promoted(cli, tiny_base, full_fine_tune, other_tiny_adapter):
    mine = Path(shutil.copytree(full_fine_tune, cli.folder / "mine"))
    cli.write("harness.yaml", CONFIG.format(model=tiny_base))
    cli.write("tiny.yaml", SUITE)
    cli.rows(12, choices=["Yes", "No"], answer=0)
    assert cli("decide", "--model", "./mine") == 0, cli.err
    shutil.copy(tiny_base / "model.safetensors", mine / "model.safetensors")
    assert cli("promote", "latest") == 3
    assert "the weights of the base of ./mine are not what was judged" in cli.err


def test_pickled_weights_are_no_candidate(cli, tiny_base):
    folder = cli.folder / "pickled"
    folder.mkdir()
    shutil.copy(tiny_base / "config.json", folder)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    cli.write("harness.yaml", CONFIG.format(model=tiny_base))
    assert cli("decide", "--model", "./pickled") == 2
    assert "has only pickled weights, which are not loaded" in cli.err


@pytest.fixture
def server():
    found = Server()
    found.answer = lambda body: said(body["messages"][-1]["content"])
    yield found
    found.http.shutdown()
    found.http.server_close()


def test_a_served_model_is_promoted_as_unverifiable_or_refused(cli, server):
    cli.write("harness.yaml", CONFIG.format(model='"echo:"'))
    tuned, base = f"openai:ft-mine@{server.url}", f"openai:plain@{server.url}"
    assert cli("decide", "--model", tuned, "--baseline", base, "--policy", "strictly") == 2
    assert "the policy strictly refuses models whose weights cannot be verified (unverifiable: refuse)" in cli.err
    assert not server.bodies
    code, found = cli.json("decide", "--model", tuned, "--baseline", base)
    assert code == 0, cli.err
    assert found["decision"]["verifiable"] is False
    assert found["decision"]["baseline"]["model"]["name"] == "plain"
    assert {body["model"] for body in server.bodies} == {"ft-mine", "plain"}
    assert cli("why", "latest") == 0
    assert "of a served model: they cannot be verified" in cli.out
    assert cli("promote", "latest") == 0, cli.err
    assert "served: its weights cannot be verified" in cli.out
    assert cli("report", "--export", "report.html") == 0, cli.err
    page = (cli.folder / "report.html").read_text()
    for words in ("(served: its weights cannot be verified)", "of a served model: nobody here can verify them"):
        assert words in page
    model = alias(cli)["model"]
    assert (model["name"], model["endpoint"], model["verifiable"], model["files"]) == (
        "ft-mine", server.url, False, {},
    )  # fmt: skip
    assert cli("status") == 0
    assert "served: its weights cannot be verified" in cli.out
    assert cli("history") == 0
    assert "served: its weights cannot be verified" in " ".join(cli.out.split())
    assert cli("rollback", "--check", "--to", str(alias(cli)["entry"]), "--samples", "2") == 0, cli.err
    assert cli("rollback") == 0
    assert alias(cli)["model"]["name"] == "plain"


@pytest.mark.parametrize(
    ("options", "label"),
    [
        (("--system", "Be brief."), 'system "Be brief."'),
        (("--template", "none"), "no template"),
        (("--template", "mine.jinja"), "template "),
    ],
)
def test_a_prompt_or_a_template_alone_is_a_candidate(cli, options, label):
    cli.write("harness.yaml", CONFIG.format(model='"echo:"'))
    cli.write("mine.jinja", "{{ messages[0]['content'] }}")
    code, found = cli.json("decide", *options)
    assert code == 0, cli.err
    assert found["decision"]["baseline"]["system"] is None
    assert cli("promote", "latest") == 0, cli.err
    assert f"echo: + {label}" in cli.out
    assert alias(cli)["candidate"] == found["decision"]["candidate"]
    again = cli.json("run", "tiny.yaml", "--model", "promoted")[1]["runs"][0]["run"]["candidate"]
    assert again == found["decision"]["candidate"]
    assert cli("run", "tiny.yaml", "--adapter", "promoted") == 2
    assert "has no adapters; name it whole, with --model promoted" in cli.err
    assert cli("decide", *options) == 2
    assert "is what is promoted already" in cli.err
    assert cli("rollback") == 0
    assert cli("decide") == 2
    assert "(echo:) is the bare base, and nothing is promoted in its place" in cli.err


def test_a_run_is_compared_with_a_model_that_is_named(cli):
    cli.write("tiny.yaml", SUITE.replace("accuracy", "exact_match"))
    replies = [{"prompt": f"say {n}", "response": f"say {n}" if n < 30 else "no"} for n in range(40)]
    cli.write("replies.jsonl", "\n".join(map(json.dumps, replies)))
    code, found = cli.json("run", "tiny.yaml", "--model", "echo:", "--baseline", "replay:replies.jsonl")
    assert code == 0, cli.err
    (check,) = found["runs"][0]["run"]["checks"]
    assert check["baseline"]["value"] == 0.75


def test_a_candidate_that_is_a_whole_model_does_not_judge_itself(cli):
    from harness.evaluation.runner import Setting
    from harness.types import Candidate, ModelSpec, RunSpec

    full, base = (ModelSpec(reference=f"{name}:", scheme=name, name="") for name in ("replay", "echo"))
    suite = SimpleNamespace(roles=("judge",), suite=SimpleNamespace(roles={}))
    plugins = SimpleNamespace(registries=SimpleNamespace(models=()))
    made = {"plugins": plugins, "workspace": None, "context": None, "progress": None}
    setting = Setting(**made, spec=RunSpec(suites=(), model="replay:"), base=base)
    roles = setting.roles(suite, Candidate(model=full))
    assert roles.policy.model == full
    assert roles.candidate("judge").model == base


def test_nobody_is_compared_with_a_base_that_nobody_named(cli):
    cli.write("harness.yaml", "policies: {mine: {suites: [tiny.yaml]}}")
    cli.write("other.jsonl", '{"prompt": "a", "response": "b"}')
    assert cli("decide", "--policy", "mine", "--model", "echo:") == 2
    assert "or what it is compared with: --baseline MODEL" in cli.err
    assert cli("decide", "--policy", "mine", "--model", "echo:", "--baseline", "replay:other.jsonl") == 0, cli.err


def test_promotions_of_earlier_versions_are_read(cli):
    cli.write("harness.yaml", CONFIG.format(model='"echo:"'))
    write_adapter(cli.folder / "one", 1.0)
    assert cli("decide", "--adapter", "./one") == 0
    from harness.store.promoted import live
    from harness.store.workspace import Workspace

    decision = cli.json("why", "latest")[1]["decision"]
    workspace = Workspace.open(cli.folder / ".harness")
    with workspace.lock(), workspace.ledger.transaction() as ledger:
        ledger.append("promotion", {
            "decision": decision["id"], "candidate": decision["candidate"], "before": 0,
            "candidate_fingerprint": decision["candidate_fingerprint"],
        })  # fmt: skip
    state = live(workspace)
    workspace.close()
    assert state.verifiable is None
    assert (state.model.reference, dict(state.files), state.weights) == ("echo:", {}, None)
    assert state.base == state.model
