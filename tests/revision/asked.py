"""Whom a test asks: roles as functions of the last message, and one critic that knows a bad word."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.engine.programs import run_all
from harness.types import Candidate, Completion, ModelSpec, NoReply, Verdict


def completion(text):
    return Completion(text=text, prompt_tokens=None, completion_tokens=None, finish="stop")


@dataclass
class Asked:
    """Stands for `StageModels`: `says` gives each role's reply to a request, None for no reply."""

    says: dict
    bad: dict = field(default_factory=lambda: {"fruit": "plums"})
    asked: list = field(default_factory=list)

    def answer(self, role, requests):
        self.asked += [(role, request) for request in requests]
        texts = [self.says[role](request) for request in requests]
        return [NoReply(reason="none") if text is None else completion(text) for text in texts]

    def ask(self, programs):
        return run_all(programs, self.answer)

    def verdicts(self, responses):
        return [
            tuple(
                Verdict(
                    principle=name,
                    critic="c",
                    fingerprint="f",
                    score=0.0 if response.completion is not None and word in response.completion.text else 1.0,
                )
                for name, word in self.bad.items()
            )
            for response in responses
        ]

    def candidate(self, role):
        return Candidate(model=ModelSpec(reference=f"echo:{role}", scheme="echo", name=role))
