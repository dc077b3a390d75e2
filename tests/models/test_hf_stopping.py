"""Stop strings and streamed pieces are what decoding everything at every token would give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.contracts import RunContext
from harness.types import Completion, Decoding, Generate
from harness_models.hf.stopping import Decode, Stops, TextStream, byte_tokens
from tests import tiny
from tests.models.conftest import ask, greedy, make, user

ALPHABET = "ab \n:é語🙂"


def byte_level(folder: Path) -> Any:
    from transformers import AutoTokenizer

    tiny.save_tokenizer(folder)
    return AutoTokenizer.from_pretrained(str(folder))


def byte_fallback() -> Any:
    """As Llama 2 has it: a mark for spaces, the first of which is dropped, and bytes for rare characters."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", ":"]
    tokenizer = Tokenizer(
        models.BPE(vocab={word: n for n, word in enumerate(words)}, merges=[], byte_fallback=True, unk_token="<unk>")
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


@pytest.fixture(scope="module", params=["byte level", "byte fallback"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return byte_fallback() if request.param == "byte fallback" else byte_level(tmp_path_factory.mktemp("tokenizer"))


def decoder(tokenizer: Any) -> Decode:
    def decode(ids: Sequence[int]) -> str:
        return tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)

    return decode


def first_met(stops: Sequence[str], tokens: Sequence[int], decode: Decode) -> int | None:
    """How many tokens it takes, by decoding them all each time."""
    for count in range(1, len(tokens) + 1):
        if any(stop in decode(tokens[:count]) for stop in stops):
            return count
    return None


texts = st.text(alphabet=ALPHABET, max_size=60)
stops = st.lists(st.text(alphabet=ALPHABET, min_size=1, max_size=5), max_size=3)
same_tokenizer = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(text=texts, stops=stops)
@example(text="a" * 50 + "\n\nb", stops=["\n\n"])
@example(text="ab  a:", stops=[" a"])
@example(text="🙂\n🙂é", stops=["é"])
@example(text="é語🙂\n", stops=["\n"])
@same_tokenizer
def test_a_stop_string_is_met_at_the_token_that_completes_it(tokenizer: Any, text: str, stops: list[str]) -> None:
    decode = decoder(tokenizer)
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    found = Stops(stops, decode)
    met = [count for count in range(1, len(tokens) + 1) if found.met(tokens[:count])]
    assert (met[0] if met else None) == first_met(stops, tokens, decode)


def test_control_tokens_within_a_stop_string_do_not_hide_it(tmp_path: Path) -> None:
    tokenizer = byte_level(tmp_path / "tokenizer")
    decode = decoder(tokenizer)
    ids = tokenizer("Question", add_special_tokens=False)["input_ids"]
    tokens = [*ids, *[tokenizer.bos_token_id] * 40, *tokenizer(":", add_special_tokens=False)["input_ids"]]
    assert "Question:" in decode(tokens)
    assert Stops(["Question:"], decode).met(tokens)


def test_looking_for_stop_strings_seldom_decodes(tmp_path: Path) -> None:
    decode = decoder(byte_level(tmp_path / "tokenizer"))
    calls = []

    def counting(ids: Sequence[int]) -> str:
        calls.append(len(ids))
        return decode(ids)

    found = Stops(["\n\n", "Question:"], counting)
    tokens: list[int] = []
    for n in range(2000):
        tokens.append(60 + n % 30)
        found.met(tokens)
    assert len(calls) < 200
    assert max(calls) < 100


@given(text=texts, stops=stops, cut=st.integers(0, 3))
@same_tokenizer
def test_pieces_add_up_and_never_show_a_stop_string(tokenizer: Any, text: str, stops: list[str], cut: int) -> None:
    decode = decoder(tokenizer)
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    tokens = tokens[: len(tokens) - cut]  # possibly within a character
    pieces: list[str] = []
    found = Stops(stops, decode)
    stream = TextStream(decode, found, pieces.append, byte_tokens(tokenizer))
    final = decode(tokens)
    for count in range(1, len(tokens) + 1):
        if found.met(tokens[:count]):
            final = found.cut(decode(tokens[:count])) or ""
            break
        stream.push(tokens[:count])
        shown = "".join(pieces)
        assert "\ufffd" not in shown
        assert final.startswith(shown) or stops
    stream.close(final)
    assert "".join(pieces) == final
    assert all(pieces)
    assert not any(stop in final for stop in stops)


def test_text_is_streamed_as_it_grows(tiny_base: Path, surroundings: RunContext) -> None:
    model, candidate = make(tiny_base, surroundings)
    asked = [
        Generate(messages=user(text), decoding=greedy(24, "zz")) for text in ("the quick brown fox", "Yes", "one two")
    ] + [Generate(messages=user("sun"), decoding=Decoding(max_new_tokens=24, temperature=1.0, seed=1))]
    plain = ask(model, candidate, asked)
    pieces: dict[int, list[str]] = {n: [] for n in range(len(asked))}
    replies: dict[int, Any] = {}
    order: list[tuple[str, int]] = []

    def on_text(index: int, piece: str) -> None:
        pieces[index].append(piece)
        order.append(("text", index))

    def deliver(index: int, reply: Any) -> None:
        replies[index] = reply
        order.append(("reply", index))

    model.answer(candidate, asked, deliver, on_text=on_text)
    for index, reply in enumerate(plain):
        assert isinstance(reply, Completion)
        assert replies[index].text == reply.text == "".join(pieces[index])
    assert max(map(len, pieces.values())) > 5
    # Rows grow together, and a row's text is all there before its reply.
    assert {index for kind, index in order[:12] if kind == "text"} == set(range(len(asked)))
    for index in pieces:
        assert all(place < order.index(("reply", index)) for place, seen in enumerate(order) if seen == ("text", index))
