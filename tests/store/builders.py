"""Small records, adapters and runs for the tests of the store and of promotion; also run by their subprocesses."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pluggy

from harness import hookspecs
from harness.evaluation.policies import declare
from harness.plugins import Plugins, Registries
from harness.registry import Registry
from harness.store.runs import finish_run
from harness.store.sample_writer import SampleWriter
from harness.store.workspace import Workspace
from harness.types import (
    AdapterSpec,
    Candidate,
    Check,
    Completion,
    Constitution,
    Decision,
    Decoding,
    Estimate,
    Finding,
    Gate,
    Generate,
    LogProb,
    Message,
    ModelSpec,
    NoReply,
    NotApplicable,
    Policy,
    PolicySuite,
    Principle,
    RollingLogLikelihood,
    RunRecord,
    Sample,
    SampleRecord,
    Unscored,
    Verdict,
)
from harness_promotion.attempts import Attempt, Trial, plan_attempt, spend
from harness_promotion.deciding import Evidence
from harness_promotion.deciding import decide as really_decide

GATE = Gate(metric="accuracy", kind="min", limit=0.5, alpha=1e-6)
"""So strict that every attempt allows it."""
SUITE_TEXT = "id: tiny\nsamples: {path: tiny.jsonl}\nmeasure: [accuracy]\ngates:\n  - {metric: accuracy, min: 0.5}\n"
CONSTITUTION = Constitution(id="c", version=1, principles=(Principle(id="p", text="Be kind."),), fingerprint="cf")


def new_run_id(suite: str) -> str:
    """Return a fresh id that sorts by time and says which suite it is: `20261120-064048-safety-core-9f2c1a`."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{suite}-{secrets.token_hex(3)}"


def write_run(
    workspace: Workspace, record: RunRecord, samples: Iterable[SampleRecord], suite_text: str,
    constitutions: tuple[Constitution, ...],
) -> RunRecord:  # fmt: skip
    """Put a run's folder in place from samples that are at hand."""
    with workspace.lock(), SampleWriter(workspace) as writer:
        writer.write(samples)
        return finish_run(workspace, record, writer, suite_text, constitutions)


def adapter(folder: Path, weight: float = 1.0, **config: object) -> Path:
    """Write a one-tensor adapter without torch."""
    import struct

    folder.mkdir(parents=True, exist_ok=True)
    data = struct.pack("<4f", weight, 0.0, 0.0, 1.0)
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    header = json.dumps({name: {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
    (folder / "adapter_model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)
    content = {"peft_type": "LORA", "r": 2, "target_modules": ["q_proj", "v_proj"], **config}
    (folder / "adapter_config.json").write_text(json.dumps(content))
    return folder


def candidate(*adapters: AdapterSpec, system: str | None = None) -> Candidate:
    """Return a candidate on the echo model."""
    return Candidate(model=ModelSpec(reference="echo:", scheme="echo", name=""), adapters=adapters, system=system)


def sample_record(index: int, value: float = 1.0, *, text: str = "an answer") -> SampleRecord:
    """Return a sample with every kind of reply, finding, verdict and row."""
    sample = Sample(
        id=f"s{index}", messages=(Message(role="user", content=f"question {index}"),), target=("a",), tags=("t",),
        cluster=f"c{index // 2}", metadata={"n": index, "deep": [1, {"x": None}]},
    )  # fmt: skip
    ask = Generate(messages=sample.messages, decoding=Decoding())
    said = Completion(text=text, prompt_tokens=3, completion_tokens=None, finish="stop")
    return SampleRecord(
        sample=sample,
        replies=(
            (ask, said),
            (RollingLogLikelihood(text="a"), LogProb(logprob=-1.5, tokens=2, is_greedy=True)),
            (RollingLogLikelihood(text="b"), NoReply(reason="timed out")),
        ),
        findings={"c": (Finding(label="toxic", probability=0.25, span=(0, 2)),), "d": Unscored(reason="x"), "e": ()},
        verdicts=(
            Verdict(principle="p", critic="judge", fingerprint="f", score=0.75, rationale="why"),
            Verdict(principle="p", critic="pii", fingerprint="f", score=Unscored(reason="u")),
            Verdict(principle="p", critic="rule", fingerprint="f", score=NotApplicable(reason="n")),
        ),
        rows={"accuracy": (value, 1.0), "length": (float(index), 1.0), "u": Unscored(reason="u"),
              "n": NotApplicable(reason="n")},
    )  # fmt: skip


def check(status: str = "passed", gate: Gate = GATE) -> Check:
    """Return a gate's verdict."""
    estimate = Estimate(metric="accuracy", kind="proportion", direction="higher", value=1.0, low=0.8, high=1.0, n=4,
                        unscored=0)  # fmt: skip
    return Check(gate=gate, status=status, sentence=f"it {status}", estimate=estimate)  # type: ignore[arg-type]


def run_record(
    who: Candidate | None = None, *, fingerprint: str = "base", samples: int = 4, **other: object
) -> RunRecord:
    """Return a run's record; `other` replaces any field."""
    fields: dict[str, object] = {
        "id": new_run_id("tiny"), "created": "2026-11-20T06:40:48+00:00", "harness_version": "0.1.0", "suite": "tiny",
        "suite_version": 1, "suite_fingerprint": "sf", "candidate": who or candidate(),
        "candidate_fingerprint": fingerprint, "judge": None, "judge_fingerprint": None, "seed": 0, "limit": None,
        "samples": samples, "samples_fingerprint": "pf", "estimates": (), "checks": (), "classifiers": (),
        "critics": {}, "constitutions": {}, "baseline_runs": {}, "requests": 4, "model_calls": 4, "seconds": 0.5,
        "environment": {"python": "3"}, **other,
    }  # fmt: skip
    return RunRecord(**fields)  # type: ignore[arg-type]


def stored_run(workspace: Workspace, record: RunRecord, value: float = 1.0) -> RunRecord:
    """Write a run with its samples."""
    samples = (sample_record(index, value) for index in range(record.samples))
    return write_run(workspace, record, samples, SUITE_TEXT, (CONSTITUTION,))


def policy(**other: object) -> Policy:
    """Return a policy of one suite."""
    fields: dict[str, object] = {"id": "test", "suites": (PolicySuite(suite="tiny"),), "fingerprint": "pf", **other}
    return Policy(**fields)  # type: ignore[arg-type]


def attempt(workspace: Workspace, policy: Policy, found: tuple[Evidence, ...], *, exploratory: str = "") -> Attempt:
    """Spend an attempt on the evidence."""
    fingerprint = found[0].run.candidate_fingerprint
    tested = [Trial(suite=item.run.suite, measured=item.run.samples_fingerprint,
                     arms={name: run.candidate_fingerprint for name, run in item.baselines.items()})
              for item in found]  # fmt: skip
    planned = plan_attempt(workspace, policy, fingerprint, tested, exploratory=exploratory)
    return spend(workspace, policy, fingerprint, planned)


def decide(workspace: Workspace, policy: Policy, found: tuple[Evidence, ...], **other: object) -> Decision:
    """Decide on evidence as a new attempt under a policy that was declared before."""
    return really_decide(workspace, policy, found, attempt=attempt(workspace, policy, found), **other)  # type: ignore[arg-type]


def evidence(
    workspace: Workspace, who: Candidate, fingerprint: str, *, baseline: Candidate | None = None,
    baseline_fingerprint: str = "base", status: str = "passed",
) -> tuple[Evidence, ...]:  # fmt: skip
    """Declare the policy, store a candidate's run and its baseline's, and return them as the evidence of one suite."""
    declare(workspace, [policy()])
    other = stored_run(workspace, run_record(baseline, fingerprint=baseline_fingerprint), 0.0)
    own = run_record(who, fingerprint=fingerprint, checks=(check(status),), baseline_runs={"promoted": other.id})
    return (Evidence(gates=(GATE,), run=stored_run(workspace, own), baselines={"promoted": other}),)


def plugins(**implementations: object) -> Plugins:
    """Return plugins of which each keyword is one, by name: an object with hook implementations."""
    manager = pluggy.PluginManager("harness")
    manager.add_hookspecs(hookspecs)
    for name, implementation in implementations.items():
        manager.register(implementation, name)
    registries = Registries(**{kind: Registry(kind) for kind in Registries.__dataclass_fields__})
    return Plugins(registries=registries, infos=(), broken=(), manager=manager)
