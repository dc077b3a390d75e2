"""What makes a version of a policy, and where a policy that names something wrongly is told to be wrong."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness.evaluation.policies import default_policy, find_policy
from harness.plugins import load_plugins
from harness.reading.config import read_config

POLICY = """\
policies:
  mine:
    about: What this is for.
    left_out: [speed, since nobody waits]
    suites:
      - suite: safety-core
        gates:
          - {metric: incoherent, max: 0.1}
"""


@pytest.fixture(scope="module")
def registries():
    return load_plugins(installed=False).registries


def version(folder, registries, text: str) -> str:
    (folder / "harness.yaml").write_text(text)
    return find_policy("mine", read_config(folder), registries).fingerprint


@pytest.mark.parametrize(
    ("before", "after"),
    [("What this is for.", "Anything else"), ("[speed, since nobody waits]", "[]"), ("nobody waits", "all can wait")],
)
def test_texts_that_only_inform_make_no_new_version(tmp_path, registries, before, after):
    assert version(tmp_path, registries, POLICY.replace(before, after)) == version(tmp_path, registries, POLICY)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("max: 0.1", "max: 0.2"), ("metric: incoherent", "metric: harmful_compliance"),
        ("    suites:", "    alpha: 0.1\n    suites:"), ("    suites:", "    review: manual\n    suites:"),
        ("        gates:", "        limit: 40\n        gates:"), ("suite: safety-core", "suite: privacy"),
    ],
)  # fmt: skip
def test_all_that_decides_makes_a_new_version(tmp_path, registries, before, after):
    assert version(tmp_path, registries, POLICY.replace(before, after)) != version(tmp_path, registries, POLICY)


@pytest.mark.parametrize(
    ("suites", "said"),
    [
        ("[persona, safty-core]",
         "harness.yaml:3: policies.mine.suites[1]: no suite is called 'safty-core'; did you mean 'safety-core'?"),
        ("\n      - persona\n      - {suite: safty-core, gates: [{metric: incoherent, max: 0.1}]}",
         "harness.yaml:5: policies.mine.suites[1].suite: no suite is called 'safty-core'; did you mean 'safety-core'?"),
        ("[gone/nope.yaml]", "harness.yaml:3: policies.mine.suites[0]: gone/nope.yaml: no such suite file"),
    ],
)  # fmt: skip
def test_a_suite_that_is_not_there_is_told_with_its_place(tmp_path, registries, suites, said):
    (tmp_path / "harness.yaml").write_text(f"policies:\n  mine:\n    suites: {suites}\n")
    with pytest.raises(InputError) as caught:
        find_policy("mine", read_config(tmp_path), registries)
    assert said in str(caught.value)


def test_the_folders_policy_that_is_not_there_is_told_with_its_place(tmp_path, registries):
    (tmp_path / "harness.yaml").write_text("model: 'echo:'\npolicy: strikt\n")
    with pytest.raises(
        InputError, match=r"harness.yaml:2: policy: no policy is called 'strikt'; did you mean 'strict'"
    ):
        default_policy(read_config(tmp_path), registries)


@pytest.mark.filterwarnings("error")
def test_a_policy_keeps_the_version_that_earlier_releases_gave_it(tmp_path, registries):
    """Or all decisions under it were stale, and its attempts counted anew."""
    expected = "a1b9a692bcbc9168f80012c8061b31fba0fabfce7669b0f211431a5337c34361"
    assert version(tmp_path, registries, POLICY) == expected
