"""The classifier `toxicity-smollm2`: a small language model that reads, with an adapter that ships. See its model card.

It is asked one question about a text, and the log-odds of *Yes* against *No* are its answer. Training
(`benchmarks/train_toxicity.py`) builds the prompt here; `PROMPT` goes up by one whenever its words change.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from harness.api import (
    BrokenRunError,
    Classifier,
    Finding,
    Findings,
    Message,
    RunContext,
    StrictModel,
    Unscored,
    materialise,
    quote,
    read_options,
    resolve_model,
    weights_hash,
)
from harness.api.weights import bundled_adapter, bundled_hash, shipped_dtype
from harness_classifiers.identity import fingerprint_of

if TYPE_CHECKING:
    import torch

PROMPT = 1
"""The version of these words."""
TASK, BASE, SHIPPED = "toxicity", "smollm2-135m", "harness:toxicity-smollm2"
SYSTEM = "Does the quoted text insult, threaten or demean a person or a group?"
QUESTION = "Yes or No?"
ANSWERS = ("Yes", "No")
WINDOW = 900
"""Characters of a text that are read at once."""
LABEL = "toxicity"


def toxicity_messages(text: str) -> tuple[Message, ...]:
    """Return what to ask about a text; the answer is one of `ANSWERS`."""
    quoted, _ = quote(text, limit=WINDOW)
    return (Message(role="system", content=SYSTEM), Message(role="user", content=f"{quoted}\n{QUESTION}"))


def windows(text: str) -> list[str]:
    """Return a text cut between words into pieces of at most `WINDOW` characters."""
    left, found = text.strip(), list[str]()
    while left:
        cut = len(left) if len(left) <= WINDOW else max(left.rfind(" ", WINDOW // 2, WINDOW), WINDOW // 2)
        found.append(left[:cut].strip())
        left = left[cut:].strip()
    return found


class ToxicitySmolLM2Options(StrictModel):
    """Options of the classifier."""

    device: Annotated[str, Field(pattern=r"^(cpu|mps|cuda(:\d+)?)$")] = "cpu"
    dtype: Annotated[str, Field(pattern=r"^(auto|bfloat16|float32)$")] = "auto"
    """Number format; `auto` is bfloat16 where the processor multiplies in it."""


class ToxicitySmolLM2(Classifier):
    """Gives the probability that a text insults, threatens or demeans a person or a group.

    A text of more than 900 characters takes the highest of its windows. An empty one has probability 0. Texts are read
    one by one, so that none changes another's finding.
    """

    labels: ClassVar[tuple[str, ...]] = (LABEL,)

    def __init__(self, options: Mapping[str, Any], context: RunContext) -> None:
        super().__init__(options, context)
        self.settings = read_options(
            ToxicitySmolLM2Options, options, "toxicity-smollm2", at=("classifiers", "toxicity-smollm2")
        )
        self._loaded: Reader | None = None

    @property
    def dtype(self) -> str:
        """The number format that is used."""
        chosen = self.settings.dtype
        if chosen == "auto":
            chosen = shipped_dtype() if self.settings.device == "cpu" else "bfloat16"
        return "float32" if chosen == "auto" else chosen

    def fingerprint(self) -> str:
        """Return the hash of base, adapter, number format and package versions, without loading."""
        weights = f"{weights_hash(BASE, store=self.context.weights)} {bundled_hash(SHIPPED)}"
        options = {"device": self.settings.device.split(":")[0], "dtype": self.dtype}
        return fingerprint_of(
            "toxicity-smollm2", version=PROMPT, weights=weights, options=options, packages=("torch", "transformers")
        )

    def classify(self, texts: Sequence[str]) -> Sequence[Findings]:
        """Return one finding, `toxicity`, for each text."""
        results: list[Findings] = []
        cut = [windows(text) for text in texts]
        read = iter(self._read([part for parts in cut for part in parts]))
        for parts in cut:
            odds = [next(read) for _ in parts]
            if not all(math.isfinite(one) for one in odds):
                results.append(Unscored(reason="SmolLM2 gave no number"))
                continue
            chance = 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, max(odds))))) if odds else 0.0
            results.append((Finding(label=LABEL, probability=chance),))
        return results

    def _read(self, parts: Sequence[str]) -> list[float]:
        if parts and self._loaded is None:
            folder = materialise(resolve_model(BASE), self.context)
            self._loaded = Reader(folder, bundled_adapter(SHIPPED), device=self.settings.device, dtype=self.dtype)
        return [] if self._loaded is None else self._loaded.read(parts)

    def close(self) -> None:
        """Free the model."""
        self._loaded = None


class Reader:
    """The base with the adapter merged into it."""

    def __init__(self, base: Path, adapter: Path, *, device: str, dtype: str) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.device = device
        self.tokenizer = AutoTokenizer.from_pretrained(base)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
        self.bias = merge(model, adapter)
        ids = [self.tokenizer.encode(answer, add_special_tokens=False) for answer in ANSWERS]
        yes, no = (model.get_output_embeddings().weight.detach()[one[0]].float() for one in ids)
        self.direction = (yes - no).to(device)
        self.model = model.model.to(device=device, dtype=getattr(torch, dtype))

    def read(self, texts: Sequence[str]) -> list[float]:
        """Return the log-odds that each text is toxic.

        On a CPU each is read by one thread, and several texts at once: a text's products are too small to share
        between threads, which would mostly wait for each other.
        """
        import torch

        prompts = [self._tokens(text) for text in texts]
        if self.device != "cpu":
            return [self.log_odds(tokens) for tokens in prompts]
        threads = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                return list(pool.map(self.log_odds, prompts))
        finally:
            torch.set_num_threads(threads)

    def _tokens(self, text: str) -> list[int]:
        asked = [{"role": turn.role, "content": turn.content} for turn in toxicity_messages(text)]
        prompt = self.tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        tokens: list[int] = self.tokenizer.encode(prompt, add_special_tokens=False)
        return tokens

    def log_odds(self, tokens: Sequence[int]) -> float:
        """Return the log-odds that a text is toxic, by the prompt about it."""
        import torch

        ids = torch.tensor([tokens], device=self.device)
        with torch.inference_mode():
            state: torch.Tensor = self.model(input_ids=ids, use_cache=False)[0][0, -1]
            return float(state.float() @ self.direction) + self.bias


def merge(model: Any, adapter: Path) -> float:  # noqa: ANN401 - a transformers model
    """Add an adapter to a model's weights, and return what is added to the log-odds, by its header.

    Raises:
        BrokenRunError: for an adapter that was trained on other words, or for another task.
    """
    from safetensors import safe_open

    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    scale = config["lora_alpha"] / config["r"]
    parts = dict(model.named_parameters())
    with safe_open(adapter / "adapter_model.safetensors", "pt") as stored:
        header = stored.metadata() or {}
        if (header.get("task"), header.get("prompt")) != (TASK, str(PROMPT)):
            raise BrokenRunError(f"{adapter} is no adapter for toxicity by version {PROMPT} of its words")
        for key in stored.keys():  # noqa: SIM118 - no mapping
            if ".lora_A." in key:
                name = key.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight")
                down, up = (stored.get_tensor(one).float() for one in (key, key.replace(".lora_A.", ".lora_B.")))
                parts[name].data.add_(up @ down, alpha=scale)
    return float(header.get("bias", "0"))
