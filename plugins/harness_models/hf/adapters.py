"""Puts LoRA adapters on a loaded base and switches between them without reloading."""

from __future__ import annotations

import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import BrokenRunError, InputError, adapter_id, asking_no_hub, open_regular, tensor_shapes
from harness.api.weights import read_vocabulary, write_plain
from harness_models.hf.checking import check_adapter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.api import AdapterSpec, ModelSpec
    from harness_models.hf.loading import Loaded

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
_REFUSALS = (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, re.error)
"""What peft raises about configurations."""
_SHARE = 0.5
"""Held adapters may take this share of the memory that the base takes."""
_ALWAYS = 4
"""So many may be held whatever they take: a comparison goes back and forth between its arms."""


@contextmanager
def _private_copy(adapter: AdapterSpec) -> Iterator[Path]:
    """Yield a copy that nobody else writes to and that is what the id says: what is checked is what is loaded.

    Raises:
        BrokenRunError: where the adapter is no longer what its id says.
    """
    with tempfile.TemporaryDirectory(prefix="harness-adapter-") as name:
        for file in (CONFIG_FILE, WEIGHTS_FILE):
            try:
                with open_regular(Path(adapter.path) / file) as read, (Path(name) / file).open("wb") as write:
                    shutil.copyfileobj(read, write, 1 << 20)
            except OSError as error:
                raise InputError(f"cannot be read ({error.strerror})", file=Path(adapter.path) / file) from error
        if adapter_id(Path(name), fresh=True) != adapter.id:
            raise BrokenRunError(
                f"{adapter.path}: the adapter {adapter.reference} was changed after it was identified; nothing was"
                " asked of it: run again, and write nothing there meanwhile"
            )
        if read_vocabulary(Path(name)) is not None:
            write_plain(Path(name))  # the base has its tokens already, see `harness_models.hf.model`
        yield Path(name)


class AdapterRack:
    """The adapters of one loaded base. Those least recently used are taken off where they would take too much memory.

    Args:
        loaded: the base; peft replaces its layers in place.
        spec: the base's reference, for messages.
    """

    def __init__(self, loaded: Loaded, spec: ModelSpec) -> None:
        self._loaded = loaded
        self._spec = spec
        self._peft: Any = None
        self._shapes = {name: tuple(tensor.shape) for name, tensor in loaded.model.state_dict().items()}
        self._room = _SHARE * sum(weight.numel() * weight.element_size() for weight in loaded.model.parameters())
        self._held: dict[str, int] = {}
        """Bytes by id, the most recently used last."""
        self._layers: list[Any] = []
        self._wrappers: list[Any] = []
        """Whole modules that an adapter replaces."""
        self._plain_layers = True
        self._active: tuple[str, ...] | None = ()

    @property
    def held(self) -> tuple[str, ...]:
        """Ids of the adapters in memory, the most recently used last."""
        return tuple(self._held)

    def activate(self, adapters: Sequence[AdapterSpec]) -> None:
        """Make exactly these adapters active, added up in this order; none gives the bare base.

        Raises:
            InputError: when an adapter is damaged or does not fit the base.
        """
        wanted = tuple(adapter.id for adapter in adapters)
        for adapter in adapters:
            if adapter.id in self._held:
                self._held[adapter.id] = self._held.pop(adapter.id)
            else:
                self._add(adapter)
        self._take_off(wanted)
        if self._peft is None or wanted == self._active:
            return
        self._switch(wanted)
        self._active = wanted

    def hold(self, adapters: Sequence[AdapterSpec]) -> None:
        """Hold all of these at once, active or not.

        Raises:
            InputError: when an adapter is damaged or does not fit the base.
        """
        for adapter in adapters:
            if adapter.id not in self._held:
                self._add(adapter)
        self._take_off([adapter.id for adapter in adapters])

    @property
    def layers(self) -> Sequence[Any]:
        """The layers that have adapters."""
        return self._layers

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

    def _switch(self, wanted: tuple[str, ...]) -> None:
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

    def _take_off(self, wanted: Sequence[str]) -> None:
        for name in [name for name in self._held if name not in wanted]:
            if len(self._held) <= _ALWAYS or sum(self._held.values()) <= self._room:
                return
            self._active = None  # peft may make another one active in its place
            del self._held[name]
            self._peft.delete_adapter(name)

    def _add(self, adapter: AdapterSpec) -> None:
        from peft import PeftModel

        check_adapter(adapter, self._spec, self._shapes)
        self._active = None  # peft leaves the new one active or not by its own rules: it is set anew
        with _private_copy(adapter) as folder:
            try:
                with asking_no_hub():
                    if self._peft is None:
                        self._peft = PeftModel.from_pretrained(self._loaded.model, str(folder), adapter_name=adapter.id)
                    else:
                        self._peft.load_adapter(str(folder), adapter_name=adapter.id)
            except _REFUSALS as error:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                raise InputError(
                    f"the adapter {adapter.reference} cannot be put on the base {self._spec.reference}"
                    f" ({lines[0][:300]})",
                    file=Path(adapter.path) / CONFIG_FILE,
                    hint="give the base it was trained on with --model",
                ) from error
            self._require_whole(adapter, folder)
            self._held[adapter.id] = (folder / WEIGHTS_FILE).stat().st_size
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
