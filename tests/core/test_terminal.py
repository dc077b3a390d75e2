"""Text of unknown origin cannot command a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.terminal import safe_text


def test_colours_titles_and_links_are_dropped():
    assert safe_text("a\x1b[31mred\x1b[0m b") == "ared b"
    assert safe_text("\x1b]0;title\x07x") == "x"
    assert safe_text("\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\") == "click"


def test_direction_overrides_and_surrogates_become_replacement_characters():
    assert safe_text("a\u202eb\ud800c\x00") == "a\ufffdb\ufffdc\ufffd"


def test_lines_can_be_folded_and_cut():
    assert safe_text("a\n b\t c", one_line=True) == "a b c"
    assert safe_text("abcdef", limit=4) == "abc…"


@given(st.text(alphabet=st.characters(), max_size=200))
def test_nothing_that_a_terminal_obeys_survives(text):
    clean = safe_text(text)
    assert not any(ord(c) < 32 and c not in "\n\t" for c in clean)
    assert not any(0x7F <= ord(c) <= 0x9F for c in clean)
    clean.encode()
