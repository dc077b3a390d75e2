"""The classifier `detoxify`: the Detoxify library's own class on a checkpoint whose hash is checked first."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from harness.api import (
    Classifier,
    Finding,
    Findings,
    FreeCores,
    InputError,
    RunContext,
    StrictModel,
    Unscored,
    cut_windows,
    read_options,
    use_threads,
)
from harness_classifiers.checkpoint import (
    KEY,
    NAMED,
    download,
    folder_sha256,
    local_folder,
    named_path,
    open_checkpoint,
    read_folder,
    read_pinned,
)
from harness_classifiers.identity import fingerprint_of, require_package

Pin = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class DetoxifyOptions(StrictModel):
    """Options of the classifier: a named model, or a checkpoint of one's own with its pins."""

    model: Literal["original", "unbiased", "multilingual"] = "original"
    checkpoint: str | None = None
    """A file as Detoxify saves it; relative to the working directory."""
    sha256: Pin | None = None
    """Of the checkpoint; without it a checkpoint is not opened. For a named model it replaces the known 8 digits."""
    config_path: str | None = None
    """Folder with config.json and the tokenizer's files."""
    config_sha256: Pin | None = None
    """Of the folder; the error that asks for it says what it is."""
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 32
    device: Annotated[str, Field(pattern=r"^(cpu|mps|cuda(:\d+)?)$")] = "cpu"

    @model_validator(mode="after")
    def _whole(self) -> DetoxifyOptions:
        if self.checkpoint is None and (self.config_path is not None or self.config_sha256 is not None):
            raise ValueError("config_path and config_sha256 go with a checkpoint; name one")
        if self.checkpoint is not None and "model" in self.model_fields_set:
            raise ValueError("model and checkpoint exclude each other; keep one")
        return self


class DetoxifyClassifier(Classifier):
    """Gives every label of the checkpoint its probability. A long text takes the highest of its windows, per label.

    Raises:
        InputError: for unknown options, or a checkpoint without its pins.
    """

    def __init__(self, options: Mapping[str, Any], context: RunContext) -> None:
        super().__init__(options, context)
        self.settings = read_options(DetoxifyOptions, options, "detoxify", at=("classifiers", "detoxify"))
        self._model: Any = None
        self._threads: int | None = None
        if self.settings.checkpoint is not None:
            if self.settings.sha256 is None:
                raise InputError(
                    "opening a checkpoint can run code, so it must be pinned", key=f"{KEY}.sha256",
                    hint="add sha256: with the 64 digits that its author publishes",
                )  # fmt: skip
            if self.settings.config_path is None:
                raise InputError(
                    "a checkpoint needs the folder of its configuration and tokenizer", key=f"{KEY}.config_path",
                    hint="add config_path:",
                )  # fmt: skip

    def fingerprint(self) -> str:
        """Return the hash of weights, options and package versions; the pins stand for the weights."""
        self._require()
        settings = self.settings
        if settings.checkpoint is None:
            named = NAMED[settings.model]
            if self.context.offline and not named_path(named).is_file():
                raise self._absent(named.file)
            weights = settings.sha256 or named.sha256_prefix
        else:
            if not Path(settings.checkpoint).is_file():
                raise InputError("no such checkpoint", file=settings.checkpoint, key=f"{KEY}.checkpoint",
                                 hint="check the path")  # fmt: skip
            weights = f"{settings.sha256} {folder_sha256(self._pinned_folder())}"
        return fingerprint_of(
            "detoxify", version=1, weights=weights, options={"device": settings.device.split(":")[0]},
            packages=("detoxify", "transformers", "torch"),
        )  # fmt: skip

    def classify(self, texts: Sequence[str]) -> Sequence[Findings]:
        """Return a finding per label for each text; an empty text has probability 0 of each."""
        if not texts:
            return []
        model = self._load()
        windows = cut_windows(texts, model.tokenizer, model.tokenizer.model_max_length - 2)
        flat = [(owner, part) for owner, parts in enumerate(windows) for part in parts if part.strip()]
        best: list[dict[str, float]] = [dict.fromkeys(model.class_names, 0.0) for _ in texts]
        broken: set[int] = set()
        order = sorted(range(len(flat)), key=lambda index: len(flat[index][1]))
        for begin in range(0, len(order), self.settings.batch_size):
            batch = [flat[index] for index in order[begin : begin + self.settings.batch_size]]
            scores = model.predict([part for _, part in batch])
            for label, given in scores.items():
                values = given if isinstance(given, list) else [given]
                for (owner, _), value in zip(batch, values, strict=True):
                    if math.isnan(value):
                        broken.add(owner)
                    best[owner][label] = max(best[owner][label], value)
        return [
            Unscored(reason="Detoxify gave no number")
            if owner in broken
            else tuple(Finding(label=label, probability=value) for label, value in found.items())
            for owner, found in enumerate(best)
        ]

    def close(self) -> None:
        """Free the model."""
        self._model = None

    def _load(self) -> Any:  # noqa: ANN401 - detoxify has no types
        if self._model is None:
            self._require()
            cores = FreeCores()
            self._model = self._load_named() if self.settings.checkpoint is None else self._load_own()
            limit = getattr(self._model.model.config, "max_position_embeddings", 512)
            if self._model.model.config.model_type in ("roberta", "xlm-roberta"):
                limit -= 2  # their positions start after the padding's
            self._model.tokenizer.model_max_length = min(self._model.tokenizer.model_max_length, limit, 512)
            if self.settings.device == "cpu":
                self._threads = cores.threads(self._model.model.config.hidden_size)
        use_threads(self._threads)
        return self._model

    def _load_own(self) -> Any:  # noqa: ANN401 - detoxify has no types
        settings = self.settings
        path = Path(str(settings.checkpoint))
        files = self._pinned_folder()
        checkpoint = open_checkpoint(read_pinned(path, str(settings.sha256), key=f"{KEY}.sha256"), where=str(path))
        with local_folder(files, len(checkpoint["config"]["dataset"]["args"]["classes"])) as folder:
            # Detoxify asks the hub for the config of `model_type` even where huggingface_config_path is given.
            checkpoint["config"]["arch"]["args"]["model_type"] = folder
            return self._make(checkpoint, folder)

    def _load_named(self) -> Any:  # noqa: ANN401 - detoxify has no types
        named = NAMED[self.settings.model]
        path = named_path(named)
        if not path.is_file():
            if self.context.offline:
                raise self._absent(named.file)
            path = download(named)
        pin = self.settings.sha256 or named.sha256_prefix
        return self._make(open_checkpoint(read_pinned(path, pin, key=f"{KEY}.model"), where=str(path)), None)

    def _make(self, checkpoint: dict[str, Any], folder: str | None) -> Any:  # noqa: ANN401 - detoxify has no types
        import torch
        from detoxify import Detoxify
        from transformers.utils import logging

        logging.disable_progress_bar()  # progress is the harness's own to show
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        buffer.seek(0)
        try:
            return Detoxify(checkpoint=buffer, device=self.settings.device, huggingface_config_path=folder)
        except (OSError, RuntimeError, ValueError, AttributeError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            hint = (
                "check that config_path is the folder of this checkpoint's model"
                if folder
                else "the configuration and tokenizer come from the model hub: connect once, or give checkpoint: "
                "and config_path: with their pins"
            )
            raise InputError(f"Detoxify cannot be built ({reason[:200]})", key=KEY, hint=hint) from error

    def _pinned_folder(self) -> dict[str, bytes]:
        files = read_folder(Path(str(self.settings.config_path)))
        found = folder_sha256(files)
        if self.settings.config_sha256 is None:
            raise InputError(
                "the configuration must be pinned as the checkpoint is", key=f"{KEY}.config_sha256",
                hint=f"if you trust the folder as it is, add config_sha256: {found}",
            )  # fmt: skip
        if found != self.settings.config_sha256:
            raise InputError(
                f"the folder's hash is {found}, and the pin says {self.settings.config_sha256}",
                file=self.settings.config_path, key=f"{KEY}.config_sha256",
                hint="restore the folder, or pin the new one if you trust it",
            )  # fmt: skip
        return files

    def _require(self) -> None:
        require_package("detoxify", distribution="detoxify", needed_by="the classifier detoxify")

    def _absent(self, file: str) -> InputError:
        return InputError(
            f"the Detoxify checkpoint {file} is not on this machine, and offline nothing is fetched",
            key=f"{KEY}.model",
            hint="run once without --offline, or give checkpoint: and config_path: with their pins",
        )  # fmt: skip
