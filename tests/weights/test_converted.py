"""A base that was converted here is what the conversion wrote, in every file that is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.contracts import RunContext
from harness.errors import InputError
from harness.hashing import sha256_file
from harness.types import ModelSpec
from harness.weights import materialise
from harness_models.hf.bases import CONVERSION


def converted(tmp_path: Path, *, earlier: bool = False) -> tuple[ModelSpec, RunContext, Path]:
    source = tmp_path / "m.gguf"
    source.write_bytes(b"GGUF")
    folder = tmp_path / "store" / ".bases" / f"m-{sha256_file(source)[:16]}-v{CONVERSION}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"w")
    (folder / "config.json").write_text("{}")
    files = {file.name: sha256_file(file) for file in folder.iterdir()}
    record = {"safetensors_sha256": files["model.safetensors"], **({} if earlier else {"files": files})}
    (folder / "conversion.json").write_text(json.dumps(record))
    spec = ModelSpec(reference=str(source), scheme="hf", name=str(source))
    return spec, RunContext(offline=True, weights=tmp_path / "store"), folder


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "model.safetensors"])
def test_what_was_changed_or_added_since_is_named(tmp_path: Path, name: str) -> None:
    spec, surroundings, folder = converted(tmp_path)
    assert materialise(spec, surroundings) == folder
    (folder / name).write_text('{"other": 1}')
    with pytest.raises(InputError, match=f"{name}: .*changed since"):
        materialise(spec, surroundings)


def test_one_of_an_earlier_version_is_compared_where_that_is_known(tmp_path: Path) -> None:
    spec, surroundings, folder = converted(tmp_path, earlier=True)
    assert materialise(spec, surroundings) == folder
    (folder / "model.safetensors").write_bytes(b"x")
    with pytest.raises(InputError, match="changed since"):
        materialise(spec, surroundings)
