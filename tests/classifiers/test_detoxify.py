"""The detoxify classifier, through the real Detoxify class on a small checkpoint."""

from __future__ import annotations

import json
import pickle

import pytest

from harness.errors import InputError
from harness_classifiers.checkpoint import NAMED, open_checkpoint, read_pinned
from harness_classifiers.detoxify import DetoxifyClassifier

TEXTS = ["you are an idiot .", "good morning", "you are a kind person , good day", "", "hate"]


@pytest.fixture(scope="module")
def classifier(small_checkpoint, surroundings):
    return DetoxifyClassifier(small_checkpoint.options, surroundings)


def test_gives_what_detoxify_itself_gives(classifier, small_checkpoint):
    import torch
    from detoxify import Detoxify

    loaded = torch.load(small_checkpoint.file, weights_only=True)
    folder = small_checkpoint.file.parent / "patched"
    folder.mkdir(exist_ok=True)
    for file in small_checkpoint.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    names = {index: f"LABEL_{index}" for index in range(3)}
    config |= {"id2label": names, "label2id": {name: index for index, name in names.items()}}
    (folder / "config.json").write_text(json.dumps(config))
    loaded["config"]["arch"]["args"]["model_type"] = str(folder)
    own = small_checkpoint.file.parent / "own.ckpt"
    torch.save(loaded, own)
    peer = Detoxify(checkpoint=str(own), huggingface_config_path=str(folder))
    for text, found in zip(TEXTS[:3], classifier.classify(TEXTS[:3]), strict=True):
        expected = peer.predict(text)
        assert {f.label: f.probability for f in found} == pytest.approx(expected, abs=1e-5)


def test_labels_are_named_as_detoxify_names_them(classifier):
    (found,) = classifier.classify(["good day"])
    assert [f.label for f in found] == ["toxicity", "severe_toxicity", "obscene"]
    assert all(f.span is None for f in found)


def test_the_scores_differ_between_texts(classifier):
    first, second = classifier.classify(["you are an idiot .", "good morning"])
    assert first != second


def test_an_empty_text_is_not_toxic(classifier):
    assert all(f.probability == 0.0 for f in classifier.classify(["  \n"])[0])


def test_a_long_text_takes_its_worst_window(classifier):
    calm, harsh = "good morning , kind person . " * 40, "you are an idiot ."
    alone, mixed = classifier.classify([calm, calm + harsh])
    assert all(m.probability >= a.probability - 1e-6 for m, a in zip(mixed, alone, strict=True))


def test_no_socket_is_opened(small_checkpoint, surroundings, no_sockets):
    assert DetoxifyClassifier(small_checkpoint.options, surroundings).classify(["good day"])
    assert no_sockets == []


class Boom:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_wrong_pin_is_refused_before_anything_is_unpickled(small_checkpoint, surroundings, tmp_path):
    bad = tmp_path / "bad.ckpt"
    bad.write_bytes(pickle.dumps(Boom(tmp_path / "ran")))
    options = {**small_checkpoint.options, "checkpoint": str(bad)}
    with pytest.raises(InputError, match="the pin says"):
        DetoxifyClassifier(options, surroundings).classify(["hello"])
    assert not (tmp_path / "ran").exists()


def test_a_pinned_checkpoint_that_would_run_code_is_refused_too(tmp_path):
    with pytest.raises(InputError, match="would run code"):
        open_checkpoint(pickle.dumps(Boom(tmp_path / "ran")), where="bad.ckpt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("missing", ["sha256", "config_path"])
def test_no_pin_no_load(small_checkpoint, surroundings, missing):
    options = {key: value for key, value in small_checkpoint.options.items() if key != missing}
    if missing == "config_path":
        del options["config_sha256"]
    with pytest.raises(InputError, match=f"classifiers.detoxify.{missing}"):
        DetoxifyClassifier(options, surroundings)


def test_the_configuration_is_pinned_too(small_checkpoint, surroundings):
    options = {key: value for key, value in small_checkpoint.options.items() if key != "config_sha256"}
    with pytest.raises(InputError, match=small_checkpoint.options["config_sha256"]):
        DetoxifyClassifier(options, surroundings).fingerprint()
    options["config_sha256"] = "0" * 64
    with pytest.raises(InputError, match="the folder's hash is"):
        DetoxifyClassifier(options, surroundings).classify(["hello"])


def test_something_else_than_a_checkpoint(tmp_path):
    import torch

    torch.save({"weights": torch.zeros(2)}, tmp_path / "x.pt")
    with pytest.raises(InputError, match="not a Detoxify checkpoint"):
        open_checkpoint((tmp_path / "x.pt").read_bytes(), where="x.pt")


def test_a_missing_checkpoint_says_so(small_checkpoint, surroundings):
    options = {**small_checkpoint.options, "checkpoint": "nowhere.ckpt"}
    with pytest.raises(InputError, match="no such checkpoint"):
        DetoxifyClassifier(options, surroundings).fingerprint()
    with pytest.raises(InputError, match="cannot be read"):
        DetoxifyClassifier(options, surroundings).classify(["x"])


@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_named_model_that_is_absent_says_what_to_do(name, surroundings, monkeypatch, tmp_path, no_sockets):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    classifier = DetoxifyClassifier({"model": name}, surroundings)
    for call in (classifier.fingerprint, lambda: classifier.classify(["hello"])):
        with pytest.raises(InputError, match="without --offline"):
            call()
    assert no_sockets == []


def test_a_named_model_with_other_bytes_is_refused(surroundings, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / NAMED["original"].file
    file.parent.mkdir(parents=True)
    file.write_bytes(pickle.dumps(Boom(tmp_path / "ran")))
    with pytest.raises(InputError, match="c1212f89; it was not opened"):
        DetoxifyClassifier({"model": "original"}, surroundings).classify(["hello"])
    assert not (tmp_path / "ran").exists()


def test_named_files_lie_where_torch_looks_for_them(monkeypatch, tmp_path):
    from harness_classifiers.checkpoint import named_path

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    import torch

    assert named_path(NAMED["unbiased"]).parent == type(tmp_path)(torch.hub.get_dir()) / "checkpoints"


def test_named_checkpoints_are_those_of_the_library():
    from detoxify.detoxify import MODEL_URLS

    for name, named in NAMED.items():
        assert named.url == MODEL_URLS[name]
        assert named.url.endswith(f"-{named.sha256_prefix}.ckpt")


def test_read_pinned_takes_a_prefix(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"x")
    assert read_pinned(file, "2d711642", key="k") == b"x"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"modle": "original"}, r"classifiers\.detoxify\.modle: unknown option; did you mean 'model'\?"),
        ({"model": "orignal"}, r"classifiers\.detoxify\.model"),
        ({"batch_size": 0}, r"classifiers\.detoxify\.batch_size"),
        ({"model": "unbiased", "checkpoint": "x"}, "exclude each other"),
        ({"config_path": "x"}, "go with a checkpoint"),
    ],
)
def test_bad_options(options, says, surroundings):
    with pytest.raises(InputError, match=says):
        DetoxifyClassifier(options, surroundings)


def test_the_fingerprint_moves_with_the_weights(small_checkpoint, surroundings):
    options = dict(small_checkpoint.options)
    first = DetoxifyClassifier(options, surroundings).fingerprint()
    assert first == DetoxifyClassifier({**options, "batch_size": 7}, surroundings).fingerprint()
    assert first != DetoxifyClassifier({**options, "sha256": "0" * 64}, surroundings).fingerprint()
