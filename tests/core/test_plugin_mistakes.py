"""What goes wrong while a plugin loads says where, what and what to do; nothing of it is registered."""

from __future__ import annotations

import re

import pytest

from harness.errors import InputError
from harness.plugins import load_plugins

HEAD = "from pathlib import Path\nfrom harness import Critic, Example, Principle, hookimpl\n"
RULE = "register(Principle(id='kind', text='Be kind.'"


def hook(kind: str, call: str) -> str:
    return f"{HEAD}@hookimpl\ndef register_{kind}(register):\n    {call}\n"


CASES = {
    "missing package": ("\nimport nonexistent_thing", r"No module named 'nonexistent_thing' \(\S*bad\.py:2\); install it, or "
        r"import it inside the function that needs it"),
    "exception": ("\n\nraise RuntimeError('boom')", r"RuntimeError: boom \(\S*bad\.py:3\)"),
    "syntax": ("\ndef broken(:", r"SyntaxError: invalid syntax \(\S*/bad\.py:2\)"),
    "hook's name": (HEAD + "@hookimpl\ndef register_metric(register): pass",
        r"\S*bad\.py:3: there is no hook called 'register_metric'; did you mean 'register_metrics'"),
    "hook's argument": (HEAD + "@hookimpl\ndef run_finished(result): pass",
        r"\S*bad\.py:3: the hook run_finished gives no argument 'result'; it gives run, folder"),
    "exception in a hook": (hook("critics", "1 / 0"), r"ZeroDivisionError: division by zero \(\S*bad\.py:5\)"),
    "not callable": (hook("critics", "register('mine', 3)"), r"the critic 'mine' is 3; register what makes it"),
    "an object": (hook("critics", "register('mine', Path('.'))"), r"the critic 'mine' is .*; register what makes it"),
    "path as a text": (hook("suites", "register('mine', 'mine.yaml')"),
        r"the suite 'mine' is 'mine\.yaml'; register a Path, such as Path\(__file__\)\.with_name\('mine\.yaml'\)"),
    "path to nothing": (hook("suites", "register('mine', Path(__file__).with_name('mime.yaml'))"),
        r"the suite 'mine' has no file \S*/mime\.yaml; check the path"),
    "section": (hook("report_sections", "register('mine', print)"), r"the report section 'mine' is .*; register a ReportSection"),
    "principle with a name": (hook("principles", "register('kind', Principle(id='kind', text='x'))"),
        r"register_principles was given 'kind' and more; register the Principle alone: register\(PRINCIPLE\)"),
    "principle of another type": (hook("principles", "register('kind')"), r"given 'kind'; register a harness.Principle"),
    "principle's id": (hook("principles", RULE.replace("'kind'", "'Be kind'") + "))"), r"principle 'Be kind': the id may hold"),
    "critics as a text": (hook("principles", RULE + ", critics='judge'))"),
        r"principle 'kind': critics is 'judge'; give a tuple of names, such as \(\"judge\",\)"),
    "kind of an example": (hook("principles", RULE + ", examples=(Example(kind='good', prompt='a', response='b'),)))"),
        r"principle 'kind': examples\[0\]\.kind is 'good'; use pass, fail or near_miss"),
    "one example without a comma": (hook("principles", RULE + ", examples=(Example(kind='pass', prompt='a', response='b'))))"),
        r"principle 'kind': examples is a tuple of Example objects"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_says_where_what_and_what_to_do(tmp_path, case):
    text, reason = CASES[case]
    path = tmp_path / "bad.py"
    path.write_text(text, encoding="utf-8")
    plugins = load_plugins([str(path)], installed=False)
    (broken,) = plugins.broken
    assert re.search(reason, broken.reason), broken.reason
    with pytest.raises(InputError) as raised:
        plugins.require_whole()
    assert str(raised.value).count("-p no:bad") == 1


def test_a_name_that_stands_twice_names_both_and_the_way_out_once(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text(hook("critics", "register('judge', print)"), encoding="utf-8")
    with pytest.raises(InputError, match="registered by both harness_critics and bad") as raised:
        load_plugins([str(path)], installed=False).require_whole()
    assert str(raised.value).count("-p no:bad") == 1


def test_all_broken_plugins_are_named_at_once(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('boom')", encoding="utf-8")
    with pytest.raises(InputError, match=r"the plugin one is broken: .*; the plugin two is broken: "):
        load_plugins([str(tmp_path)], installed=False).require_whole()
