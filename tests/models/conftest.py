"""Models of two architectures, and the plain way to ask them: one row at a time, nothing shared."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.contracts import Model, RunContext
from harness.errors import InputError
from harness.references import resolve_model
from harness.store.adapters import adapter_id
from harness.types import AdapterSpec, Candidate, Decoding, Generate, Message, ModelSpec, NoReply, Reply, Request
from harness_models.remote.limits import Limits
from harness_models.remote.model import OpenAIModel
from tests import tiny
from tests.models.serving import Server
from tests.shapes import save_shape

MADE: list[OpenAIModel] = []


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_gpt2(tmp_path_factory.mktemp("base") / "tiny-gpt2")


@pytest.fixture(params=["llama", "gpt2"])
def base(request: pytest.FixtureRequest, tiny_base: Path, tiny_gpt2: Path) -> Path:
    return tiny_base if request.param == "llama" else tiny_gpt2


@pytest.fixture
def surroundings(tmp_path: Path) -> RunContext:
    return RunContext(offline=True, weights=tmp_path / "store")


def spec_of(path: Path, **given: str) -> ModelSpec:
    return ModelSpec(reference=str(path), scheme="hf", name=str(path), **{"device": "cpu", **given})


def shapes_in(folder: Path) -> Callable[[str], Any]:
    """Return what loads a shape of `tests.shapes` once, as the engine does and plainly."""
    from harness_models.hf.loading import load

    @functools.cache
    def of(name: str) -> Any:
        path = save_shape(folder / name, name)
        return load(spec_of(path), RunContext(offline=True, weights=folder / "store")), Plain(path)

    return of


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[weakref.ref[Any]]]:
    """The tensors made for keys and values, while nothing but the last reference frees them."""
    from harness_models.hf import shelf

    made: list[weakref.ref[Any]] = []
    real = shelf.paged

    def watched(*given: Any) -> Any:
        room = real(*given)
        made.append(weakref.ref(room))
        return room

    monkeypatch.setattr(shelf, "paged", watched)
    gc.collect()
    gc.disable()
    yield made
    gc.enable()


def adapter_of(path: Path) -> AdapterSpec:
    try:
        identity = adapter_id(path)
    except InputError:  # one that is to be refused
        identity = "0" * 16
    return AdapterSpec(id=identity, path=str(path), reference=path.name)


def make(path: Path, surroundings: RunContext, **given: str) -> tuple[Model, Candidate]:
    from harness_models.hf.model import HfModel

    spec = spec_of(path, **given)
    return HfModel(spec, surroundings), Candidate(model=spec)


def ask(model: Model, candidate: Candidate, requests: Sequence[Request]) -> list[Reply]:
    """Answer, and check on the way that every request is answered exactly once."""
    replies: dict[int, Reply] = {}

    def deliver(index: int, reply: Reply) -> None:
        assert index not in replies
        replies[index] = reply

    model.answer(candidate, requests, deliver)
    assert sorted(replies) == list(range(len(requests)))
    return [replies[index] for index in range(len(requests))]


def user(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


class Plain:
    """The reference: transformers itself, one row at a time, with no cache, mask or batch of ours."""

    def __init__(self, base: Path, *adapters: Path) -> None:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(str(base))
        self.model: Any = AutoModelForCausalLM.from_pretrained(str(base)).eval()
        if adapters:
            self.model = PeftModel.from_pretrained(self.model, str(adapters[0]), adapter_name="a0")
            for number, adapter in enumerate(adapters[1:], start=1):
                self.model.load_adapter(str(adapter), adapter_name=f"a{number}")
            self.model.base_model.set_adapter([f"a{number}" for number in range(len(adapters))])
            self.model.eval()

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def logprob(self, context: Sequence[int], continuation: Sequence[int]) -> tuple[float, bool]:
        import torch

        ids = torch.tensor([[*context, *continuation]])
        with torch.inference_mode():  # the last token predicts nothing that is asked
            logprobs = self.model(input_ids=ids[:, :-1]).logits[0].double().log_softmax(-1)
        steps = range(len(context) - 1, ids.shape[1] - 1)
        total = sum(float(logprobs[step, ids[0, step + 1]]) for step in steps)
        return total, all(int(logprobs[step].argmax()) == int(ids[0, step + 1]) for step in steps)

    def continuation(self, messages: Sequence[Message], text: str) -> tuple[float, bool]:
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self.logprob(self.prompt_ids(messages), ids)

    def greedy(self, messages: Sequence[Message], tokens: int) -> str:
        import torch

        ids = self.prompt_ids(messages)
        with torch.inference_mode():
            out = self.model.generate(
                input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                max_new_tokens=tokens, do_sample=False, pad_token_id=2,
            )  # fmt: skip
        text: str = self.tokenizer.decode(out[0, len(ids) :], skip_special_tokens=True)
        return text


def greedy(tokens: int, *stop: str) -> Decoding:
    return Decoding(max_new_tokens=tokens, stop=stop)


def reasons(replies: Sequence[Reply]) -> list[str]:
    return [reply.reason for reply in replies if isinstance(reply, NoReply)]


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture
def quick_remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Short waits, no key of the surroundings, and every model that `make_remote` made closed."""
    monkeypatch.setattr(OpenAIModel, "limits", Limits(first_wait=0.01, longest_wait=0.05, connect=60))
    monkeypatch.delenv("HARNESS_API_KEY", raising=False)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HARNESS_API_KEYS"):
        monkeypatch.delenv(name, raising=False)
    yield
    while MADE:
        MADE.pop().close()


def make_remote(
    url: str, *, offline: bool = False, name: str = "tiny", timeout: float = 60
) -> tuple[OpenAIModel, Candidate]:
    spec = resolve_model(f"openai:{name}@{url}", schemes=["openai"])
    MADE.append(OpenAIModel(spec, RunContext(offline=offline, weights=Path("unused"), timeout=timeout)))
    return MADE[-1], Candidate(model=spec)


def generates(*prompts: str) -> list[Generate]:
    return [Generate(messages=user(prompt), decoding=greedy(8)) for prompt in prompts]
