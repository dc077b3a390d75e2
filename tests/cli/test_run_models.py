"""harness run with a real (tiny) model and adapters: what fits, what does not, and what is damaged."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import time

import pytest

from tests.models.serving import Server, said

SUITE = """\
id: tiny
samples: {source: jsonl, path: tiny.jsonl}
ask: {max_new_tokens: 4}
measure: [exact_match, perplexity]
gates:
  - {metric: exact_match, max: 0.5}
"""


@pytest.fixture
def model(cli, tiny_base):
    cli.write("tiny.yaml", SUITE)
    cli.rows(12)
    return ["--model", tiny_base]


def test_base_and_two_adapters_compose_and_differ(cli, model, tiny_adapter, other_tiny_adapter):
    prints = set()
    for adapters in ([], ["--adapter", tiny_adapter], ["--adapter", tiny_adapter, "--adapter", other_tiny_adapter]):
        code, document = cli.json("run", "tiny.yaml", *model, *adapters)
        assert code == 0, cli.err
        prints.add(document["runs"][0]["run"]["candidate_fingerprint"])
    assert len(prints) == 3


def test_a_repeated_run_does_not_load_the_model(cli, model):
    assert cli("run", "tiny.yaml", *model) == 0
    code = (
        "import sys\nfrom harness.cli.main import run\n"
        f"code = run(['run', 'tiny.yaml', '--model', {str(model[1])!r}, '--json'])\n"
        "assert code == 0, code\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules and 'tokenizers' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=cli.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"][0]["run"]["model_calls"] == 0


def test_an_adapter_of_another_base_is_named_with_its_own(cli, model, tiny_adapter, tmp_path):
    copy = tmp_path / "stranger"
    shutil.copytree(tiny_adapter, copy)
    from safetensors.numpy import load_file, save_file

    path = copy / "adapter_model.safetensors"
    tensors = {name: value[:, :-1].copy() if "lora_A" in name else value for name, value in load_file(path).items()}
    save_file(tensors, path)
    assert cli("run", "tiny.yaml", *model, "--adapter", copy) == 2
    assert "stranger" in cli.err
    assert "Traceback" not in cli.err


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(b"\xff" * 64),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
    ],
    ids=["truncated", "garbage", "empty", "absent"],
)
def test_a_damaged_adapter_is_one_sentence(cli, model, tiny_adapter, tmp_path, damage):
    copy = tmp_path / "damaged"
    shutil.copytree(tiny_adapter, copy)
    damage(copy / "adapter_model.safetensors")
    assert cli("run", "tiny.yaml", *model, "--adapter", copy) == 2
    assert "adapter_model.safetensors" in cli.err
    assert len(cli.err.strip().splitlines()) == 1


def test_a_damaged_base_is_one_sentence(cli, model, tiny_base, tmp_path):
    copy = tmp_path / "base"
    shutil.copytree(tiny_base, copy)
    path = next(copy.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-100])
    assert cli("run", "tiny.yaml", "--model", copy) == 2
    assert path.name in cli.err
    assert "Traceback" not in cli.err


def test_a_pickled_adapter_is_refused(cli, model, tiny_adapter, tmp_path):
    copy = tmp_path / "pickled"
    shutil.copytree(tiny_adapter, copy)
    (copy / "adapter_model.safetensors").rename(copy / "adapter_model.bin")
    assert cli("run", "tiny.yaml", *model, "--adapter", copy) == 2
    assert "safetensors" in cli.err


def test_a_full_disk_breaks_the_run_and_keeps_the_workspace_whole(cli):
    cli.write("tiny.yaml", SUITE.replace("[exact_match, perplexity]", "[exact_match]").replace("max: 0.5", "min: 0.5"))
    cli.rows(40)
    assert cli("run", "tiny.yaml", "--model", "echo:") == 0
    cli.rows(400)

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = subprocess.run(
        [sys.executable, "-m", "harness.cli.main", "run", "tiny.yaml", "--model", "echo:"], cwd=cli.folder,
        capture_output=True, text=True, check=False, preexec_fn=small_files,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    complaints = [line for line in done.stderr.splitlines() if "samples in" not in line]  # a slow run tells its pace
    assert len(complaints) == 1
    assert cli("ledger", "verify") == 0
    runs = [path for path in (cli.folder / ".harness" / "runs").iterdir() if not path.name.startswith(".")]
    assert len(runs) == 1
    assert cli("run", "tiny.yaml", "--model", "echo:") == 0


@pytest.mark.parametrize(
    ("options", "config", "most"),
    [([], "", 8), ([], "concurrency: 2\n", 2), (["--concurrency", "3"], "concurrency: 2\n", 3)],
)
def test_a_remote_server_is_asked_as_many_requests_at_once_as_was_said(cli, options, config, most):
    def slowly(body):
        time.sleep(0.03)
        return said("two")

    server = Server()
    server.answer = slowly
    cli.write("tiny.yaml", SUITE.replace(", perplexity", ""))
    cli.write("harness.yaml", config)
    cli.rows(40)
    code, document = cli.json("run", "tiny.yaml", "--model", f"openai:tiny@{server.url}", *options)
    server.http.shutdown()
    assert code == 0, cli.err
    assert document["runs"][0]["run"]["model_calls"] == 40
    assert min(most, 3) <= server.most_busy <= most


def test_base_promoted_and_candidate_of_one_run_load_the_base_once(
    cli, model, tiny_adapter, other_tiny_adapter, monkeypatch
):
    from harness_models.hf import loading

    loads = []
    for name in ("own", "_load_from"):
        real = getattr(loading, name)
        monkeypatch.setattr(loading, name, lambda *args, real=real: loads.append(args) or real(*args))
    gates = "".join(
        f"  - {{metric: exact_match, non_inferior: {{to: {to}, margin: 0.9}}}}\n" for to in ("base", "promoted")
    )
    cli.write("tiny.yaml", SUITE.partition("gates:")[0] + "gates:\n" + gates)
    options = [*model, "--baseline", tiny_adapter]
    for adapters in (["--adapter", other_tiny_adapter], ["--adapter", tiny_adapter, "--adapter", other_tiny_adapter]):
        loads.clear()
        code, document = cli.json("run", "tiny.yaml", *options, *adapters)
        assert code in (0, 1), cli.err
        assert set(document["runs"][0]["baselines"]) == {"base", "promoted"}
        run = document["runs"][0]["run"]
        assert run["model_calls"] == run["requests"] == 12
        assert len(loads) == 1
    assert cli.json("run", "tiny.yaml", *options, *adapters)[1]["runs"][0]["run"]["model_calls"] == 0
    assert len(loads) == 1


@pytest.mark.parametrize(("options", "config"), [(["--timeout", "0.2"], ""), ([], "timeout: 0.2\n")])
def test_a_server_has_as_long_for_an_answer_as_was_said(cli, options, config):
    def sleepy(body):
        time.sleep(0.6)
        return said("too late")

    server = Server()
    server.answer = sleepy
    cli.write("tiny.yaml", SUITE.replace(", perplexity", "").partition("gates:")[0])
    cli.write("harness.yaml", config)
    cli.rows(2)
    code, document = cli.json("run", "tiny.yaml", "--model", f"openai:tiny@{server.url}", *options)
    server.http.shutdown()
    assert code == 0, cli.err
    assert document["runs"][0]["run"]["estimates"][0]["unscored"] == 2
