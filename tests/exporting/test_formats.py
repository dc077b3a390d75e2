"""Each format is read again by what reads it, and says the same."""

from __future__ import annotations

import json

import pytest

from harness.errors import BrokenRunError, InputError
from harness_stages.exporting.comparing import Scores, compare
from harness_stages.exporting.needed import FORMATS, check_numbers
from harness_stages.exporting.written import compared, load_whole, write
from tests import tiny


@pytest.fixture(scope="module")
def whole(tiny_base, tiny_adapter):
    return load_whole(tiny_base, [tiny_adapter])


@pytest.mark.parametrize(
    ("kind", "numbers", "most"),
    [
        ("hf", "float32", 1e-4), ("hf", "bfloat16", 0.5), ("gguf", "f32", 1e-4), ("gguf", "f16", 0.05),
        ("gguf", "q8_0", 0.5), ("gguf", "q4_1", 4.0), ("onnx", "float32", 1e-3), ("onnx", "int8", 1.0),
    ],
)  # fmt: skip
def test_what_is_written_says_the_same(whole, tmp_path, kind, numbers, most):
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
    figures = write(whole, kind, numbers, tmp_path / "out").figures
    assert figures["mean_difference"] <= figures["largest_difference"]
    assert figures["mean_difference"] < most
    assert figures["compared_tokens"] > 50
    assert figures["bytes"] > 10_000
    assert (figures["largest_difference"] > 1e-4) == (numbers not in {"float32", "f32"})


def test_the_adapter_is_in_it(whole, tiny_base, tmp_path):
    from harness_stages.exporting.comparing import score
    from harness_stages.exporting.transformers_folder import read

    folder = write(whole, "hf", "float32", tmp_path / "out").path
    merged, bare = score(read(folder), whole.tokenizer), score(read(tiny_base), whole.tokenizer)
    assert compare(merged, bare)["mean_difference"] > 0.1
    assert not any("adapter" in path.name for path in folder.iterdir())


def test_nothing_written_names_this_machine(whole, tmp_path, tiny_base):
    pytest.importorskip("onnxruntime")
    for kind in FORMATS:
        folder = write(whole, kind, FORMATS[kind][0], tmp_path / kind).path
        for path in folder.rglob("*"):
            content = path.read_bytes()
            assert str(tiny_base).encode() not in content, path
            assert b"site-packages" not in content, path


def test_gguf_keeps_tokens_and_template(whole, tmp_path):
    import gguf

    folder = write(whole, "gguf", "f16", tmp_path / "out").path
    fields = gguf.GGUFReader(str(folder / "model.gguf")).fields
    assert fields["tokenizer.ggml.tokens"].contents()[1] == "<|im_start|>"
    assert fields["tokenizer.ggml.token_type"].contents()[:4] == [3, 3, 3, 1]
    assert fields["tokenizer.chat_template"].contents() == tiny.CHAT_TEMPLATE
    from transformers import AutoTokenizer

    again = AutoTokenizer.from_pretrained(str(folder), gguf_file="model.gguf")
    text = "the quick brown fox, 12 lamps"
    assert again(text, add_special_tokens=False).input_ids == whole.tokenizer(text, add_special_tokens=False).input_ids


def test_what_gguf_has_no_name_for_is_refused(tmp_path):
    gpt2 = load_whole(tiny.save_gpt2(tmp_path / "gpt2"), [])
    with pytest.raises(InputError, match="GGUF of GPT2LMHeadModel is not written here; export it as hf"):
        write(gpt2, "gguf", "f16", tmp_path / "out")


def test_what_should_lose_nothing_and_does_is_refused():
    here = Scores(log_probabilities=[-1.0, -2.0], best=[1, 2], seconds=1.0)
    there = Scores(log_probabilities=[-1.0, -2.5], best=[1, 3], seconds=1.0)
    with pytest.raises(BrokenRunError, match=r"0.5 nats off, though nothing should be lost"):
        compared(here, there, "hf", "float32")
    assert compared(here, there, "gguf", "q8_0")["same_best"] == 0.5
    with pytest.raises(InputError, match="gguf is not written in 'int8'; known: f16"):
        check_numbers("gguf", "int8")


def test_stages_merge_and_export_and_are_reused(tmp_path, tiny_base, tiny_adapter):
    pytest.importorskip("onnxruntime")
    import yaml

    from harness import open as open_session

    recipe = {"id": "ship", "base": str(tiny_base), "adapter": str(tiny_adapter),
              "stages": [{"merge": {}}, {"export": {"format": "gguf", "numbers": "q8_0"}}, {"export": {"format": "onnx"}}]}  # fmt: skip
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    with open_session(tmp_path, offline=True) as session:
        planned = session.train(path, dry_run=True).stages
        assert [stage.word for stage in planned] == ["would be made"] * 3
        merged, small, graph = session.train(path).stages
        assert merged.record.figures["largest_difference"] < 0.01
        model = merged.kept["model"]
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= {p.name for p in model.path.iterdir()}
        assert small.record.inputs["model"] == model.artifact.id
        assert (graph.kept["export"].path / "model.onnx").is_file()
        assert all(stage.reused for stage in session.train(path).stages)
        config = json.loads((model.path / "config.json").read_text())
        assert "_name_or_path" not in config


def test_merging_needs_an_adapter(tmp_path, tiny_base):
    import yaml

    from harness import open as open_session

    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"id": "x", "base": str(tiny_base), "stages": [{"merge": {}}]}))
    with open_session(tmp_path, offline=True) as session, pytest.raises(InputError, match="there is no adapter to mer"):
        session.train(path)
