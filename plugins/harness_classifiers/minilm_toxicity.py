"""The classifier `minilm-toxicity`: a head on MiniLM embeddings that ships with the package. See its model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.api import (
    MINILM,
    Classifier,
    Embedder,
    Finding,
    Findings,
    RunContext,
    StrictModel,
    Unscored,
    memoised_sha256,
    read_options,
    weights_hash,
)
from harness_classifiers.head import Head, load_head
from harness_classifiers.identity import fingerprint_of

HEAD = Path(__file__).parent / "data" / "minilm-toxicity.safetensors"
LABEL = "toxicity"


class MiniLMToxicityOptions(StrictModel):
    """Options of the classifier; none of them changes a finding."""

    batch_size: Annotated[int, Field(ge=1, le=1024)] = 32
    device: Annotated[str, Field(pattern=r"^(cpu|mps|cuda(:\d+)?)$")] = "cpu"


class MiniLMToxicity(Classifier):
    """Gives the probability that a text is toxic: rude, hateful or abusive enough to drive people from a conversation.

    A text of more than 254 tokens takes the highest of its windows. An empty one has probability 0.
    """

    labels: ClassVar[tuple[str, ...]] = (LABEL,)

    def __init__(self, options: Mapping[str, Any], context: RunContext) -> None:
        super().__init__(options, context)
        self.settings = read_options(
            MiniLMToxicityOptions, options, "minilm-toxicity", at=("classifiers", "minilm-toxicity")
        )
        self._loaded: tuple[Embedder, Head] | None = None

    def fingerprint(self) -> str:
        """Return the hash of encoder, head and package versions, without loading."""
        store = self.context.weights
        weights = f"{weights_hash(MINILM, store=store)} {memoised_sha256(HEAD, store=store)}"
        return fingerprint_of(
            "minilm-toxicity", version=1, weights=weights, options={"device": self.settings.device.split(":")[0]},
            packages=("torch", "transformers"),
        )  # fmt: skip

    def classify(self, texts: Sequence[str]) -> Sequence[Findings]:
        """Return one finding, `toxicity`, for each text."""
        if not texts:
            return []
        embedder, head = self._load()
        results: list[Findings] = []
        for windows in embedder.encode_windows(texts):
            chance = float(head.probabilities(windows).max()) if len(windows) else 0.0
            known = 0.0 <= chance <= 1.0
            results.append(
                (Finding(label=LABEL, probability=chance),) if known else Unscored(reason="MiniLM gave no number")
            )
        return results

    def close(self) -> None:
        """Free the model."""
        self._loaded = None

    def _load(self) -> tuple[Embedder, Head]:
        if self._loaded is None:
            from harness.api import weights_path

            folder = weights_path(MINILM, store=self.context.weights)
            head = load_head(HEAD)
            settings = self.settings
            embedder = Embedder(folder, layers=head.layers, device=settings.device, batch_size=settings.batch_size)
            self._loaded = embedder, head
        return self._loaded
