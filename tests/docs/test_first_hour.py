"""The newcomer's script of docs/first-hour.md: every command in its order, on a tiny model, and on the real one."""

from __future__ import annotations

import json
import re
import shlex
import threading
from pathlib import Path

import pytest

from harness.cli.main import run as harness_cli
from tests.models.serving import Server, said

TEXT = (Path(__file__).parents[2] / "docs" / "first-hour.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)(?: (\S+))?\n(.*?)```", TEXT, re.DOTALL)
ELSEWHERE = ("pip install", "harness models pull")
"""What needs the network."""
VERDICTS = {"run", "decide", "promote"}
"""Commands that say with exit code 1 that a gate did not pass."""
SERVED = "http://localhost:8000/v1"


def commands():
    return [line for kind, _, body in BLOCKS if kind == "sh" for line in body.splitlines()]


def test_the_script_has_thirty_steps():
    assert len(commands()) == 30


class Whole:
    """Answers a chat by the model that lies in a folder, greedily, as a server would."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._loaded, self._lock = folder, None, threading.Lock()

    def __call__(self, body):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        with self._lock:
            if self._loaded is None:
                made = AutoModelForCausalLM.from_pretrained(self._folder), AutoTokenizer.from_pretrained(self._folder)
                self._loaded = made
            model, tokenizer = self._loaded
            given = tokenizer.apply_chat_template(
                body["messages"], add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
            told = model.generate(**given, max_new_tokens=min(16, body["max_tokens"]), do_sample=False)
            return said(tokenizer.decode(told[0, given["input_ids"].shape[1] :], skip_special_tokens=True))


def walk(folder: Path, model: str, capsys) -> list[tuple[str, int]]:
    """Run the page in a folder; return each command with its exit code."""
    done, wrong, server = [], [], Server()
    server.answer = Whole(folder / "whole")
    for kind, name, body in BLOCKS:
        if kind != "sh":
            (folder / name).write_text(body.replace("smollm2-135m", model))
            continue
        for line in body.splitlines():
            if line.startswith(ELSEWHERE):
                continue
            if "ADAPTER" in line:
                (adapter,) = (folder / ".harness" / "artifacts" / "adapter").iterdir()
                line = line.replace("ADAPTER", adapter.name)  # noqa: PLW2901
            words = shlex.split(line)
            assert words[0] == "harness"
            code = harness_cli([word.replace(SERVED, server.url) for word in words[1:]])
            said = capsys.readouterr()
            if code not in ({0, 1} if words[1] in VERDICTS else {0}) or "Traceback" in said.err:
                wrong.append((line, code, said.err))
            done.append((line, code))
            if words[1] == "init":
                config = folder / "harness.yaml"
                config.write_text(config.read_text().replace("model: smollm2-135m", f"model: {model}"))
    server.http.shutdown()
    assert not wrong
    assert server.bodies
    return done


def decided(folder: Path) -> dict[str, dict]:
    """Return the decisions by the reference of the candidate's model, or its adapter's id."""
    found = [json.loads(file.read_text()) for file in (folder / ".harness" / "decisions").glob("*.json")]
    return {
        ",".join(one["id"] for one in decision["candidate"]["adapters"])
        or decision["candidate"]["model"]["reference"]: decision
        for decision in found
    }


def test_every_step_works_on_a_tiny_model(tmp_path, monkeypatch, capsys, tiny_base):
    monkeypatch.chdir(tmp_path)
    done = dict(walk(tmp_path, str(tiny_base), capsys))
    assert [code for line, code in done.items() if line.startswith("harness decide")] == [0, 0, 0]
    assert_three_kinds(tmp_path)
    assert done["harness promote latest"] == 0
    assert (tmp_path / "report.html").stat().st_size > 10_000


def assert_three_kinds(folder: Path) -> None:
    """An adapter, a full fine-tune and a served model were decided about, the last as one that nobody can verify."""
    found = decided(folder)
    (adapter,) = (folder / ".harness" / "artifacts" / "adapter").iterdir()
    (served,) = [name for name in found if name.startswith("openai:mine@")]
    assert set(found) == {adapter.name, "./whole", served}
    assert [found[name]["verifiable"] for name in (adapter.name, "./whole", served)] == [True, True, False]


@pytest.mark.slow
def test_every_step_works_on_the_real_model(tmp_path, monkeypatch, capsys, real_weights):
    monkeypatch.chdir(tmp_path)
    done = dict(walk(tmp_path, "smollm2-135m", capsys))
    assert done["harness promote latest"] == 0
    assert_three_kinds(tmp_path)
