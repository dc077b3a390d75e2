"""Whatever a model writes stays text: in HTML, in labels that Streamlit reads as Markdown, between highlights."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.terminal import safe_text
from harness.types import Completion, Finding, Message, NoReply, Unscored, Verdict
from harness_report import fragments
from harness_report.markup import Html, el, join, plain_label, text
from tests.reports.hostile import HOSTILE


class Seen(HTMLParser):
    """Collects the elements and the text of a document."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.data = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        self.data += data


@given(st.text())
def test_text_has_no_markup_and_loses_nothing(value):
    seen = Seen(f"<p>{text(value)}</p>")
    assert seen.tags == ["p"]
    assert seen.data == safe_text(value)


@given(st.text(), st.text())
def test_attributes_cannot_be_left(value, other):
    seen = Seen(el("b", other, title=value, cls=value or "x"))
    assert seen.tags == ["b"]
    assert set(seen.attributes) == {"class", "title"}


def test_only_our_own_markup_is_markup():
    assert el("b", "<i>", Html("<i></i>")) == "<b>&lt;i&gt;<i></i></b>"
    assert join(["<", Html("<br/>")], "|") == "&lt;|<br/>"


@given(st.text(alphabet=st.sampled_from("*_`[]()!<>#:$\\~|-+ab \n/.")))
def test_a_label_has_no_character_that_markdown_obeys(value):
    label = plain_label(value, limit=1000)
    assert not re.search(r"[*_`\[\]()!<>#:$~|\\]", re.sub(r"\\[^a-zA-Z0-9\s]", "", label))
    assert "\n" not in label


@given(
    st.text(max_size=60),
    st.lists(st.tuples(st.integers(-5, 70), st.integers(-5, 70)), max_size=5),
)
def test_highlights_cover_what_they_say_and_change_no_text(value, spans):
    found = [("finder", Finding(label="<x>", probability=0.9, span=span)) for span in spans]
    shown = fragments.highlighted(value, found)
    assert set(Seen(shown).tags) <= {"mark", "sup"}
    without = re.sub(r"<sup>.*?</sup>", "", shown)
    pieces = html.unescape(re.sub(r"</?mark[^>]*>", "", without))
    if "\x1b" not in value and "\x9b" not in value and "\r" not in value:  # a cut escape sequence is shown, not obeyed
        assert pieces == safe_text(value)


def test_overlapping_highlights_name_both():
    shown = fragments.highlighted(
        "abcdef",
        [
            ("a", Finding(label="ONE", probability=0.5, span=(0, 4))),
            ("b", Finding(label="TWO", probability=1, span=(2, 6))),
        ],
    )
    assert re.findall(r"<mark[^>]*>(\w+)<sup>([^<]*)</sup>", shown) == [
        ("ab", "ONE"), ("cd", "ONE, TWO"), ("ef", "TWO"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_replies_are_text_everywhere(name):
    reply = HOSTILE[name]
    completion = Completion(text=reply, prompt_tokens=None, completion_tokens=None, finish="stop")
    finding = Finding(label=reply, probability=0.9, span=(0, 5))
    verdict = Verdict(principle=reply, critic=reply, fingerprint="f", score=Unscored(reason=reply), rationale=reply)
    shown = join(
        [
            fragments.reply(completion, {reply: (finding,)}, title=reply),
            fragments.reply(NoReply(reason=reply), {}, title="reply"),
            fragments.conversation([Message(role="user", content=reply)]),
            fragments.verdicts_list([verdict], {}),
            fragments.rows_list({reply: Unscored(reason=reply)}),
            fragments.findings_list({reply: (finding,), "other": Unscored(reason=reply)}),
            fragments.badge("passed", reply), fragments.chip(reply), fragments.notice("error", reply),
        ]
    )  # fmt: skip
    seen = Seen(shown)
    assert not {"script", "img", "iframe", "style", "svg", "a", "h1", "section"} & set(seen.tags)
    assert not {"id", "onerror", "onload", "srcdoc", "href", "src"} & set(seen.attributes)
    assert f"visible-{name}" in seen.data
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)


def test_verdicts_on_several_replies_say_which():
    first, second = (
        Verdict(principle="p", critic="c", fingerprint="f", score=1.0, completion=number) for number in range(2)
    )
    assert "reply" not in fragments.verdicts_list([first], {})
    both = Seen(fragments.verdicts_list([first, second], {}))
    assert "reply" in both.data
    assert both.data.index("1") < both.data.index("2")
