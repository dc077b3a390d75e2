"""`harness why` and `harness rollback --check`: what was decided, and whether the way back is open."""

from __future__ import annotations

import pytest

from harness.store.workspace import Workspace
from tests.cli.adapters import write_adapter

CONFIG = """\
model: "echo:"
policy: mine
policies:
  mine:
    suites: [tiny.yaml]
  reviewed:
    review: manual
    suites: [tiny.yaml]
"""
MODEL = """\
from pathlib import Path
from harness import hookimpl
from harness.contracts import Model
from harness.types import Completion

class Moody(Model):
    def fingerprint(self, candidate):
        return {"base": "moody", "adapters": ",".join(a.id for a in candidate.adapters), "dtype": "none",
                "backend": Path("backend").read_text(), "template": candidate.template}

    def answer(self, candidate, requests, deliver):
        mood = Path("mood").read_text()
        for index, request in enumerate(requests):
            text = request.messages[-1].content
            said = text + mood if text.endswith("3") else text
            deliver(index, Completion(text=said, prompt_tokens=1, completion_tokens=1, finish="stop"))

@hookimpl
def register_models(register):
    register("moody", Moody, about="Answers as it feels.")
"""


@pytest.fixture
def home(cli):
    cli.write("harness.yaml", CONFIG)
    for name, weight in (("one", 1.0), ("two", 2.0)):
        write_adapter(cli.folder / name, weight)
    return cli


def test_why_tells_the_whole_story(home):
    assert home("decide", "--adapter", "./one") == 0
    assert home("why") == 0, home.err
    for words in ("may be promoted: the one gate", "candidate  echo: + ./one", "policy     mine, version 1 (",
                  "attempt    1, each gate at the level 0.0304", "1 attempt under this version and 0 resets",
                  "it was never promoted"):  # fmt: skip
        assert words in home.out, words
    home("reject", "latest", "--reason", "another voice")
    home("approve", "latest", "--reason", "heard [bold]again[/bold]")
    assert home("promote", "latest") == 0, home.err
    home("decide", "--adapter", "./two")
    home("promote", "latest")
    home("rollback", "--reason", "too terse")
    assert home("why") == 0
    for words in ("candidate  echo: + ./one", "rejected by", "another voice", "heard [bold]again[/bold]",
                  "promoted, 2", "rolled back to (too terse)", "it is what is promoted now"):  # fmt: skip
        assert words in home.out, words
    assert home("why", "./two") == 0
    assert "candidate  echo: + ./two" in home.out
    assert "it is what is promoted now" not in home.out
    code, found = home.json("why", "promoted")
    assert (code, found["live"], found["decision"]["candidate"]["adapters"][0]["reference"]) == (0, True, "./one")


def test_why_shows_vetoes_and_other_decisions_on_the_same_candidate(home):
    home.write(
        "guard.py",
        "from harness import hookimpl\n\n@hookimpl\ndef veto_promotion(run, baseline):\n    return 'not on a Friday'\n",
    )
    home("decide", "--adapter", "./one", "-p", "guard.py")
    _, first = home.json("why", "latest")
    home("decide", "--adapter", "./one", "--policy", "reviewed")
    assert home("why", first["decision"]["id"][:7]) == 0
    assert "veto by guard: not on a Friday" in home.out
    assert "another decision on this candidate:" in home.out
    assert home("why", "./one") == 0
    assert "no person has approved it yet" in home.out


def test_a_promotion_that_a_plugin_refused_is_in_history_and_why(home):
    reason = "not on\n\x1b[31mFriday decision 0123: \\u2713 passed"
    home.write(
        "guard.py",
        f"from harness import hookimpl\n\n@hookimpl\ndef veto_promotion(run, baseline):\n    return {reason!r}\n",
    )
    assert home("decide", "--adapter", "./one") == 0
    assert home("promote", "latest", "-p", "guard.py") == 1
    assert "vetoed by guard: not on Friday decision 0123" in home.err
    assert home("history") == 0
    assert "refusal" in home.out
    assert "vetoed by guard: not on" in home.out
    assert home("why") == 0
    assert "promotion refused by guard: not on Friday" in home.out
    assert "\x1b[31m" not in home.out
    assert "it was never promoted" in home.out
    _, found = home.json("why")
    assert found["refusals"][0]["body"]["vetoes"] == [{"owner": "guard", "reason": reason}]
    assert home("promote", "latest") == 0, home.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), "there are no decisions yet"), (("zzz",), "no decision is called 'zzz'")],
)  # fmt: skip
def test_why_about_nothing_is_one_sentence(home, arguments, words):
    home("init", "--force")
    home.write("harness.yaml", CONFIG)
    assert home("why", *arguments) == 2
    assert words in home.err


@pytest.fixture
def moody(home):
    """A model from a plugin, whose adapters one and two are promoted in turn."""
    home.write("moody.py", MODEL)
    home.write("mood", "")
    home.write("backend", "moody 1")
    home.write("harness.yaml", CONFIG.replace('"echo:"', '"moody:"') + "plugins: [./moody.py]\n")
    for name in ("one", "two"):
        assert home("decide", "--adapter", f"./{name}") == 0, home.err
        assert home("promote", "latest") == 0, home.err
    return home


def entries(home):
    with_path = Workspace.open(home.folder / ".harness")
    found = len(with_path.ledger.entries())
    with_path.close()
    return found


@pytest.mark.parametrize("to", [(), ("--to", "base")])
def test_a_check_asks_for_stored_answers_and_changes_nothing(moody, to):
    before = entries(moody), (moody.folder / ".harness" / "adapters" / "promoted").read_text()
    assert moody("rollback", "--check", *to) == 0, moody.err
    assert "8 of 8 stored answers are reproduced" in moody.out
    assert ("the bare base would work" if to else "moody: + ./one (") in moody.out
    assert before == (entries(moody), (moody.folder / ".harness" / "adapters" / "promoted").read_text())


def test_a_check_finds_another_answer_and_asks_the_model_itself(moody):
    moody.write("mood", "!")
    moody.write("backend", "moody 2")
    code, found = moody.json("rollback", "--check", "--samples", "40")
    assert (code, found["works"]) == (1, False)
    assert [a["sample"] for a in found["answers"] if not a["same"]] == ["s3", "s13", "s23", "s33"]
    assert found["notes"] == ["backend is moody 2, and was moody 1 when the answers were stored"]
    assert moody("rollback", "--check", "--samples", "40") == 1
    assert "36 of 40 stored answers are reproduced" in moody.out
    assert "would not bring back what was promoted; nothing was changed" in moody.out


def test_a_check_reads_the_adapter_again(moody):
    kept = sorted(path for path in (moody.folder / ".harness" / "artifacts" / "adapter").iterdir() if path.is_dir())
    for folder in kept:
        write_adapter(folder, 7.0)
    assert moody("rollback", "--check") == 3
    assert "has changed since it was stored" in moody.err


def test_a_check_without_a_promotion_is_one_sentence(home):
    home("decide", "--adapter", "./one")
    assert home("rollback", "--check") == 2
    assert "nothing was ever promoted" in home.err


def test_a_check_of_a_real_model_with_its_adapter(home, tiny_base, tiny_adapter):
    home.write("tiny.yaml", (home.folder / "tiny.yaml").read_text().replace("[exact_match]", "[accuracy]").replace(
        "exact_match, min: 0.5", "accuracy, max_unscored: 0.5"))  # fmt: skip
    home.rows(6, choices=["red", "blue"], answer=0)
    home.write("harness.yaml", CONFIG.replace('"echo:"', str(tiny_base)))
    assert home("decide", "--adapter", tiny_adapter) == 0, home.err + home.out
    assert home("promote", "latest") == 0, home.err
    _, now = home.json("status")
    code, found = home.json("rollback", "--check", "--to", str(now["entry"]["number"]), "--samples", "4")
    assert (code, found["works"], len(found["answers"])) == (0, True, 4)
    assert {answer["stored"]["type"] for answer in found["answers"]} == {"log_prob"}


def test_the_old_name_of_the_check_says_what_to_write_instead(home):
    assert home("rollback", "--drill") == 2
    assert home.err == "error: --drill is called --check now; write: harness rollback --check\n"
