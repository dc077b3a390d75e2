"""What stages use of the engine that answers for local models, by the services that it offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from harness.api import service

if TYPE_CHECKING:
    from harness.api import Decoding, Message


class Prompt(Protocol):
    """A rendered conversation."""

    @property
    def text(self) -> str:
        """As the model sees it."""

    @property
    def chat(self) -> bool:
        """Whether a template rendered it."""


class Renderer(Protocol):
    """Renders and encodes conversations as at inference; `TemplateRefusalError` where the template cannot."""

    def render(self, messages: Sequence[Message]) -> Any:  # noqa: ANN401 - a Prompt, which `encode` takes again
        """Render a conversation up to where the model's turn begins."""

    def whole(self, messages: Sequence[Message]) -> str:
        """Render a conversation that ends with the assistant's turn, and close that turn."""

    def encode(self, prompts: Sequence[Any]) -> list[list[int]]:
        """Return the token ids of rendered prompts."""

    def content(self, text: str) -> list[int]:
        """Return the tokens of untrusted text alone."""


class Answer(Protocol):
    """One continuation."""

    @property
    def text(self) -> str:
        """Without control tokens."""

    @property
    def ids(self) -> Sequence[int]:
        """Its tokens."""


class Rollouts(Protocol):
    """Continues prompts with a model in training, as it stands when asked."""

    def __call__(
        self, prompts: Sequence[Sequence[int]], decoding: Decoding, *, draws: Sequence[int] | None = None
    ) -> Sequence[Answer]:
        """Continue each prompt of token ids; `draws` tells equal prompts apart."""

    def entropy(self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> float:
        """Return the mean entropy of the next token's distribution where the answers' tokens stand, in nats."""


make_renderer: Callable[[Any, str], Renderer] = service("renderer")
"""From a transformers tokenizer, and `auto`, `none` or a template's text."""
label_of: Callable[[str, str], str] = service("reply label")
"""Of a request and a reply: `complied`, `refused` or `incoherent`."""
make_rollouts: Callable[..., Rollouts] = service("rollouts")
"""From a model and its tokenizer, with `device` and `dtype`."""
