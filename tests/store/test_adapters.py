"""Adapters: identity by what decides their answers, and one sentence for each that is damaged."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import BrokenRunError, InputError
from harness.store.adapters import adapter_id, check_adapter, list_adapters, resolve_adapters, store_adapter
from harness.store.artifacts import content_of, keep_artifact
from harness.store.promoted import alias_path, current_alias
from harness.types import Artifact
from harness.weights.header import read_header


def test_the_identity_is_of_content_not_of_place(tmp_path, make):
    first, second = make.adapter(tmp_path / "a"), make.adapter(tmp_path / "b")
    assert adapter_id(first) == adapter_id(second)
    assert len(adapter_id(first)) == 16
    assert adapter_id(make.adapter(tmp_path / "c", weight=2.0)) != adapter_id(first)


@pytest.mark.parametrize(
    ("config", "same"),
    [
        ({"lora_alpha": 64}, False),
        ({"use_rslora": True}, False),
        ({"target_modules": ["q_proj"]}, False),
        ({"a_field_of_tomorrow": 1}, False),
        ({"target_modules": ["v_proj", "q_proj"]}, True),
        ({"base_model_name_or_path": "/somebody/else"}, True),
        ({"peft_version": "9", "inference_mode": True, "lora_dropout": 0.1, "layers_pattern": None}, True),
    ],
)
def test_fields_count_where_they_decide_answers(tmp_path, make, config, same):
    plain = adapter_id(make.adapter(tmp_path / "a"))
    assert (adapter_id(make.adapter(tmp_path / "b", **config)) == plain) == same


@pytest.mark.parametrize("field", ["alpha_pattern", "rank_pattern"])
def test_the_order_of_patterns_counts_since_the_first_that_matches_is_taken(tmp_path, make, field):
    one = adapter_id(make.adapter(tmp_path / "a", **{field: {"q_proj": 2, "z.*": 3}}))
    other = adapter_id(make.adapter(tmp_path / "b", **{field: {"z.*": 3, "q_proj": 2}}))
    assert one != other


def test_sorted_patterns_have_the_id_that_they_had(tmp_path, make):
    """So that workspaces of earlier versions are read on; peft saves patterns sorted."""
    assert adapter_id(make.adapter(tmp_path / "a", alpha_pattern={"k": 4, "q": 5})) == "4aa43b35e673b685"


def test_a_changed_file_is_hashed_again(tmp_path, make):
    folder = make.adapter(tmp_path / "a")
    before = adapter_id(folder)
    make.adapter(folder, weight=3.0)
    assert adapter_id(folder) != before


def test_a_pickled_adapter_is_refused(tmp_path, make):
    folder = make.adapter(tmp_path / "a")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(InputError, match=r"adapter_model\.bin: the adapter is pickled.*save_pretrained"):
        adapter_id(folder)


def test_a_folder_that_is_no_adapter(tmp_path, make):
    with pytest.raises(InputError, match="no such adapter folder"):
        adapter_id(tmp_path / "none")
    make.adapter(tmp_path / "stage" / "adapter")
    with pytest.raises(InputError, match=r"no adapter_config.json; did you mean .*stage/adapter"):
        adapter_id(tmp_path / "stage")
    (tmp_path / "stage" / "adapter" / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match="has no adapter_model"):
        adapter_id(tmp_path / "stage" / "adapter")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"peft_type": 3}', "\ufffd", "[" * 100_000])
def test_a_malformed_configuration(tmp_path, make, text):
    folder = make.adapter(tmp_path / "a")
    (folder / "adapter_config.json").write_text(text)
    with pytest.raises(InputError, match=r"adapter_config\.json"):
        adapter_id(folder)


def weights(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    return path


def framed(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x01", b"\xff" * 8, b"\xff" * 100, (2).to_bytes(8, "little") + b"{", (2).to_bytes(8, "little") + b"xx",
        framed([]), framed({"w": 3}), framed({"w": {}}), framed({"w": ENTRY}), framed({"w": ENTRY}, b"\0" * 7),
        framed({"w": ENTRY}, b"\0" * 9), framed({"w": {**ENTRY, "dtype": "PICKLE"}}, b"\0" * 8),
        framed({"w": {**ENTRY, "dtype": []}}, b"\0" * 8), framed({"w": {**ENTRY, "shape": [3]}}, b"\0" * 8),
        framed({"w": {**ENTRY, "shape": [-2]}}, b"\0" * 8), framed({"w": {**ENTRY, "shape": [True]}}, b"\0" * 8),
        framed({"w": {**ENTRY, "data_offsets": [8, 16]}}, b"\0" * 16),
        framed({"w": ENTRY, "v": ENTRY}, b"\0" * 8), framed({"w": {**ENTRY, "data_offsets": [0, 8, 9]}}, b"\0" * 8),
    ],
)  # fmt: skip
def test_a_damaged_safetensors_file_is_refused(tmp_path, data):
    with pytest.raises(InputError, match=r"w\.safetensors"):
        read_header(weights(tmp_path, data))


def test_an_adapter_without_tensors_is_refused(tmp_path, make):
    folder = make.adapter(tmp_path / "a")
    (folder / "adapter_model.safetensors").write_bytes(framed({"__metadata__": {"format": "pt"}}))
    with pytest.raises(InputError, match="no tensors"):
        adapter_id(folder)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60), st.integers(0, 40))
def test_any_bytes_are_read_or_refused_in_one_sentence(tmp_path, data, length):
    with contextlib.suppress(InputError):
        read_header(weights(tmp_path, length.to_bytes(8, "little") + data))


def test_the_header_agrees_with_the_real_library(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    import numpy as np

    tensors = {"b": np.zeros((3, 2), np.float16), "a": np.ones((), np.int64), "empty": np.zeros((0, 4), np.float32)}
    numpy.save_file(tensors, tmp_path / "w.safetensors", metadata={"x": "y"})
    assert read_header(tmp_path / "w.safetensors") == {"b": ("F16", (3, 2)), "a": ("I64", ()), "empty": ("F32", (0, 4))}
    os.truncate(tmp_path / "w.safetensors", (tmp_path / "w.safetensors").stat().st_size - 1)
    with pytest.raises(InputError):
        read_header(tmp_path / "w.safetensors")


def test_storing_copies_what_is_needed_and_nothing_else(workspace, tmp_path, make):
    folder = make.adapter(tmp_path / "a")
    (folder / "optimizer.pt").write_bytes(b"pickle")
    (folder / "stage.json").write_text("{}")
    spec = store_adapter(workspace, folder)
    assert list_adapters(workspace) == [spec.id]
    stored = sorted(path.name for path in Path(spec.path).iterdir())
    assert stored == ["adapter_config.json", "adapter_model.safetensors", "artifact.json"]
    shutil.rmtree(folder)
    check_adapter(spec)
    assert resolve_adapters([spec.id[:6]], workspace)[0].path == spec.path
    assert resolve_adapters([str(spec.path)], None)[0].id == spec.id


def test_storing_twice_is_storing_once(workspace, tmp_path, make):
    folder = make.adapter(tmp_path / "a")
    assert store_adapter(workspace, folder) == store_adapter(workspace, folder)


def test_a_changed_stored_adapter_is_found_out(workspace, tmp_path, make):
    spec = store_adapter(workspace, make.adapter(tmp_path / "a"))
    make.adapter(Path(spec.path), weight=9.0)
    with pytest.raises(BrokenRunError, match="changed since it was stored"):
        check_adapter(spec)
    with pytest.raises(BrokenRunError, match="changed since it was stored"):
        resolve_adapters([spec.id], workspace)
    with pytest.raises(BrokenRunError, match="changed since it was stored"):
        store_adapter(workspace, make.adapter(tmp_path / "a"))


def test_references(workspace, tmp_path, make, monkeypatch):
    one, two = make.adapter(tmp_path / "one"), make.adapter(tmp_path / "two", weight=2.0)
    specs = resolve_adapters([str(one), str(two)], workspace)
    assert [spec.reference for spec in specs] == [str(one), str(two)]
    assert [spec.path for spec in specs] == [str(one), str(two)]
    monkeypatch.chdir(tmp_path)
    assert resolve_adapters(["one"], workspace)[0].path == str(one)
    assert resolve_adapters(["promoted"], workspace) == ()
    with pytest.raises(InputError, match="named twice"):
        resolve_adapters([str(one), "one"], workspace)
    with pytest.raises(InputError, match="did you mean 'promoted'"):
        resolve_adapters(["promoted1"], workspace)
    with pytest.raises(InputError, match="no such adapter folder"):
        resolve_adapters(["./three"], workspace)
    with pytest.raises(InputError, match="no such adapter folder"):
        resolve_adapters(["../../../nowhere"], workspace)


def test_the_beginning_of_an_id_must_be_of_four_digits_and_unique(workspace, tmp_path, make):
    spec = store_adapter(workspace, make.adapter(tmp_path / "a"))
    with pytest.raises(InputError, match="no adapter is called"):
        resolve_adapters([spec.id[:3]], workspace)
    twin = spec.id[:4] + ("0" * 12 if spec.id[4] != "0" else "1" * 12)
    (workspace.artifacts / "adapter" / twin).mkdir()
    with pytest.raises(InputError, match="beginning of 2 adapters"):
        resolve_adapters([spec.id[:4]], workspace)


def test_a_pipe_in_the_place_of_the_alias_keeps_nobody_waiting(workspace):
    path = alias_path(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    assert current_alias(workspace) is None


CODE = {"base_model_class": "X", "parent_library": "os"}


def test_a_kept_copy_names_no_code_that_another_program_would_import(workspace, tmp_path, make):
    folder = make.adapter(tmp_path / "a", auto_mapping=CODE, alpha_pattern={"z": 2, "a": 3})
    spec = store_adapter(workspace, folder)
    kept = json.loads((Path(spec.path) / "adapter_config.json").read_text())
    assert "auto_mapping" not in kept
    assert list(kept["alpha_pattern"]) == ["z", "a"]
    assert spec.id == adapter_id(folder)


@pytest.mark.parametrize("change", [{"auto_mapping": CODE}, {"task_type": "X"}, {"base_model_name_or_path": "/other"}])
def test_a_kept_configuration_that_changed_where_the_id_does_not_look_is_found_out(workspace, tmp_path, make, change):
    spec = store_adapter(workspace, make.adapter(tmp_path / "a"))
    file = Path(spec.path) / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    assert adapter_id(Path(spec.path)) == spec.id
    with pytest.raises(BrokenRunError, match=r"adapter_config\.json: the file has changed"):
        check_adapter(spec)
    with pytest.raises(BrokenRunError, match=r"adapter_config\.json: the file has changed"):
        store_adapter(workspace, tmp_path / "a")


def test_keeping_it_again_does_not_bless_what_changed(workspace, tmp_path, make):
    folder = make.adapter(tmp_path / "a")
    spec = store_adapter(workspace, folder)
    file = Path(spec.path) / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "auto_mapping": CODE}))
    keep_artifact(workspace, Artifact(kind="adapter"), content_of("adapter", folder))
    with pytest.raises(BrokenRunError, match="has changed"):
        check_adapter(spec)
