"""Answers the requests of benchmarks/engine.py with lm-evaluation-harness; runs in an environment of its own.

    python benchmarks/peer_lm_eval.py WORK.json OUT.json

Calls its model class directly, which leaves out its task registry and data sets: the least that its users can pay.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    """Answer all requests of one workload."""
    work = json.loads(Path(sys.argv[1]).read_text())
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model = HFLM(
        pretrained=work["model"], device=work["device"], dtype=work["dtype"], batch_size=work["batch"],
        max_batch_size=64,
    )  # fmt: skip
    if work["kind"] == "loglikelihood":
        pairs = [(item["context"], " " + choice) for item in work["items"] for choice in item["choices"]]
        found = model.loglikelihood(
            [
                Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=index)
                for index, pair in enumerate(pairs)
            ],
            disable_tqdm=True,
        )
        answers = [logprob for logprob, _ in found]
    elif work["kind"] == "rolling":
        answers = model.loglikelihood_rolling(
            [
                Instance(request_type="loglikelihood_rolling", doc={}, arguments=(item["text"],), idx=index)
                for index, item in enumerate(work["items"])
            ],
            disable_tqdm=True,
        )
    else:
        settings = {"until": work["stop"], "max_gen_toks": work["max_new_tokens"], "do_sample": False}
        answers = model.generate_until(
            [
                Instance(request_type="generate_until", doc={}, arguments=(item["context"], dict(settings)), idx=index)
                for index, item in enumerate(work["items"])
            ],
            disable_tqdm=True,
        )
    Path(sys.argv[2]).write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
