"""What people write for a model, and what it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.references import resolve_model

SCHEMES = ("hf", "openai", "echo", "replay")


@pytest.mark.parametrize(
    ("text", "scheme", "name", "revision", "endpoint"),
    [
        ("smollm2-135m", "hf", "smollm2-135m", None, None),
        ("hf:org/name", "hf", "org/name", None, None),
        ("hf:org/name@v1.2", "hf", "org/name", "v1.2", None),
        ("openai:gpt@http://localhost:8000/v1", "openai", "gpt", None, "http://localhost:8000/v1"),
        ("openai:gpt@https://host/v1/", "openai", "gpt", None, "https://host/v1"),
        ("openai:llama3:8b@http://[::1]:11434/v1", "openai", "llama3:8b", None, "http://[::1]:11434/v1"),
        ("openai:org/m@rev@http://h/v1", "openai", "org/m@rev", None, "http://h/v1"),
        ("echo:", "echo", "", None, None),
        ("echo:refuse", "echo", "refuse", None, None),
        (" smollm2-135m ", "hf", "smollm2-135m", None, None),
    ],
)
def test_a_reference_means(text: str, scheme: str, name: str, revision: str | None, endpoint: str | None) -> None:
    spec = resolve_model(text, schemes=SCHEMES)
    assert (spec.scheme, spec.name, spec.revision, spec.endpoint) == (scheme, name, revision, endpoint)
    assert spec.reference == text.strip()


def test_a_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my-model").mkdir()
    monkeypatch.chdir(tmp_path)
    for text in ("my-model", "./my-model", str(tmp_path / "my-model"), "hf:./my-model"):
        assert resolve_model(text, schemes=SCHEMES).name == str(tmp_path / "my-model")
    assert resolve_model("replay:log.jsonl", schemes=SCHEMES).name == str(tmp_path / "log.jsonl")


def test_dtype_and_device_are_kept() -> None:
    spec = resolve_model("smollm2-135m", dtype="bfloat16", device="cuda:1", schemes=SCHEMES)
    assert (spec.dtype, spec.device) == ("bfloat16", "cuda:1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("smolm2-135m", "did you mean 'smollm2-135m'"),
        ("minilm", "text-encoder, not a language model"),
        ("org/name", "write hf:org/name"),
        ("opnai:m@http://h", "did you mean openai:m@http://h"),
        ("zzzz:m", "known: echo, hf, openai, replay"),
        ("qqqqqq", "known language models: smollm2-135m"),
        ("hf:", "names no model"),
        ("replay:", "names no file"),
        ("openai:gpt", "names no server"),
        ("openai:@http://h/v1", "names no server"),
        ("openai:gpt@ftp://h/v1", "not an http or https one"),
        ("openai:gpt@http://", "not an http or https one"),
        ("openai:gpt@http://h:99999/v1", "not an http or https one"),
        ("openai:gpt@http://me:secret@h/v1", "carries a user"),
        ("openai:gpt@http://h/v1?key=secret", "carries a user"),
    ],
)
def test_a_wrong_reference_says_what_would_be_right(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve_model(text, schemes=SCHEMES)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("given", [{"dtype": "int8"}, {"device": "tpu"}, {"device": "cuda:x"}, {"device": "cpu:1"}])
def test_an_unknown_dtype_or_device_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(InputError, match="known: auto"):
        resolve_model("smollm2-135m", schemes=SCHEMES, **given)
