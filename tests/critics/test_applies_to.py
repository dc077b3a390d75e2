"""A principle is judged on the samples that it speaks of, and on no other."""

from __future__ import annotations

import json

from harness.store.runs import list_runs, read_samples
from harness.store.workspace import Workspace
from harness.types import NotApplicable
from tests.cli.conftest import cli  # noqa: F401 - a fixture

PLUGIN = """\
from harness import hookimpl
from harness.api import AppliesTo, Critic, LogLikelihood, Message, Principle


class Watched(Critic):
    def fingerprint(self):
        return "1"

    def requests(self, sample, reply, principle):
        return (LogLikelihood(messages=(Message(role="user", content=sample.id),), continuation="Yes"),)

    def score(self, sample, reply, principle, replies, findings):
        with open("scored", "a") as file:
            file.write(f"{sample.id} {principle.id}\\n")
        return 0.25, ""


@hookimpl
def register_critics(register):
    register("watched", lambda options: Watched(options))


@hookimpl
def register_principles(register):
    register(Principle(id="some", text="Be kind.", critics=("watched",), applies_to=AppliesTo(any_tag=("young",))))
    register(Principle(id="others", text="Be kind.", critics=("watched",), applies_to=AppliesTo(no_tag=("young",))))
"""
SUITE = """\
id: tagged
samples: {source: jsonl, path: tagged.jsonl}
measure: [{adherence: {principles: [some, others]}}]
"""


def test_a_principle_is_judged_where_it_applies_alone(cli):  # noqa: F811
    rows = [{"id": f"s{n}", "prompt": "say this", "tags": ["young"] if n < 2 else ["old"]} for n in range(5)]
    cli.write("tagged.jsonl", "\n".join(json.dumps(row) for row in rows) + "\n")
    cli.write("tagged.yaml", SUITE)
    cli.write("watch.py", PLUGIN)
    assert cli("run", "tagged.yaml", "--model", "echo:", "-p", "watch.py") == 0, cli.err
    scored = (cli.folder / "scored").read_text().splitlines()
    assert sorted(scored) == ["s0 some", "s1 some", "s2 others", "s3 others", "s4 others"]
    workspace = Workspace.open(cli.folder / ".harness")
    (run,) = list_runs(workspace)
    for record in read_samples(workspace, run.id):
        spoken = {"some"} if "young" in record.sample.tags else {"others"}
        found = {verdict.principle for verdict in record.verdicts if not isinstance(verdict.score, NotApplicable)}
        assert found == spoken
        assert {verdict.principle for verdict in record.verdicts} == {"some", "others"}
    values = {estimate.metric: (estimate.n, estimate.not_applicable) for estimate in run.estimates}
    assert values["adherence.some"] == (2, 3)
