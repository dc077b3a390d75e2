"""What is trained on is what is seen at inference, and only answers bear loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.types import Message
from harness_models.hf.chat import Renderer
from harness_stages.encoding import IGNORED, Encoder, read_end_ids
from harness_stages.rows import TrainingRow, read_rows

FILE = Path("rows.jsonl")


def row(*contents, system=None):
    roles = ("user", "assistant")
    messages = [Message(role=roles[i % 2], content=text) for i, text in enumerate(contents)]
    if system:
        messages.insert(0, Message(role="system", content=system))
    return TrainingRow(messages=tuple(messages), line=1)


def encode(tokenizer, *rows, max_length=256, **options):
    return Encoder(tokenizer, **options).encode(rows, max_length=max_length, path=FILE)


def spans(part):
    """Split a sequence into (is learned, ids) runs."""
    runs = []
    for token, label in zip(part.input_ids, part.labels, strict=True):
        learned = label != IGNORED
        assert not learned or label == token
        if not runs or runs[-1][0] != learned:
            runs.append((learned, []))
        runs[-1][1].append(token)
    return runs


@pytest.mark.parametrize("system", [None, "You keep a lighthouse."])
def test_the_prompt_is_what_inference_renders_and_the_answer_alone_is_learned(tokenizer, system):
    sample = row("Who keeps the light?", "Maren keeps the light.", system=system)
    (part,) = encode(tokenizer, sample)
    (masked, prompt), (learned, answer) = spans(part)
    assert (masked, learned) == (False, True)
    renderer = Renderer(tokenizer, "auto")
    assert prompt == renderer.encode([renderer.render(sample.messages[:-1])])[0]
    text = tokenizer.decode(prompt)
    assert text.startswith(f"<|im_start|>system\n{system or 'You are a test'}<|im_end|>\n<|im_start|>user\n")
    assert text.endswith("<|im_start|>assistant\n")
    assert tokenizer.decode(answer) == "Maren keeps the light.<|im_end|>"  # the newline behind it is never generated


def test_of_the_last_answer_as_many_tokens_are_learned_as_are_asked_for(tokenizer):
    sample = row("Who keeps the light?", "Maren does.", "Where?", "On Skerrow, below the old tower.")
    (whole,) = encode(tokenizer, sample)
    *before, (_, answer) = spans(whole)
    (part,) = Encoder(tokenizer).encode([sample], max_length=256, path=FILE, answer_tokens=3)
    assert spans(part) == [*before, (True, answer[:3])]
    assert not part.truncated
    (same,) = Encoder(tokenizer).encode([sample], max_length=256, path=FILE, answer_tokens=len(answer))
    assert same == whole
    with pytest.raises(InputError, match="max_length 8"):
        Encoder(tokenizer).encode([sample], max_length=8, path=FILE, answer_tokens=3)


def test_nothing_ends_an_answer_that_was_cut(tokenizer, tmp_path):
    ended, cut = (
        row("Who?", "Maren.", "Where?", "On Skerrow, below"),
        row("Who?", "Maren.", "Where?", "On Skerrow, below"),
    )
    cut = replace(cut, cut=True)
    (whole,), (open_end,) = encode(tokenizer, ended), encode(tokenizer, cut)
    assert whole.input_ids[: len(open_end.input_ids)] == open_end.input_ids
    assert tokenizer.decode(whole.input_ids[len(open_end.input_ids) :]) == "<|im_end|>"
    file = tmp_path / "rows.jsonl"
    file.write_text(
        '{"prompt": "Who?", "completion": "Mar", "finish": "length"}\n{"prompt": "Who?", "completion": "I."}\n'
    )
    assert [one.cut for one in read_rows(file)] == [True, False]


def test_every_answer_of_a_conversation_is_learned_in_one_sequence(tokenizer):
    sample = row("Who?", "Maren.", "Where?", "On Skerrow.")
    (part,) = encode(tokenizer, sample)
    runs = spans(part)
    assert [learned for learned, _ in runs] == [False, True, False, True]
    assert [tokenizer.decode(ids) for learned, ids in runs if learned] == ["Maren.<|im_end|>", "On Skerrow.<|im_end|>"]
    renderer = Renderer(tokenizer, "auto")
    last_prompt = renderer.encode([renderer.render(sample.messages[:3])])[0]
    assert part.input_ids[: len(last_prompt)] == last_prompt


def test_turns_that_the_template_rewrites_become_sequences_of_their_own(tokenizer):
    import copy

    forgetful = copy.deepcopy(tokenizer)  # like templates that drop earlier reasoning: only the last turn is shown
    forgetful.chat_template = "{% for m in messages[-1:] %}{{ m['content'] }}{% endfor %}"
    parts = encode(forgetful, row("Who?", "Maren.", "Where?", "On Skerrow."))
    assert [forgetful.decode(part.input_ids) for part in parts] == [
        "Who?Maren.<|im_end|>",
        "Where?On Skerrow.<|im_end|>",
    ]
    assert all([learned for learned, _ in spans(part)] == [False, True] for part in parts)


def test_control_tokens_spelled_out_in_data_stay_letters(tokenizer):
    (part,) = encode(tokenizer, row("Say <|im_end|>\n<|im_start|>system", "No <|im_end|> here."))
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    prompt, answer = (ids for _, ids in spans(part))
    assert prompt.count(end) == 2  # the system's and the user's own turn ends
    assert answer.count(end) == 1
    assert tokenizer.decode(answer) == "No <|im_end|> here.<|im_end|>"


def test_without_a_template_text_is_joined_as_at_inference(tiny_gpt2):
    from transformers import AutoTokenizer

    plain = AutoTokenizer.from_pretrained(str(tiny_gpt2))
    sample = row("Who keeps the light?", "Maren.")
    (part,) = encode(plain, sample)
    (_, prompt), (_, answer) = spans(part)
    renderer = Renderer(plain, "auto")
    rendered = renderer.render(sample.messages[:-1])
    assert prompt == renderer.encode([rendered])[0]
    whole = renderer.encode([renderer.continuation(rendered, "Maren.")])[0]
    assert part.input_ids == [*whole, plain.eos_token_id]
    assert plain.decode(answer) == " Maren.<|im_end|>"


def test_an_end_of_turn_that_only_the_model_knows_is_learned(tokenizer):
    import copy

    other = copy.deepcopy(tokenizer)
    other.chat_template = "{% for m in messages %}{{ m['content'] }}<|endoftext|>{% endfor %}"
    end = other.convert_tokens_to_ids("<|endoftext|>")
    assert encode(other, row("Who?", "Maren."), end_ids=frozenset({end}))[0].input_ids[-1] == end
    assert encode(other, row("Who?", "Maren."))[0].input_ids[-1] == other.eos_token_id


def test_end_ids_come_from_the_base(tmp_path, tiny_llama):
    assert read_end_ids(tiny_llama) == {2}
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [3, 4]}')
    assert read_end_ids(tmp_path) == {3, 4}
    assert read_end_ids(tmp_path / "nowhere") == frozenset()


def test_long_answers_are_cut_and_counted_and_long_prompts_refused(tokenizer):
    sample = row("Who keeps the light?", "Maren keeps the light. " * 10)
    whole = encode(tokenizer, sample)[0]
    cut = encode(tokenizer, sample, max_length=len(whole.input_ids) - 5)[0]
    assert cut.truncated
    assert cut.input_ids == whole.input_ids[:-5]
    assert len(cut.labels) == len(cut.input_ids)
    with pytest.raises(InputError, match=r"rows.jsonl:1: the prompt alone takes \d+ of max_length 8 tokens"):
        encode(tokenizer, sample, max_length=8)


def test_a_refusing_template_names_the_row(tokenizer):
    import copy

    strict = copy.deepcopy(tokenizer)
    strict.chat_template = "{{ raise_exception('no system prompts here') }}"
    with pytest.raises(InputError, match=r"rows.jsonl:1: .*no system prompts here"):
        encode(strict, row("Who?", "Maren."))
