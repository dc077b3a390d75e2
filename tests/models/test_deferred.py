"""Loading a base imports no compiler and no sharded tensors, and what was put off is there when somebody uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LOAD = """
import sys
from pathlib import Path
from harness.contracts import RunContext
from harness.types import Candidate, LogLikelihood, LogProb, Message, ModelSpec
from harness_models.hf.model import HfModel
spec = ModelSpec(reference="tiny", scheme="hf", name=sys.argv[1], device="cpu")
model, found = HfModel(spec, RunContext(offline=True, weights=Path(sys.argv[2]))), []
asked = LogLikelihood(messages=(Message(role="user", content="the quick"),), continuation="fox")
model.answer(Candidate(model=spec), [asked], lambda index, reply: found.append(reply))
assert isinstance(found[0], LogProb), found
assert model.facts()["shared tokens"] == "forwarded once", model.facts()
heavy = ("torch._dynamo", "torch.distributed.tensor", "torch.distributed.fsdp", "scipy.optimize", "accelerate")
assert not [name for name in heavy if name in sys.modules]
assert not any(type(module).__name__ == "_StandIn" for module in sys.modules.values())
import transformers.masking_utils as masks
from transformers.distributed.sharding_utils import DTensor
from transformers.modeling_utils import extract_model_from_parallel
assert not isinstance(3, DTensor)
with masks.TransformGetItemToIndex():
    pass
import torch._dynamo, torch.distributed.tensor
assert masks.TransformGetItemToIndex().__class__.__module__.startswith("torch._dynamo")
assert issubclass(torch.distributed.tensor.DTensor, DTensor)
assert extract_model_from_parallel(model._loaded.model) is model._loaded.model
print("fine")
"""

ADAPTER = """
import sys
from pathlib import Path
from harness.contracts import RunContext
from harness.types import Candidate, LogLikelihood, LogProb, Message, ModelSpec
from harness_models.hf.model import HfModel
from tests.models.conftest import adapter_of
spec = ModelSpec(reference="tiny", scheme="hf", name=sys.argv[1], device="cpu")
model, found = HfModel(spec, RunContext(offline=True, weights=Path(sys.argv[2]))), []
asked = LogLikelihood(messages=(Message(role="user", content="the quick"),), continuation="fox")
for adapters in ((), (adapter_of(Path(sys.argv[3])),)):
    model.answer(Candidate(model=spec, adapters=adapters), [asked], lambda index, reply: found.append(reply))
assert all(isinstance(reply, LogProb) for reply in found), found
assert found[0].logprob != found[1].logprob
assert not any(type(module).__name__ == "_StandIn" for module in sys.modules.values())
print("fine")
"""


def test_what_is_put_off_is_there_when_it_is_used(tiny_base: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(tiny_base), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "fine", done.stderr[-2000:]


def test_a_process_that_imported_nothing_else_puts_an_adapter_on(
    tiny_base: Path, tiny_adapter: Path, tmp_path: Path
) -> None:
    """In a test's own process something imported accelerate long before, so that a stand-in of it is never met."""
    done = subprocess.run(
        [sys.executable, "-c", ADAPTER, str(tiny_base), str(tmp_path), str(tiny_adapter)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip().endswith("fine"), done.stderr[-2000:]
