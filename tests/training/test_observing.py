"""Loss curves are kept, and MLflow, TensorBoard and Weights & Biases watch a training where they are installed."""

from __future__ import annotations

import json

import pytest

from harness.errors import InputError, MissingDependencyError
from harness_training import observing
from harness_training.observing import Observation
from tests.training.conftest import chat_rows, write_rows

SFT = {"data": "rows.jsonl", "max_steps": 3, "batch_size": 2, "dtype": "float32", "validation": 0.4,
       "evaluate_every": 1}  # fmt: skip


def trained(lab, *wanted, warnings=None):
    write_rows(lab.folder / "rows.jsonl", chat_rows())
    warn = (lambda text: None) if warnings is None else warnings.append
    observation = Observation(wanted=wanted, root=lab.folder / "seen", warn=warn)
    (result,) = lab.train(lab.write(SFT), observation=observation)
    return result


def test_curves_lie_beside_what_was_trained(lab):
    result = trained(lab)
    (folder,) = (lab.workspace.artifacts / "curves").iterdir()
    content = json.loads((folder / "curves.json").read_text())
    assert content["of"] == {"adapter": result.kept["adapter"].artifact.id}
    assert [step for step, _ in content["curves"]["loss"]] == [1, 2, 3]
    assert [step for step, _ in content["curves"]["validation_loss"]] == [0, 1, 2, 3]
    assert content["curves"]["validation_loss"][0][1] == result.record.figures["validation_loss_first"]


def test_mlflow_keeps_losses_figures_and_options_in_a_folder(lab):
    pytest.importorskip("mlflow")
    result = trained(lab, "mlflow")
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=(lab.folder / "seen" / "observed" / "mlflow").absolute().as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["max_steps"] == "3"
    assert [one.step for one in client.get_metric_history(run.info.run_id, "loss")] == [1, 2, 3]
    assert [one.step for one in client.get_metric_history(run.info.run_id, "validation_loss")] == [0, 1, 2, 3]
    assert run.data.metrics["figures/steps"] == result.record.figures["steps"]


def test_tensorboard_reads_the_losses(lab):
    pytest.importorskip("tensorboard")
    trained(lab, "tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = (lab.folder / "seen" / "observed" / "tensorboard").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    assert [one.step for one in events.Scalars("loss")] == [1, 2, 3]


def test_weights_and_biases_writes_an_offline_run(lab, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    trained(lab, "wandb")
    runs = list((lab.folder / "seen" / "observed" / "wandb").glob("wandb/offline-run-*/run-*.wandb"))
    assert len(runs) == 1
    assert runs[0].stat().st_size > 0


def test_an_observer_that_fails_costs_a_warning_and_no_training(lab, monkeypatch):
    class Broken:
        needs = "json"

        def __init__(self, place, what):
            self.logged = 0

        def log(self, step, values):
            raise ConnectionError("no server")

        def end(self, figures, *, failed):
            raise AssertionError("it was left out")

    monkeypatch.setattr(observing, "OBSERVERS", {"broken": Broken})
    warnings = []
    assert trained(lab, "broken", warnings=warnings).trained
    assert warnings == ["the observer broken failed and is left out (ConnectionError: no server); training goes on"]


def test_a_wrong_name_and_a_missing_package_are_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no observer 'tensorbord'; did you mean 'tensorboard'"):
        Observation(wanted=("tensorbord",), root=tmp_path, warn=print)
    monkeypatch.setattr(observing.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="--observe wandb"):
        Observation(wanted=("wandb",), root=tmp_path, warn=print)
