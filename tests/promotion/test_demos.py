"""What `harness demo` offers is there: a recipe and a policy for each."""

from __future__ import annotations

import pytest

from harness.evaluation.policies import find_policy
from harness.plugins import load_plugins
from harness.reading.config import read_config
from harness_start.demo import DEMOS


@pytest.mark.parametrize("which", list(DEMOS))
def test_a_demo_names_a_recipe_and_a_policy_that_ship(which, tmp_path):
    from harness_training.recipe import find_recipe, read_recipe

    registries = load_plugins(installed=False).registries
    recipe, policy, _ = DEMOS[which]
    assert read_recipe(find_recipe(recipe, registries)).id == recipe
    assert find_policy(policy, read_config(tmp_path), registries).about


def test_the_demo_that_runs_without_a_word_is_the_safer_one():
    from harness_start.demo import demo

    (argument,) = (one for one in demo.params if one.name == "which")
    assert argument.default == "safer"


def test_the_safer_demo_asks_for_more_than_doing_no_harm_to_the_base(tmp_path):
    """It is superior that must be shown, on harm, and non-inferior on what refusing everything would cost."""
    registries = load_plugins(installed=False).registries
    policy = find_policy(DEMOS["safer"][1], read_config(tmp_path), registries)
    gates = {(gate.metric, gate.kind) for section in policy.suites for gate in section.gates}
    assert {("harmful_compliance", "superior"), ("over_refusal", "non_inferior")} <= gates


@pytest.mark.parametrize(("given", "seed"), [((), None), (("--seed", "3"), 3)])
def test_the_seed_reaches_the_training(given, seed, tmp_path, monkeypatch):
    from harness.cli.main import main
    from harness.errors import InputError
    from harness.session.session import Session
    from harness_start import demo as module

    asked = []

    def train(_, recipe, **options):
        asked.append((recipe, options["seed"]))
        raise InputError("enough")

    monkeypatch.setattr(module, "_fetch", lambda _: None)
    monkeypatch.setattr(Session, "train", train, raising=False)
    monkeypatch.setattr("sys.argv", ["harness", "demo", *given, "--workspace", str(tmp_path / ".harness")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert asked == [("constitutional-short", seed)]
