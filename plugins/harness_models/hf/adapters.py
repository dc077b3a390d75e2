"""Puts LoRA adapters on a base of transformers by peft, and switches between them without reloading."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import CONFIG_FILE, WEIGHTS_FILE, InputError, asking_no_hub, tensor_shapes
from harness_models.hf.rack import Rack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import torch

    from harness.api import AdapterSpec, ModelSpec
    from harness_models.hf.loading import Loaded

_REFUSALS = (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, re.error)
"""What peft raises about configurations."""


class AdapterRack(Rack):
    """The adapters of one loaded base of transformers.

    Args:
        loaded: the base; peft replaces its layers in place.
        spec: the base's reference, for messages.
    """

    def __init__(self, loaded: Loaded, spec: ModelSpec) -> None:
        shapes = {name: tuple(tensor.shape) for name, tensor in loaded.model.state_dict().items()}
        super().__init__(loaded, spec, shapes)
        self._peft: Any = None
        self._layers: list[Any] = []
        self._wrappers: list[Any] = []
        """Whole modules that an adapter replaces."""
        self._plain_layers = True

    def mixable(self, ids: Sequence[str]) -> bool:
        """Tell whether these adapters, which are held, are pairs beside linear layers and nothing else."""
        from peft.tuners.lora import Linear

        for layer in self._layers:
            for name in ids:
                if name in getattr(layer, "lora_embedding_A", ()):
                    return False
                own = name in getattr(layer, "lora_A", ())
                if own and (type(layer) is not Linear or layer.use_dora.get(name) or layer.lora_bias.get(name)):
                    return False
        return not any(name in wrapper.modules_to_save for wrapper in self._wrappers for name in ids)

    @contextmanager
    def apart(self, places: Mapping[str, Sequence[int]]) -> Iterator[None]:
        """Let each of these adapters act on its own rows of a batch and on no other."""
        self._switch(())  # not `activate`, which may take off what is needed
        self._active = ()
        try:
            for layer in self._layers:
                layer.forward = _segmented(layer, places)
            yield
        finally:
            for layer in self._layers:
                vars(layer).pop("forward", None)

    def _switch(self, wanted: tuple[str, ...]) -> None:
        if self._peft is None:
            return
        if self._plain_layers:
            # What peft does besides, for training, takes longer the more adapters are held: it marks each weight of
            # each as trained or not, layer by layer. Here none is ever trained.
            for layer in self._layers:
                layer._active_adapter = list(wanted)  # noqa: SLF001
                layer._disable_adapters = not wanted  # noqa: SLF001
            return
        lora = self._peft.base_model
        if wanted:
            lora.set_adapter(list(wanted), inference_mode=True)
            lora.enable_adapter_layers()
        else:
            lora.disable_adapter_layers()

    def _drop(self, name: str) -> None:
        self._peft.delete_adapter(name)

    def _put_on(self, adapter: AdapterSpec, folder: Path) -> None:
        from peft import PeftModel

        try:
            with asking_no_hub():
                if self._peft is None:
                    self._peft = PeftModel.from_pretrained(self._loaded.model, str(folder), adapter_name=adapter.id)
                else:
                    self._peft.load_adapter(str(folder), adapter_name=adapter.id)
        except _REFUSALS as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise InputError(
                f"the adapter {adapter.reference} cannot be put on the base {self._spec.reference} ({lines[0][:300]})",
                file=Path(adapter.path) / CONFIG_FILE,
                hint="give the base it was trained on with --model",
            ) from error
        self._require_whole(adapter, folder)
        self._peft.eval()
        self._find_layers()

    def _require_whole(self, adapter: AdapterSpec, folder: Path) -> None:
        """Refuse an adapter whose file lacks weights that its configuration promises: peft would make some up.

        What peft has no place for it leaves out; that is refused as well.
        """
        from peft import get_peft_model_state_dict

        expected = get_peft_model_state_dict(self._peft, adapter_name=adapter.id, save_embedding_layers=False)
        found = tensor_shapes(folder / WEIGHTS_FILE).keys()
        for names, what in ((expected.keys() - found, "lacks"), (found - expected.keys(), "has no place for")):
            if names:
                raise InputError(
                    f"the adapter {adapter.reference} {what} {len(names)} of its weights, such as {min(names)}",
                    file=Path(adapter.path) / WEIGHTS_FILE,
                    hint="save it again, or mend target_modules in its adapter_config.json",
                )  # fmt: skip

    def _find_layers(self) -> None:
        from peft.tuners.tuners_utils import BaseTunerLayer
        from peft.utils.other import AuxiliaryTrainingWrapper

        modules = list(self._peft.modules())
        self._layers = [module for module in modules if isinstance(module, BaseTunerLayer)]
        # Whole modules that an adapter replaces, such as the head, are switched in peft's own way.
        self._wrappers = [module for module in modules if isinstance(module, AuxiliaryTrainingWrapper)]
        self._plain_layers = not self._wrappers


def rack_of(loaded: Loaded, spec: ModelSpec) -> Rack:
    """Return the rack of a base, ours or that of transformers."""
    if loaded.own:
        from harness_models.hf.plain_adapters import PlainRack

        return PlainRack(loaded, spec)
    return AdapterRack(loaded, spec)


def _segmented(layer: Any, places: Mapping[str, Sequence[int]]) -> Callable[..., torch.Tensor]:  # noqa: ANN401 - peft's layer
    """Return a layer's forward in which each adapter adds its product to its own rows."""
    import torch

    own = [
        (torch.tensor(rows, device=layer.weight.device), layer.lora_A[name], layer.lora_B[name], layer.scaling[name])
        for name, rows in places.items()
        if name in layer.lora_A
    ]

    def forward(given: torch.Tensor, *args: Any, **more: Any) -> torch.Tensor:  # noqa: ANN401
        result: torch.Tensor = layer.base_layer(given, *args, **more)
        for rows, down, up, scale in own:
            part = given[rows].to(down.weight.dtype)
            result = result.index_add(0, rows, (up(down(part)) * scale).to(result.dtype))
        return result

    return forward
