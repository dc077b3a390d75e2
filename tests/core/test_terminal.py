"""Text of unknown origin cannot command a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.terminal import redacted, safe_text


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


def test_what_nobody_sees_is_shown():
    import sys
    import unicodedata

    for code in range(sys.maxunicode + 1):
        visible = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
        if unicodedata.category(chr(code)) == "Cf" and code not in visible:
            assert safe_text(f"a{chr(code)}b") == "a\ufffdb", hex(code)
    for mark in "\u061c\U000e0041\U000e0100\u3164\u2028\ufe0f\u200d\u034f":
        assert safe_text(f"a{mark}b") == "a\ufffdb"


def test_joiners_stay_where_scripts_and_emoji_need_them():
    for text in ("👩\u200d💻", "❤\ufe0f", "1\ufe0f\u20e3", "می\u200cخواهم", "क्\u200dष"):
        assert safe_text(text) == text
    assert safe_text("é\u200d\u200cé\ufe0f\ufe0f").count("\ufffd") == 4


def test_secrets_are_left_out():
    for text in (
        "openai:m@http://user:pa/ss@host/v1", "http://h/v1?api_key=hush-pass", "--x=https://h/#hush-pass",
        "API-KEY=pass", "sk-passpasspass", "Authorization: Bearer passpasspass",
    ):  # fmt: skip
        assert "pass" not in redacted(text)
    assert redacted("openai:qwen3@http://localhost:11434/v1 ./a") == "openai:qwen3@http://localhost:11434/v1 ./a"
