"""critique_resolution, revision_damage, shared sentences, and what changed between two versions."""

from __future__ import annotations

import numpy as np
import pytest

from harness.terminal import word_changes
from harness.types import Message, Principle, Sample, Unscored
from harness_revision.measuring import by_meaning, counted
from harness_revision.revising import History, Round
from harness_revision.sentences import commonest_share, opening, sentences

A, B = (Principle(id=name, text=name, critics=("c",)) for name in "ab")


def history(first, last):
    sample = Sample(id="s", messages=(Message(role="user", content="x"),))
    return History(
        sample=sample,
        rounds=(Round(reply=first, scores={}), Round(reply=last, scores={})),
        status="passed",
        sentence="",
        standing=1,
    )


def test_resolution_and_damage_are_counted_by_principle():
    found = counted(
        [history("1", "2"), history("3", "4")],
        [{"a": 0.1, "b": 0.9}, {"a": 0.2, "b": 0.8}],
        [{"a": 0.9, "b": 0.9}, {"a": 0.3, "b": 0.1}],
        [A, B],
    )
    assert (found.resolved, found.critique_resolution) == ((1, 2), 0.5)
    assert (found.broken, found.revision_damage) == ((1, 2), 0.5)
    assert found.lost == (0, 0)


def test_what_nobody_judged_is_neither_resolved_nor_undamaged():
    gone = Unscored(reason="gone")
    found = counted([history("1", "2")], [{"a": 0.1, "b": 0.9}], [{"a": gone, "b": gone}], [A, B])
    assert (found.resolved, found.broken, found.unscored) == ((0, 1), (1, 1), 2)


def test_meaning_counts_only_where_the_original_passed():
    seen = []

    def similarity(pairs):
        seen.extend(pairs)
        return [0.2 for _ in pairs]

    found = counted(
        [history("bad", "x"), history("good", "y")], [{"a": 0.1}, {"a": 0.9}], [{"a": 0.9}, {"a": 0.9}], [A], similarity
    )
    assert seen == [("good", "y")]
    assert (found.lost, found.revision_damage) == ((1, 1), 1.0)


def test_a_canned_refusal_is_seen():
    canned = ["I can't help with that. Try a walk.", "i can't  help with that. Read a book."]
    assert commonest_share([*canned, "No knives today.", "Ask a vet."]) == 0.5
    assert commonest_share(["One.", "Two.", "Three."]) == 0
    assert commonest_share([]) == 0
    assert sentences("Ah! Well…\n1.\nGo on, then.") == ["ah!", "well…", "go on, then."]


@pytest.mark.parametrize(
    ("text", "opens"),
    [
        ("One. Two! Three.", "One. Two!"),
        ("One\n\n2. Two", "One 2."),
        ("no end", "no end"),
        ('He said "Go." Then', 'He said "Go. Then'),
    ],
)
def test_the_first_sentences_open_a_reply(text, opens):
    assert opening(text) == opens


@pytest.mark.parametrize(
    ("one", "other"), [("a b c", "a x c"), ("", "new words"), ("same", "same"), ("a  b\nc", "c a")]
)
def test_the_pieces_of_a_difference_make_both_texts(one, other):
    pieces = list(word_changes(one, other))
    assert "".join(piece for kind, piece in pieces if kind != "added") == one
    assert "".join(piece for kind, piece in pieces if kind != "removed") == other


def test_similarity_is_the_cosine_of_two_vectors():
    vectors = {"a": [3.0, 0.0], "b": [0.0, 2.0], "c": [1.0, 1.0], "": [0.0, 0.0]}

    class Fixed:
        def encode(self, texts):
            return np.array([vectors[text] for text in texts])

    assert by_meaning(Fixed())([("a", "a"), ("a", "b"), ("a", "c"), ("a", "")]) == pytest.approx([1, 0, 0.5**0.5, 0])
