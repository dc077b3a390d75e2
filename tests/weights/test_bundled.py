"""Adapters that ship with harness: by name, and only as they shipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.hashing import sha256_file
from harness.store.adapters import resolve_adapters
from harness.weights import bundled
from harness.weights.catalog import catalog
from harness.weights.header import read_metadata
from harness.weights.lora import check_lora
from tests.store.builders import adapter as save_adapter

FAMILIES = {
    "judge-smollm2": "training", "judge-smollm2-v2": "training", "reviser-smollm2": "training",
    "toxicity-smollm2": "toxicity",
}  # fmt: skip
FILES = ("adapter_config.json", "adapter_model.safetensors")


@pytest.mark.parametrize("name", list(bundled.bundled_adapters()))
def test_what_ships_is_pinned_small_lora_and_says_what_it_was_trained_on(name: str) -> None:
    adapter = bundled.bundled_adapters()[name]
    (spec,) = resolve_adapters([f"harness:{name}"], None)
    assert spec.name == f"harness:{name}"
    assert Path(spec.path) == adapter.folder.resolve()
    assert set(adapter.files) == set(FILES)
    assert check_lora(adapter.folder)
    assert adapter.base in catalog()
    assert (adapter.folder / "adapter_model.safetensors").stat().st_size < 4_000_000
    said = read_metadata(adapter.folder / "adapter_model.safetensors")
    assert {"task", "prompt", "family", "data", "seed", "trained_by"} <= set(said)
    assert said["family"] == FAMILIES.get(name, "gating")
    assert "## Data statement" in (adapter.folder / "README.md").read_text(encoding="utf-8")


def test_a_former_name_says_which_one_is_meant() -> None:
    with pytest.raises(InputError, match="harness:judge-smollm2-v3 is called harness:judge-smollm2 now"):
        resolve_adapters(["harness:judge-smollm2-v3"], None)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin package that ships one adapter."""
    data = tmp_path / "organ" / "data"
    folder = save_adapter(data / "judge-small")
    pins = {"judge-small": {"base": "smollm2-135m", "files": {name: sha256_file(folder / name) for name in FILES}}}
    (data / "adapters.json").write_text(json.dumps(pins), encoding="utf-8")
    (tmp_path / "organ" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(bundled, "BUNDLED", ("organ",))
    bundled.bundled_adapters.cache_clear()
    monkeypatch.setattr(bundled, "bundled_adapters", bundled.bundled_adapters.__wrapped__)
    return folder


def test_a_shipped_adapter_is_named(shipped: Path) -> None:
    (spec,) = resolve_adapters(["harness:judge-small"], None)
    assert (spec.path, spec.reference) == (str(shipped.resolve()), "harness:judge-small")


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_refused(shipped: Path, name: str) -> None:
    file = shipped / name
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(InputError, match="is not the file that ships with harness") as refused:
        resolve_adapters(["harness:judge-small"], None)
    assert refused.value.file == str(file)
    assert sha256_file(file) in refused.value.cause


def test_a_lost_file_is_refused(shipped: Path) -> None:
    (shipped / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match="its SHA-256 is nothing"):
        resolve_adapters(["harness:judge-small"], None)


def test_an_unknown_name_gets_the_nearest(shipped: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'harness:judge-small'"):
        resolve_adapters(["harness:judge-smal"], None)
