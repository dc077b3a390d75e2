"""Who is asked, what is asked and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from harness.hashing import sha256_json, sha256_text

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, kw_only=True)
class Unscored:
    """No score could be had. It stays in the denominator and is never a pass."""

    reason: str
    type: Literal["unscored"] = "unscored"


@dataclass(frozen=True, kw_only=True)
class NotApplicable:
    """The question does not arise for this sample. It is outside the denominator."""

    reason: str
    type: Literal["not_applicable"] = "not_applicable"


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One base model, as resolved from a reference such as `smollm2-135m` or `openai:gpt@http://host/v1`."""

    reference: str
    """What the person wrote."""
    scheme: str
    """The registered model scheme that serves it: `hf`, `openai`, `echo`, `replay`."""
    name: str
    """What stands behind the scheme: a catalog name, a hub id, a path, a remote model's name."""
    revision: str | None = None
    """A hub revision, if pinned."""
    endpoint: str | None = None
    """Base URL of a remote server."""
    dtype: str = "auto"
    """`auto`, `float32`, `bfloat16` or `float16`."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:N` or `mps`; or several of one kind, such as `cuda:0,cuda:1`."""


@dataclass(frozen=True, kw_only=True)
class AdapterSpec:
    """One LoRA adapter on disk."""

    id: str
    """First 16 hexadecimal digits of the SHA-256 over its weights and configuration."""
    path: str
    """The folder that holds adapter_model.safetensors and adapter_config.json."""
    reference: str
    """What the person wrote."""

    @property
    def name(self) -> str:
        """What to show: the reference, or the id where that is only short for it or means another one tomorrow."""
        return self.id if self.reference == "promoted" or self.id.startswith(self.reference) else self.reference


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How text is generated."""

    max_new_tokens: int = 64
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    """Generation ends before the first of these strings; the string itself is not part of the text."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What is judged: a base, an ordered list of adapters, a system prompt, a chat template and decoding."""

    model: ModelSpec
    adapters: tuple[AdapterSpec, ...] = ()
    system: str | None = None
    template: str = "auto"
    """`auto` (the tokenizer's chat template; plain text where it has none), `none`, or the text of a Jinja template."""
    decoding: Decoding | None = None
    """Overrides the suite's `ask` where given."""

    @property
    def label(self) -> str:
        """Short name for tables: base, adapters, and of system prompt and template as much as tells two apart."""
        return " + ".join([self.model.reference, *(adapter.name for adapter in self.adapters), *self.additions])

    @property
    def additions(self) -> tuple[str, ...]:
        """What tells two candidates of the same weights apart, in words: system prompt and template."""
        system = () if self.system is None else (f"system {_quoted(self.system)}",)
        if self.template == "auto":
            return system
        return (*system, "no template" if self.template == "none" else f"template {sha256_text(self.template)[:6]}")


def _quoted(text: str) -> str:
    """Return a text in quotes; of a long one the beginning and six digits of its hash, since others may begin so."""
    line = " ".join(text.split())
    return f'"{line}"' if line == text and len(line) <= 24 else f'"{line[:20]}…" ({sha256_text(text)[:6]})'


@dataclass(frozen=True, kw_only=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A call of a tool, as a reply writes it."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    """What is wrong with it; empty where it could be read."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One item of a suite. Its identity is its id and `content_hash`: runs pair on both."""

    id: str
    messages: tuple[Message, ...] = ()
    """The conversation that ends with the turn to answer; empty for plain text to be measured (see `target`)."""
    target: tuple[str, ...] = ()
    """Accepted answers or references; for perplexity the one text to be measured."""
    choices: tuple[str, ...] = ()
    """Options of a multiple-choice question."""
    answer: int | None = None
    """0-based index of the right choice."""
    tags: tuple[str, ...] = ()
    cluster: str | None = None
    """Samples that share a cluster are not independent (twins, paraphrases, one document)."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON values that metrics read, such as the constraints of an instruction. Not shown to the model."""
    turns: tuple[str, ...] = ()
    """What the user says next, reply after reply; empty where one reply ends the conversation."""
    draw: int = 0
    """Which of several draws of one sample this is, from 1; 0 where each is asked once."""

    @cached_property
    def hashes(self) -> tuple[str, str]:
        """`content_hash` and `question_hash`, made together: a run stores both of every sample."""
        messages = [[message.role, message.content] for message in self.messages]
        content = {
            "messages": messages, "target": self.target, "choices": self.choices, "answer": self.answer,
            "metadata": dict(self.metadata),
            **({"turns": self.turns} if self.turns else {}), **({"draw": self.draw} if self.draw else {}),
        }  # fmt: skip
        question = [messages, self.turns, sorted(self.choices), () if self.messages else self.target]
        return sha256_json(content), sha256_json(question)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of messages, target, choices, answer, metadata, turns and draw: all a score could depend on."""
        return self.hashes[0]

    @cached_property
    def question_hash(self) -> str:
        """SHA-256 of what a model is asked, whatever stands beside it: messages, turns, choices in any order.

        Of plain text to be measured, the text. Who has seen the answer to one has seen that to the other.
        """
        return self.hashes[1]

    @property
    def prompt(self) -> str:
        """The content of the last user turn; empty where there is none."""
        return next((message.content for message in reversed(self.messages) if message.role == "user"), "")


@dataclass(frozen=True, kw_only=True)
class Generate:
    """Ask for a completion of a conversation."""

    messages: tuple[Message, ...]
    decoding: Decoding
    draw: int = 0
    """Which of several draws of the same request this is."""
    type: Literal["generate"] = "generate"


@dataclass(frozen=True, kw_only=True)
class LogLikelihood:
    """Ask for log p(continuation | conversation), summed over the continuation's tokens."""

    messages: tuple[Message, ...]
    continuation: str
    """Without leading space. Behind a chat template it is the assistant's turn; where there is no template the
    model joins it to the text with one space, unless the text ends in white space."""
    type: Literal["log_likelihood"] = "log_likelihood"


@dataclass(frozen=True, kw_only=True)
class RollingLogLikelihood:
    """Ask for log p(text), every token given all before it within the model's window (no chat template)."""

    text: str
    stride: int | None = None
    """Most tokens that each window after the first scores. A smaller number gives them more text to follow from, and
    costs more passes; None: a whole window."""
    type: Literal["rolling_log_likelihood"] = "rolling_log_likelihood"


Request = Generate | LogLikelihood | RollingLogLikelihood


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long a reply took when the model was really asked."""

    total: float
    """Seconds from when its batch began, or it joined one, to the end of the reply."""
    first_token: float | None = None
    """Seconds to the first generated token; None where the backend cannot tell."""
    batch: int = 1
    """Rows that shared the batch; the most at a time where rows come and go."""


@dataclass(frozen=True, kw_only=True)
class Completion:
    """The reply to `Generate`."""

    text: str
    prompt_tokens: int | None
    completion_tokens: int | None
    finish: Literal["stop", "length"]
    """`stop`: the model ended its turn or met a stop string; `length`: cut at max_new_tokens."""
    timing: Timing | None = None
    """None where the reply came from the cache."""
    type: Literal["completion"] = "completion"


@dataclass(frozen=True, kw_only=True)
class LogProb:
    """The reply to `LogLikelihood` and `RollingLogLikelihood`."""

    logprob: float
    """Natural logarithm, summed over `tokens` tokens; at most 0."""
    tokens: int
    is_greedy: bool | None = None
    """Whether each token was the most probable one; None where not known."""
    timing: Timing | None = None
    type: Literal["log_prob"] = "log_prob"


@dataclass(frozen=True, kw_only=True)
class NoReply:
    """The model gave no usable reply: a time-out, a refused request, an unsupported kind of request. Never cached."""

    reason: str
    type: Literal["no_reply"] = "no_reply"


Reply = Completion | LogProb | NoReply


@dataclass(frozen=True, kw_only=True)
class Event:
    """A piece of a reply on its way. The texts of all events add up to the reply's."""

    text: str = ""
    reply: Reply | None = None
    """The whole reply, in the last event; None before."""
