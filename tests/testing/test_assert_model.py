"""`assert_model`: a model that keeps its contract passes, and each way of breaking it is named."""

from __future__ import annotations

import pytest

from harness.testing import ModelContractError, assert_model

MODEL = """
import itertools
from harness import Model, hookimpl
from harness.types import Completion, Generate, LogProb, NoReply
calls = itertools.count()
class Mo(Model):
    def fingerprint(self, candidate):
        return {"weights": "1"}
    def answer(self, candidate, requests, deliver):
        for index, request in enumerate(requests):
            if isinstance(request, Generate):
                deliver(index, Completion(text="x", prompt_tokens=None, completion_tokens=None, finish="stop"))
            else:
                deliver(index, LogProb(logprob=-3.0, tokens=2))
@hookimpl
def register_models(register):
    register("mo", Mo)
"""


def check(folder, old="", new=""):
    assert old in MODEL
    (folder / "mo.py").write_text(MODEL.replace(old, new) if old else MODEL)
    assert_model("mo:", plugins=[folder / "mo.py"])


def test_a_model_that_keeps_its_contract_passes(tmp_path):
    check(tmp_path)


def test_the_bundled_echo_keeps_it():
    assert_model("echo:")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"weights": "1"', '"weights": str(next(calls))', "its fingerprint is another one at each call"),
        ("logprob=-3.0", "logprob=0.5", "a log-probability of 0.5 over 2 tokens"),
        ("tokens=2", "tokens=0", "a log-probability of -3 over 0 tokens"),
        ("logprob=-3.0", "logprob=-3.0 - index", "log p is another one when it is asked alone"),
        ('text="x"', "text=str(len(requests))", "the reply is another one when it is asked alone: '12', '1'"),
        ("completion_tokens=None", "completion_tokens=9", "9 new tokens, and max_new_tokens was 8"),
        ("LogProb(logprob=-3.0, tokens=2)", "NoReply(reason='tired')", "no reply (tired)"),
    ],
)
def test_each_broken_promise_is_named(tmp_path, old, new, said):
    with pytest.raises(ModelContractError) as caught:
        check(tmp_path, old, new)
    assert said in str(caught.value)
