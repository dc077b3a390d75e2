"""Measures the open queue of a local model: callers side by side, the first token of a lone one, and mixed adapters.

    python benchmarks/open_queue.py [--cores 0,1] [--write]

(Not `queue.py`, which would stand before the standard library's module of that name for every script of this folder.)

Each caller asks again as soon as it is answered: prompts of GSM8K's form, 48 new tokens. Processor seconds of the
process count, since they hold beside other work; wall seconds stand beside them. The first token is compared with
transformers' `generate` of one token on the same prompt, in turn. Adapters are random, on all linear layers, rank 16:
three of them, in passes that they share and in turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from sections import machine, table, versions, write_section
from workloads import make

from harness.api import AdapterSpec, Candidate, Decoding, Generate, Message, RunContext, adapter_id, resolve_model
from harness.paths import weights_dir
from harness_models.hf.model import HfModel
from harness_models.hf.open_queue import OpenQueue

_TOKENS = 48


def requests(count: int) -> list[Generate]:
    items = make("GSM8K generate", None)["items"][:count]
    decoding = Decoding(max_new_tokens=_TOKENS, temperature=0)
    return [
        Generate(messages=(Message(role="user", content=item["context"]),), decoding=decoding, draw=number)
        for number, item in enumerate(items)
    ]


def callers(queue: OpenQueue, candidates: list[Candidate], asked: list[Generate], count: int) -> tuple[float, float]:
    """Let so many callers share the requests; return processor and wall seconds."""
    left = list(enumerate(asked))
    lock = threading.Lock()

    def call(name: str) -> None:
        while True:
            with lock:
                if not left:
                    return
                number, request = left.pop()
            queue.submit(candidates[number % len(candidates)], request, caller=name).result()

    cpu, wall = time.process_time(), time.perf_counter()
    threads = [threading.Thread(target=call, args=(f"caller {number}",)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.process_time() - cpu, time.perf_counter() - wall


def first_tokens(model: HfModel, candidate: Candidate, asked: list[Generate]) -> tuple[list[float], list[float]]:
    """Return processor seconds to the first event of the queue, and of `generate` with one token, in turn."""
    import torch

    loaded: Any = model.prepare(candidate, generating=True)
    ours, bare = [], []
    for request in asked:
        begin = time.process_time()
        handle = OpenQueue(model).submit(candidate, request)
        next(handle.events())
        ours.append(time.process_time() - begin)
        handle.cancel()
        handle.wait()
        ids = loaded.tokenizer(request.messages[0].content, return_tensors="pt")
        begin = time.process_time()
        with torch.inference_mode():
            loaded.model.generate(**ids, max_new_tokens=1, do_sample=False)
        bare.append(time.process_time() - begin)
    return ours, bare


def random_adapters(model: HfModel, bare: Candidate, count: int, folder: Path) -> list[Candidate]:
    """Return candidates with random adapters, written into a folder."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from harness.weights import materialise

    base = materialise(bare.model, model.context)
    made = []
    for number in range(count):
        plain = AutoModelForCausalLM.from_pretrained(str(base))
        given = LoraConfig(r=16, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
        path = folder / f"adapter{number}"
        get_peft_model(plain, given).save_pretrained(str(path), save_embedding_layers=False)
        made.append(AdapterSpec(id=adapter_id(path), path=str(path), reference=path.name))
    return [Candidate(model=bare.model, adapters=(each,), template=bare.template) for each in made]


def main() -> None:
    """Measure, print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=24)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--cores", default="", help="bind the process to these cores, such as 0,1")
    parser.add_argument("--load", default="nothing else known", help="what else the machine did")
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    options = parser.parse_args()
    if options.cores:
        os.sched_setaffinity(0, {int(core) for core in options.cores.split(",")})
    spec = resolve_model("smollm2-135m", schemes=["hf"], device="cpu")
    model = HfModel(spec, RunContext(offline=True, weights=weights_dir()))
    bare = Candidate(model=spec, template="none")
    asked = requests(options.requests)
    model.prepare(bare, generating=True)
    lines = []
    alone = callers(OpenQueue(model, remembering=False), [bare], asked[: max(1, options.requests // 4)], 1)
    share = max(1, options.requests // 4) / options.requests
    many = callers(OpenQueue(model, remembering=False), [bare], asked, options.callers)
    lines.append(["one caller, seconds a request", *(f"{part / share / len(asked):.2f}" for part in alone), ""])
    ratio = f"{alone[0] / share / many[0]:.1f} × one caller's rate"
    lines.append(
        [f"{options.callers} callers, seconds a request", *(f"{part / len(asked):.2f}" for part in many), ratio]
    )
    ours, plain = first_tokens(model, bare, asked[:9])
    middle, other = statistics.median(ours), statistics.median(plain)
    lines.append(
        ["first token of a lone caller", f"{middle:.3f}", "", f"{middle / other:.2f} of `generate`'s {other:.3f}"]
    )
    with tempfile.TemporaryDirectory() as folder:
        three = random_adapters(model, bare, 3, Path(folder))
        for each in three:
            model.prepare(each, generating=True)
        for mixing, name in ((True, "three adapters in one pass"), (False, "three adapters in turns")):
            took = callers(OpenQueue(model, remembering=False, mixing=mixing), three, asked, options.callers)
            lines.append([f"{name}, seconds a request", *(f"{part / len(asked):.2f}" for part in took), ""])
    text = "\n\n".join(
        [
            table(["", "processor seconds", "wall seconds", ""], lines),
            f"{len(asked)} requests of {_TOKENS} new tokens, SmolLM2-135M in float32, {options.load}. {machine()}; "
            f"{versions('torch', 'transformers', 'peft')}.",
        ]
    )
    print(text)
    if options.write:
        write_section("open queue", text)


if __name__ == "__main__":
    main()
