"""Modules of the evaluate library: a local folder for real, the hub only when pinned and trusted."""

from __future__ import annotations

import socket

import pytest

from harness.errors import InputError
from harness.types import Unscored
from harness_metrics import hf_evaluate
from tests.metrics.conftest import make_completion, make_sample

MODULE = """
import datasets
import evaluate


class Near(evaluate.Metric):
    def _info(self):
        features = datasets.Features({"predictions": datasets.Value("float64"), "references": datasets.Value("float64")})
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=features)

    def _compute(self, predictions, references, within=0.5):
        return {"near": float(abs(predictions[0] - references[0]) <= within), "text": "x"}
"""


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_the_bundled_module_runs_through_evaluate_offline(measure, no_network):
    metric = measure("evaluate", module="word_overlap", key="f1")["evaluate_word_overlap_f1"]
    sample = make_sample(target=("a red fox",))
    assert metric.observe(sample, (make_completion("a red hen"),), {}, ()) == (pytest.approx(2 / 3), 1.0)
    assert metric.kind == "mean"
    assert "sha256" in metric.about
    assert type(metric._module).__module__.startswith("evaluate_modules.")


def test_a_folder_of_ones_own(measure, tmp_path, no_network):
    folder = tmp_path / "near"
    folder.mkdir()
    (folder / "near.py").write_text(MODULE, encoding="utf-8")
    options = {"module": str(folder), "key": "near", "predict": "number", "bounds": [0, 1]}
    metric = measure("evaluate", **options, name="near", arguments={"within": 2})["near"]
    sample = make_sample(target=("10",))
    assert metric.observe(sample, (make_completion("It is 11."),), {}, ()) == (1.0, 1.0)
    assert metric.observe(sample, (make_completion("It is 13."),), {}, ()) == (0.0, 1.0)
    assert isinstance(metric.observe(sample, (make_completion("Who knows"),), {}, ()), Unscored)
    wrong = measure("evaluate", **{**options, "key": "nearr"}, name="near")["near"]
    with pytest.raises(InputError, match="only: near, text"):
        wrong.observe(sample, (make_completion("11"),), {}, ())
    (folder / "near.py").write_text("raise ValueError('broken on purpose')\n", encoding="utf-8")
    broken = measure("evaluate", **options, name="near")["near"]
    with pytest.raises(InputError, match=r"cannot be loaded.*broken on purpose"):
        broken.observe(sample, (make_completion("11"),), {}, ())


def test_the_choice_that_a_reply_names_first(measure):
    metric = measure("evaluate", module="word_overlap", key="f1", predict="choice")["evaluate_word_overlap_f1"]
    sample = make_sample(choices=("no", "not known", "yes"), answer=2, target=("yes",))
    assert metric._pair(sample, "It is not known, yes.") == (1, 2)
    assert metric._pair(sample, "Maybe") == (None, 2)


def test_the_hub_needs_a_commit_and_a_network(measure, monkeypatch, tmp_path):
    commit = "a" * 40
    for options in ({}, {"revision": "main"}):
        with pytest.raises(InputError, match=r"module.*runs its code here"):
            measure("evaluate", module="accuracy", key="accuracy", **options)
    with pytest.raises(InputError, match="trust: unknown option"):
        measure("evaluate", module="accuracy", key="accuracy", revision=commit, trust=True)
    pinned = {"module": "accuracy", "key": "accuracy", "revision": commit}
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="offline"):
        measure("evaluate", **pinned)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.delenv("HF_EVALUATE_OFFLINE", raising=False)  # a command that was called with --offline sets it
    metric = measure("evaluate", **pinned)["evaluate_accuracy_accuracy"]
    assert commit in metric.about
    assert metric.code == f"accuracy@{commit}"
    assert hf_evaluate._offline() is False
    with pytest.raises(InputError, match="no such folder"):
        measure("evaluate", module="./absent", key="x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"lacks empty\.py"):
        measure("evaluate", module=str(tmp_path / "empty"), key="x")


def test_a_suite_runs_code_that_the_user_allows_and_no_other(tmp_path, monkeypatch):
    from harness.evaluation.constitutions import Constitutions
    from harness.evaluation.prepare import make_metrics
    from harness.plugins import load_plugins
    from harness.reading.config import read_config
    from harness.reading.suite import read_suite

    monkeypatch.chdir(tmp_path)
    ran = tmp_path / "ran"
    for name in ("near", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.py").write_text(f"open({str(ran)!r}, 'w')\n{MODULE}", encoding="utf-8")
    (tmp_path / "s.yaml").write_text(
        "id: s\nsamples: {path: x.jsonl}\nmeasure:\n  - evaluate: {module: near, key: near, predict: number}\n"
    )

    def make(*plugins: str):
        registries = load_plugins(plugins).registries
        suite = read_suite(tmp_path / "s.yaml")
        (metric,) = make_metrics(suite, registries, Constitutions(registries, tmp_path))
        return metric

    for chosen in ((), ("trust:other",), ("trust:nearby",)):
        with pytest.raises(InputError, match=r"s.yaml:4: measure.*would run the code in .*near, .*-p trust:/"):
            make(*chosen)
    assert make("trust:near").code == str(tmp_path / "near")
    (tmp_path / "harness.yaml").write_text("plugins: ['trust:./near']\n")
    assert make(*read_config(tmp_path).plugins).code
    assert not ran.exists()
