"""Random models of the architectures that people fine-tune, each a few kilobytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.tiny import WINDOW, save_tokenizer

_SLIDING = 8


def _common(size: int) -> dict[str, Any]:
    return {
        "vocab_size": size, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": WINDOW, "initializer_range": 0.3, "bos_token_id": 1,
        "eos_token_id": 2, "pad_token_id": 2,
    }  # fmt: skip


def _llama(size: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**_common(size), num_key_value_heads=2, tie_word_embeddings=True))


def _gpt2(size: int) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=WINDOW, initializer_range=0.3, bos_token_id=1,
            eos_token_id=2, pad_token_id=2,
        )
    )  # fmt: skip


def _qwen2(size: int) -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return Qwen2ForCausalLM(Qwen2Config(**_common(size), num_key_value_heads=2))


def _qwen2_sliding(size: int) -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        **_common(size), num_key_value_heads=2, use_sliding_window=True, sliding_window=_SLIDING, max_window_layers=1
    )
    return Qwen2ForCausalLM(config)


def _qwen3(size: int) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return Qwen3ForCausalLM(Qwen3Config(**_common(size), num_key_value_heads=2, head_dim=16))


def _gemma(size: int) -> Any:
    from transformers import GemmaConfig, GemmaForCausalLM

    return GemmaForCausalLM(GemmaConfig(**_common(size), num_key_value_heads=1, head_dim=8))


def _gemma2(size: int) -> Any:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        **_common(size), num_key_value_heads=2, head_dim=8, sliding_window=_SLIDING, final_logit_softcapping=2.0,
        attn_logit_softcapping=5.0,
    )  # fmt: skip
    return Gemma2ForCausalLM(config)


def _gemma3(size: int) -> Any:
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    config = Gemma3TextConfig(
        **_common(size), num_key_value_heads=2, head_dim=8, sliding_window=_SLIDING,
        layer_types=["sliding_attention", "full_attention"],
    )  # fmt: skip
    return Gemma3ForCausalLM(config)


def _neox(size: int) -> Any:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    return GPTNeoXForCausalLM(GPTNeoXConfig(**_common(size)))


def _mistral_sliding(size: int) -> Any:
    from transformers import MistralConfig, MistralForCausalLM

    return MistralForCausalLM(MistralConfig(**_common(size), num_key_value_heads=2, sliding_window=_SLIDING))


def _bloom(size: int) -> Any:
    from transformers import BloomConfig, BloomForCausalLM

    return BloomForCausalLM(
        BloomConfig(
            vocab_size=size, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3, bos_token_id=1, eos_token_id=2,
            pad_token_id=2,
        )
    )  # fmt: skip


def _neo(size: int) -> Any:
    from transformers import GPTNeoConfig, GPTNeoForCausalLM

    return GPTNeoForCausalLM(
        GPTNeoConfig(
            vocab_size=size, hidden_size=32, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]],
            window_size=_SLIDING, max_position_embeddings=WINDOW, initializer_range=0.3, bos_token_id=1, eos_token_id=2,
            pad_token_id=2,
        )
    )  # fmt: skip


def _lfm2(size: int) -> Any:
    from transformers import Lfm2Config, Lfm2ForCausalLM

    return Lfm2ForCausalLM(
        Lfm2Config(**_common(size), num_key_value_heads=2, layer_types=["conv", "full_attention"])
    )  # fmt: skip


def _phi3_long(size: int) -> Any:
    from transformers import Phi3Config, Phi3ForCausalLM

    rope = {
        "rope_type": "longrope", "rope_theta": 10_000.0, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4,
        "original_max_position_embeddings": _SLIDING,
    }  # fmt: skip
    given = _common(size) | {"original_max_position_embeddings": _SLIDING}
    return Phi3ForCausalLM(Phi3Config(**given, num_key_value_heads=2, rope_parameters=rope))


def _gemma2_high_cap(size: int) -> Any:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(**_common(size), num_key_value_heads=2, head_dim=8, final_logit_softcapping=30.0)
    return Gemma2ForCausalLM(config)


def _mamba(size: int) -> Any:
    from transformers import MambaConfig, MambaForCausalLM

    return MambaForCausalLM(
        MambaConfig(
            vocab_size=size, hidden_size=32, num_hidden_layers=2, state_size=8, initializer_range=0.3, bos_token_id=1,
            eos_token_id=2, pad_token_id=2,
        )
    )  # fmt: skip


SHAPES: dict[str, Callable[[int], Any]] = {
    "llama": _llama,
    "gpt2": _gpt2,
    "qwen2": _qwen2,
    "qwen2-sliding": _qwen2_sliding,
    "qwen3": _qwen3,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "neox": _neox,
    "mistral-sliding": _mistral_sliding,
    "bloom": _bloom,
    "neo": _neo,
    "lfm2": _lfm2,
}
"""By name. Learned positions: gpt2. Windows: those that say so, gemma2 and gemma3. No tree mask: bloom, neo, lfm2."""

BY_LENGTH: dict[str, Callable[[int], Any]] = {"phi3-long": _phi3_long}
"""Shapes that turn positions by the length of the longest row of a pass."""

ODD: dict[str, Callable[[int], Any]] = {"gemma2-high-cap": _gemma2_high_cap, "mamba": _mamba}
"""Shapes with tests of their own: a cap that changes small logits by little, and no attention at all."""

PLAIN = frozenset({"bloom", "neo", "lfm2", "phi3-long"})
"""Shapes whose positions follow from the order of the tokens or whose rotation from the longest sequence, that hide what
is far by themselves, or that are not all attention: branches cannot share a sequence."""


def save_shape(folder: Path, name: str, *, seed: int = 0, head: int | None = None) -> Path:
    """Save a random model of a shape with a tokenizer; `head` is the size of its four heads, where it is not the usual."""
    import torch

    folder.mkdir(parents=True)
    size = save_tokenizer(folder)
    torch.manual_seed(seed)
    model = (SHAPES | BY_LENGTH | ODD)[name](size)
    if head is not None:
        config = model.config
        for key, value in (("hidden_size", 4 * head), ("head_dim", head)):
            if hasattr(config, key):
                setattr(config, key, value)
        model = type(model)(config)
    model.save_pretrained(str(folder))
    return folder
