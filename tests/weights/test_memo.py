"""Hashes remembered by identity, and headers read without torch."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.hashing import sha256_file
from harness.weights import folder_hash, memo, memoised_sha256, tensor_shapes


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, store = tmp_path / "f", tmp_path / "store"
    file.write_bytes(b"abc")
    time.sleep(0.06)  # one as new as the clock's tick is not remembered
    reads = []
    monkeypatch.setattr(memo, "sha256_file", lambda path: reads.append(path) or sha256_file(path))
    assert memoised_sha256(file, store=store) == memoised_sha256(file, store=store) == sha256_file(file)
    assert len(reads) == 1


def test_a_changed_file_is_read_again_even_at_the_same_size_and_time(tmp_path: Path) -> None:
    file, store = tmp_path / "f", tmp_path / "store"
    file.write_bytes(b"abc")
    before = memoised_sha256(file, store=store)
    times = file.stat()
    other = tmp_path / "g"
    other.write_bytes(b"abd")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(file)  # another inode
    assert memoised_sha256(file, store=store) == sha256_file(file) != before


def test_a_file_changed_in_place_is_read_again_even_at_the_same_size_and_time(tmp_path: Path) -> None:
    file, store = tmp_path / "f", tmp_path / "store"
    file.write_bytes(b"abc")
    before = memoised_sha256(file, store=store)
    times = file.stat()
    time.sleep(0.02)  # the file system's clock ticks that seldom
    file.write_bytes(b"abd")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert memoised_sha256(file, store=store) == sha256_file(file) != before


def remembered(tmp_path: Path) -> tuple[Path, Path, str, Path]:
    """Return a file, a store that remembers it, its hash, and the note."""
    file, store = tmp_path / "f", tmp_path / "store"
    file.write_bytes(b"abc")
    time.sleep(0.06)
    digest = memoised_sha256(file, store=store)
    (note,) = (store / ".hashes").iterdir()
    return file, store, digest, note


@pytest.mark.parametrize("field", ["sha256", "path", "identity", "seal"])
def test_a_note_that_somebody_else_wrote_vouches_for_nothing(tmp_path: Path, field: str) -> None:
    file, store, digest, note = remembered(tmp_path)
    other = tmp_path / "g"
    other.write_bytes(b"xyz")
    content = json.loads(note.read_text())
    forged = {
        "sha256": sha256_file(other),
        "path": str(other),
        "identity": content["identity"][::-1],
        "seal": "00" * 32,
    }
    note.write_text(json.dumps({**content, field: forged[field]}))
    assert memoised_sha256(file, store=store) == digest


def test_a_note_cannot_be_moved_to_changed_weights(tmp_path: Path) -> None:
    file, store, digest, note = remembered(tmp_path)
    content = json.loads(note.read_text())
    file.write_bytes(b"abd")
    facts = file.stat()
    content["identity"] = [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_dev]
    note.write_text(json.dumps(content))
    assert memoised_sha256(file, store=store) == sha256_file(file) != digest


def test_one_as_new_as_the_clocks_tick_is_not_remembered(tmp_path: Path) -> None:
    file, store = tmp_path / "f", tmp_path / "store"
    file.write_bytes(b"abc")
    memoised_sha256(file, store=store)
    assert not (store / ".hashes").exists()


def test_reading_anew_asks_no_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, store, digest, _ = remembered(tmp_path)
    reads = []
    monkeypatch.setattr(memo, "sha256_file", lambda path: reads.append(path) or sha256_file(path))
    with memo.reading_anew():
        assert memoised_sha256(file, store=store) == digest
    assert memoised_sha256(file, store=store) == digest
    assert len(reads) == 1


def test_the_key_is_private_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    file, store, _, _ = remembered(tmp_path)
    key = store / ".hashes.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.write_bytes(b"short")
    with pytest.raises(InputError, match=r"hashes\.key: is no key.*delete it"):
        memoised_sha256(file, store=store)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"identity": 3}'])
def test_a_damaged_memory_is_forgotten(tmp_path: Path, damage: str) -> None:
    file, store, digest, note = remembered(tmp_path)
    note.write_text(damage)
    assert memoised_sha256(file, store=store) == digest


def test_a_store_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    file, store = tmp_path / "f", tmp_path / "store"
    file.write_bytes(b"abc")
    store.write_text("a file where a folder should be")
    assert memoised_sha256(file, store=store) == sha256_file(file)


def test_an_absent_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        memoised_sha256(tmp_path / "absent", store=tmp_path)


def test_a_folders_hash_is_that_of_its_model_files(tmp_path: Path) -> None:
    folder, store = tmp_path / "m", tmp_path / "store"
    folder.mkdir()
    with pytest.raises(InputError, match="no model files"):
        folder_hash(folder, store=store)
    (folder / "model.safetensors").write_bytes(b"w")
    (folder / "config.json").write_text("{}")
    before = folder_hash(folder, store=store)
    (folder / "notes.md").write_text("not part of the model")
    assert folder_hash(folder, store=store) == before
    (folder / "config.json").write_text('{"a": 1}')
    assert folder_hash(folder, store=store) != before


def model_folder(tmp_path: Path, **files: object) -> Path:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"w")
    for name, content in {"config": {}, **files}.items():
        (folder / f"{name.replace('__', '.')}.json").write_text(json.dumps(content))
    return folder


def test_additional_chat_templates_count(tmp_path: Path) -> None:
    folder, store = model_folder(tmp_path), tmp_path / "store"
    (folder / "additional_chat_templates").mkdir()
    before = folder_hash(folder, store=store)
    (folder / "additional_chat_templates" / "default.jinja").write_text("{{ messages }}")
    assert folder_hash(folder, store=store) != before


@pytest.mark.parametrize(
    "files",
    [
        {"model__safetensors__index": {"weight_map": {"a": "w/m.safetensors"}}},
        {"model__safetensors__index": {"weight_map": {"a": "../m.safetensors"}}},
        {"model__safetensors__index": {"weight_map": {"a": "/m.safetensors"}}},
        {"model__safetensors__index": {"weight_map": {"a": "w\\m.safetensors"}}},
        {"model__safetensors__index": {"weight_map": {"a": ".."}}},
        {"model__safetensors__index": {"weight_map": {"a": 3}}},
        {"config": {"transformers_weights": "w/m.safetensors"}},
        {"tokenizer_config": {"fast_tokenizer_files": ["w/tokenizer.4.0.json"]}},
        {"adapter_config": {"peft_type": "LORA"}},
    ],
)
def test_a_file_elsewhere_that_would_be_loaded_is_refused(tmp_path: Path, files: dict) -> None:
    with pytest.raises(InputError, match=r"only files beside it|an adapter lies in the folder") as caught:
        folder_hash(model_folder(tmp_path, **files), store=tmp_path / "store")
    assert "\n" not in str(caught.value)


def test_shards_beside_their_index_are_taken(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
    assert folder_hash(model_folder(tmp_path, model__safetensors__index=index), store=tmp_path / "store")


# ---------------------------------------------------------------- headers


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_shapes_are_read(tmp_path: Path) -> None:
    file = tmp_path / "f.safetensors"
    header = {"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    file.write_bytes(safetensors(header, bytes(24)))
    assert tensor_shapes(file) == {"a": (2, 3)}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234",
        (10**12).to_bytes(8, "little") + b"{}",
        safetensors([]),
        safetensors({"a": 3}),
        safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(4)),
        safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)),
        safetensors({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}, bytes(4)),
        (4).to_bytes(8, "little") + b"\xff\xff\xff\xff",
    ],
)
def test_a_damaged_header_is_named(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "f.safetensors"
    file.write_bytes(data)
    with pytest.raises(InputError, match="not a whole safetensors file") as caught:
        tensor_shapes(file)
    assert caught.value.file == str(file)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_any_bytes_are_shapes_or_an_input_error(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "f.safetensors"
    file.write_bytes(data)
    try:
        tensor_shapes(file)
    except InputError as error:
        assert str(file) in str(error)
