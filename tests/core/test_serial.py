"""What is written can be read back, and unions stay apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.serial import from_json, to_json
from harness.types import (
    Completion,
    Decoding,
    Finding,
    Generate,
    LogProb,
    Message,
    NoReply,
    NotApplicable,
    Sample,
    SampleRecord,
    Unscored,
    Verdict,
)

text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)
absent = st.builds(Unscored, reason=text) | st.builds(NotApplicable, reason=text)
numbers = st.floats(allow_nan=False, allow_infinity=False)
samples = st.builds(
    Sample, id=text, messages=st.lists(st.builds(Message, role=st.just("user"), content=text)).map(tuple),
    tags=st.lists(text).map(tuple), metadata=st.dictionaries(text, numbers | text | st.none()),
)  # fmt: skip
replies = (
    st.builds(Completion, text=text, prompt_tokens=st.none(), completion_tokens=st.integers(0), finish=st.just("stop"))
    | st.builds(LogProb, logprob=numbers, tokens=st.integers(0))
    | st.builds(NoReply, reason=text)
)
requests = st.builds(Generate, messages=st.just(()), decoding=st.builds(Decoding, max_new_tokens=st.integers(1, 9)))
records = st.builds(
    SampleRecord, sample=samples, replies=st.lists(st.tuples(requests, replies)).map(tuple),
    findings=st.dictionaries(
        text, st.lists(st.builds(Finding, label=text, probability=numbers)).map(tuple) | st.builds(Unscored, reason=text)
    ),
    verdicts=st.lists(
        st.builds(Verdict, principle=text, critic=text, fingerprint=text, score=numbers | absent)
    ).map(tuple),
    rows=st.dictionaries(text, st.lists(numbers).map(tuple) | absent),
)  # fmt: skip


@given(records)
def test_a_record_survives_the_round_trip(record):
    assert from_json(SampleRecord, to_json(record)) == record


def test_a_damaged_record_names_its_file(tmp_path):
    with pytest.raises(InputError, match=r"run\.json: not a readable Sample"):
        from_json(Sample, "{}", file=tmp_path / "run.json")


def test_identity_depends_on_all_that_could_change_a_score_and_on_nothing_else():
    base = Sample(id="a", messages=(Message(role="user", content="hi"),), tags=("x",))
    assert base.content_hash == Sample(id="b", messages=base.messages, tags=("y",), cluster="c").content_hash
    assert base.content_hash != Sample(id="a", messages=base.messages, target=("hello",)).content_hash
    assert base.content_hash != Sample(id="a", messages=base.messages, metadata={"k": 1}).content_hash
