"""What every registered model promises: light factories, one reply a request, a flat fingerprint."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.contracts import Model, RunContext
from harness.plugins import load_plugins
from harness.types import Candidate, Generate, LogLikelihood, ModelSpec, NoReply, RollingLogLikelihood
from tests.models.conftest import ask, greedy, user

MODELS = load_plugins(installed=False).registries.models
NEEDS_VLLM = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
LOCAL = [
    pytest.param(entry.name, marks=NEEDS_VLLM if entry.name == "vllm" else ())
    for entry in MODELS if entry.name != "openai"  # a server has its own tests
]  # fmt: skip


def build(scheme: str, tiny_base: Path, surroundings: RunContext, tmp_path: Path) -> tuple[Model, Candidate]:
    log = tmp_path / "log.jsonl"
    log.write_text('{"prompt": "Yes or No?", "response": "Yes"}\n')
    names = {"hf": str(tiny_base), "vllm": str(tiny_base), "echo": "", "replay": str(log)}
    spec = ModelSpec(reference=f"{scheme}:", scheme=scheme, name=names[scheme], device="cpu")
    return MODELS.get(scheme)(spec, surroundings), Candidate(model=spec)


def test_the_bundled_schemes_are_registered_with_a_line_for_listings() -> None:
    assert {entry.name for entry in MODELS} >= {"hf", "openai", "echo", "replay"}
    assert all(entry.about for entry in MODELS)


@pytest.mark.parametrize("scheme", LOCAL)
def test_every_request_gets_one_reply_and_what_is_unsupported_a_no_reply(
    scheme: str, tiny_base: Path, surroundings: RunContext, tmp_path: Path
) -> None:
    model, candidate = build(scheme, tiny_base, surroundings, tmp_path)
    asked = [
        RollingLogLikelihood(text="the sun"),
        Generate(messages=user("Yes or No?"), decoding=greedy(4)),
        LogLikelihood(messages=user("Yes or No?"), continuation="Yes"),
        LogLikelihood(messages=user("Yes or No?"), continuation="No"),
    ]
    replies = ask(model, candidate, asked)
    for request, reply in zip(asked, replies, strict=True):
        assert isinstance(reply, NoReply) is (request.type not in model.supports)
    assert ask(model, candidate, []) == []
    model.close()


@pytest.mark.parametrize("scheme", LOCAL)
def test_the_fingerprint_is_flat_text_and_stable(
    scheme: str, tiny_base: Path, surroundings: RunContext, tmp_path: Path
) -> None:
    model, candidate = build(scheme, tiny_base, surroundings, tmp_path)
    found = model.fingerprint(candidate)
    assert set(found) >= {"base", "adapters", "dtype", "backend", "template"}
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in found.items())
    assert json.loads(json.dumps(dict(found))) == dict(model.fingerprint(candidate))
    assert str(tmp_path) not in json.dumps(dict(found))


def test_registering_imports_nothing_heavy() -> None:
    script = (
        "import sys; from harness.plugins import load_plugins; load_plugins(installed=False);"
        "import harness.references, harness.weights;"
        "heavy = {'torch', 'transformers', 'peft', 'httpx', 'aiohttp', 'jinja2', 'huggingface_hub'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])
