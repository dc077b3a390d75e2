"""A GGUF file of a Llama-shaped model with a byte-level BPE tokenizer, as llama.cpp reads it.

Names, order of rows and keys are those of llama.cpp's own converter (convert_hf_to_gguf.py) for `llama`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import InputError

if TYPE_CHECKING:
    import numpy as np

    from harness_stages.exporting.written import Whole

FILE = "model.gguf"
_ARCHITECTURES = {"LlamaForCausalLM", "MistralForCausalLM"}
_TYPES = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0", "q4_0": "MOSTLY_Q4_0",
          "q4_1": "MOSTLY_Q4_1"}  # fmt: skip
_ELSEWHERE = "export it as hf, and convert the folder with llama.cpp's convert_hf_to_gguf.py"
_BLOCK = 32
"""Numbers of a row that share a scale."""


def write(whole: Whole, numbers: str, folder: Path) -> None:
    """Write model.gguf.

    Raises:
        InputError: where architecture or tokenizer have no name in the format that we know.
    """
    import gguf

    _check(whole)
    pre = _pre_tokenizer(whole)
    writer = gguf.GGUFWriter(str(folder / FILE), "llama")
    _add_shape(writer, whole, numbers)
    _add_tokenizer(writer, whole, pre)
    for name, weight in _tensors(whole):
        kind = _kind(name, weight, numbers)
        data = gguf.quants.quantize(weight, kind) if kind is not gguf.GGMLQuantizationType.F32 else weight
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _check(whole: Whole) -> None:
    config, name = whole.model.config, type(whole.model).__name__
    rope = getattr(config, "rope_parameters", None) or {}
    other = (
        name if name not in _ARCHITECTURES
        else f"rope of the type {rope.get('rope_type')}" if rope.get("rope_type", "default") != "default"
        else "a sliding window" if getattr(config, "sliding_window", None)
        else "biases" if any(key.endswith("proj.bias") for key in whole.model.state_dict())
        else ""
    )  # fmt: skip
    if other:
        raise InputError(f"GGUF of {other} is not written here", file=whole.base, hint=_ELSEWHERE)


def _pre_tokenizer(whole: Whole) -> str:
    """Return llama.cpp's name for how the tokenizer parts text before its merges."""
    backend = getattr(whole.tokenizer, "backend_tokenizer", None)
    content = {} if backend is None else json.loads(backend.to_str())
    pre = content.get("pre_tokenizer") or {}
    parts = pre.get("pretokenizers", [pre])
    kinds = [part.get("type") for part in parts]
    if content.get("model", {}).get("type") == "BPE" and kinds and kinds[-1] == "ByteLevel" and parts[-1]["use_regex"]:
        if kinds == ["ByteLevel"]:
            return "gpt-2"
        if kinds == ["Digits", "ByteLevel"] and parts[0]["individual_digits"]:
            return "smollm"
    raise InputError("the tokenizer parts text in a way that has no name here", file=whole.base, hint=_ELSEWHERE)


def _add_shape(writer: Any, whole: Whole, numbers: str) -> None:  # noqa: ANN401 - gguf is not typed
    import gguf

    config = whole.model.config
    heads = config.num_attention_heads
    rope = getattr(config, "rope_parameters", None) or {}
    writer.add_type("model")
    writer.add_file_type(gguf.LlamaFileType[_TYPES[numbers]])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads or heads)
    writer.add_rope_freq_base(float(rope.get("rope_theta", getattr(config, "rope_theta", 10000.0))))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(getattr(config, "head_dim", None) or config.hidden_size // heads)


def _add_tokenizer(writer: Any, whole: Whole, pre: str) -> None:  # noqa: ANN401 - gguf is not typed
    import gguf

    tokenizer, size = whole.tokenizer, whole.model.config.vocab_size
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    by_id = {number: token for token, number in tokenizer.get_vocab().items()}
    added = {token["id"]: token for token in content["added_tokens"]}
    tokens, types = [], []
    for number in range(size):
        tokens.append(by_id.get(number, f"[PAD{number}]"))
        if number not in by_id:
            types.append(gguf.TokenType.UNUSED)
        elif number in added:
            types.append(gguf.TokenType.CONTROL if added[number]["special"] else gguf.TokenType.USER_DEFINED)
        else:
            types.append(gguf.TokenType.NORMAL)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in content["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    for role in ("bos", "eos", "unk", "pad"):
        number = getattr(tokenizer, f"{role}_token_id")
        if number is not None:
            getattr(writer, f"add_{role}_token_id")(int(number))
    writer.add_add_bos_token(value=False)
    writer.add_add_space_prefix(value=False)
    template = tokenizer.chat_template
    if isinstance(template, str):
        writer.add_chat_template(template)


def _tensors(whole: Whole) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the weights under llama.cpp's names, queries and keys in its order of rows."""
    import gguf

    config = whole.model.config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    tied = bool(config.tie_word_embeddings)
    for key, weight in whole.model.state_dict().items():
        if tied and key == "lm_head.weight":
            continue
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise InputError(f"the tensor {key} has no name in GGUF", file=whole.base, hint="export the model as hf")
        array: np.ndarray = weight.float().numpy()
        if key.endswith(("q_proj.weight", "k_proj.weight")):
            queries = key.endswith("q_proj.weight")
            array = _in_pairs(array, config.num_attention_heads if queries else config.num_key_value_heads)
        yield name, array


def _in_pairs(weight: np.ndarray, heads: int) -> np.ndarray:
    """Put the halves of each head, which transformers rotates against each other, side by side."""
    rows = weight.shape[0] // heads // 2
    return weight.reshape(heads, 2, rows, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape).copy()


def _kind(name: str, weight: np.ndarray, numbers: str) -> Any:  # noqa: ANN401 - gguf is not typed
    """Return a tensor's number format: vectors stay float32, and what fills no block stays float16."""
    import gguf

    kinds = gguf.GGMLQuantizationType
    if weight.ndim == 1 or numbers == "f32":
        return kinds.F32
    if numbers.startswith("q") and weight.shape[-1] % _BLOCK:
        return kinds.F16
    if numbers.startswith("q4") and name.startswith(("token_embd", "output.")):
        return kinds.Q8_0  # as llama.cpp does: rare tokens suffer most from few bits
    return kinds[numbers.upper()]


def read(folder: Path) -> Callable[[list[int]], Any]:
    """Return a function from token ids to logits, by transformers' own reader."""
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig
    from transformers import modeling_gguf_pytorch_utils as reading

    reading.tqdm = lambda tensors, **_: tensors  # its bar goes to the terminal whatever it is told
    model = AutoModelForCausalLM.from_pretrained(
        str(folder), gguf_file=FILE, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True),
        local_files_only=True,
    ).eval()  # fmt: skip

    def forward(ids: list[int]) -> Any:  # noqa: ANN401 - an array
        with torch.no_grad():
            return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float().numpy()

    return forward
