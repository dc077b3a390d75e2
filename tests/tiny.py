"""Builds models small enough for a test and real in every other way: tokenizer, chat template, safetensors."""

from __future__ import annotations

from pathlib import Path

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_WORDS = (
    "the quick brown fox jumps over a lazy dog and then it sleeps in the warm sun . what is the capital of France ? "
    "Paris is the capital . Yes No Maybe I can not help you with that , sorry . please tell me about your day ! "
    "user assistant system one two three four five six seven eight nine ten"
)
WINDOW = 256
"""Tokens that the tiny models can see."""


def save_tokenizer(folder: Path) -> int:
    """Train a byte-level BPE tokenizer on a few words, save it with a chat template, return its vocabulary's size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_WORDS] * 4, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", unk_token="<|endoftext|>",
        pad_token="<|im_end|>",
    )  # fmt: skip
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(str(folder))
    return len(fast)


def save_llama(folder: Path, *, seed: int = 0, hidden: int = 32) -> Path:
    """Save a random two-layer Llama with grouped-query attention; its logits are far from uniform."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True)
    size = save_tokenizer(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=size, hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=WINDOW, initializer_range=0.3, bos_token_id=1, eos_token_id=2,
        pad_token_id=2, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(str(folder))
    return folder


def save_gpt2(folder: Path, *, seed: int = 0) -> Path:
    """Save a random two-layer GPT-2, which has learnt positions and transposed weights."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    folder.mkdir(parents=True)
    size = save_tokenizer(folder)
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=WINDOW, initializer_range=0.3, bos_token_id=1,
        eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(str(folder))
    return folder


def save_adapter(base: Path, folder: Path, *, seed: int, targets: tuple[str, ...] = ("q_proj", "v_proj")) -> Path:
    """Save a LoRA adapter for a base whose weights, both halves, are random and far from zero."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(base))
    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=list(targets), task_type="CAUSAL_LM")
    adapted = get_peft_model(model, config)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.3)
    adapted.save_pretrained(str(folder))
    return folder
