"""Puts LoRA adapters on a loaded base and switches between them without reloading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness_models.hf.checking import check_adapter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.types import AdapterSpec, ModelSpec
    from harness_models.hf.loading import Loaded


class AdapterRack:
    """The adapters of one loaded base.

    Args:
        loaded: the base; peft replaces its layers in place.
        spec: the base's reference, for messages.
    """

    def __init__(self, loaded: Loaded, spec: ModelSpec) -> None:
        self._loaded = loaded
        self._spec = spec
        self._peft: Any = None
        self._shapes = {name: tuple(tensor.shape) for name, tensor in loaded.model.state_dict().items()}
        self._active: tuple[str, ...] = ()
        self._held: set[str] = set()

    def activate(self, adapters: Sequence[AdapterSpec]) -> None:
        """Make exactly these adapters active, added up in this order; none gives the bare base.

        Raises:
            InputError: when an adapter is damaged or does not fit the base.
        """
        for adapter in adapters:
            if adapter.id not in self._held:
                self._add(adapter)
        wanted = tuple(adapter.id for adapter in adapters)
        if self._peft is None or wanted == self._active:
            self._active = wanted
            return
        lora = self._peft.base_model
        if wanted:
            lora.set_adapter(list(wanted), inference_mode=True)
            lora.enable_adapter_layers()
        else:
            lora.disable_adapter_layers()
        self._active = wanted

    def _add(self, adapter: AdapterSpec) -> None:
        from peft import PeftModel

        check_adapter(adapter, self._spec, self._shapes)
        folder = str(Path(adapter.path))
        try:
            if self._peft is None:
                self._peft = PeftModel.from_pretrained(self._loaded.model, folder, adapter_name=adapter.id)
            else:
                self._peft.load_adapter(folder, adapter_name=adapter.id)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise InputError(
                f"the adapter {adapter.reference} cannot be put on the base {self._spec.reference} ({lines[0][:300]})",
                file=adapter.path,
                hint="give the base it was trained on with --model",
            ) from error
        self._peft.eval()
        self._held.add(adapter.id)
        self._active = ("",)  # peft leaves the new one active or not by its own rules: set it anew
