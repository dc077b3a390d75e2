"""Gates for other programs: JUnit XML for test reporters, and Markdown for the page of a CI job.

Names, sentences and reasons may hold text from models, data files and plugins: in XML it is escaped and characters that
XML cannot carry are replaced, in Markdown nothing of it is obeyed.
"""

from __future__ import annotations

import functools
import html
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from xml.etree import ElementTree as ET

import click

from harness.errors import InputError
from harness.store.outputs import Output
from harness.tables import confidence_of, describe_gate, headline, interval, one_confidence, reason
from harness.terminal import safe_text
from harness.types import worst_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.cli.context import App
    from harness.types import Check, Decision, OverallStatus, RunRecord

F = TypeVar("F", bound=Callable[..., Any])
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>$])")
_JUNIT = '<?xml version="1.0" encoding="UTF-8"?>\n<!-- Made by: harness, JUnit -->\n'
_MARKDOWN = "<!-- Made by: harness, Markdown -->\n"
"""How files of these kinds begin, by which harness knows its own."""
_UNGATED = "none of the gates applies here, so that nothing was passed"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A run and the verdicts on it, which need not be those it was stored with."""

    run: RunRecord
    checks: Sequence[Check]
    notes: Sequence[str] = ()

    @property
    def status(self) -> OverallStatus:
        """The worst of the checks."""
        return worst_status(check.status for check in self.checks)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The files that a person asked for beside the tables."""

    junit: Output | None = None
    markdown: Output | None = None

    def check(self) -> None:
        """Find out whether they may and can be written, before a command begins and not after hours of running.

        Raises:
            InputError: when a file may not or cannot be written, or both are one.
        """
        files = [file for file in (self.junit, self.markdown) if file is not None]
        for file in files:
            file.check()
        if len(files) == 2 and files[0].is_same(files[1]):
            raise InputError("--junit and --markdown name one file", file=files[0].path, hint="name two")

    def write(self, checked: Sequence[Checked], decision: Decision | None = None) -> None:
        """Write the files that were asked for.

        Raises:
            InputError: when a file cannot be written.
        """
        if self.junit is not None:
            self.junit.write(junit_xml(checked, decision))
        if self.markdown is not None:
            text = markdown_summary(checked, decision)
            self.markdown.write(text if self.markdown.adds else _MARKDOWN + text)


def output_options(command: F) -> F:
    """Add --junit, --markdown and --force to a click command, which gets them as `outputs`; checked before it begins.

    Stands below `common_options`, since it reads the `App`.
    """

    @click.option(
        "--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write the gates as JUnit XML too."
    )  # fmt: skip
    @click.option(
        "--markdown", type=click.Path(path_type=Path), metavar="FILE",
        help="Write a summary in Markdown too; $GITHUB_STEP_SUMMARY is added to.",
    )  # fmt: skip
    @click.option("--force", is_flag=True, help="Let --junit and --markdown replace files that harness did not write.")
    @functools.wraps(command)
    def wrapper(app: App, /, *, junit: Path | None, markdown: Path | None, force: bool, **rest: Any) -> Any:
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        named = functools.partial(Output, force=force, workspace=app.workspace_path, mode=0o666)
        shared = markdown is not None and bool(summary) and os.path.realpath(markdown) == os.path.realpath(str(summary))
        outputs = Outputs(
            junit=None if junit is None else named(path=junit, marks=(_JUNIT,)),
            markdown=None if markdown is None else named(path=markdown, marks=(_MARKDOWN,), adds=shared),
        )
        outputs.check()
        return command(app, outputs=outputs, **rest)

    return wrapper  # type: ignore[return-value]


def junit_xml(checked: Sequence[Checked], decision: Decision | None = None) -> str:
    """Return one test suite for each run and one test case for each gate; what did not pass is a failure.

    A run without gates is a skipped test. A decision is a test suite of its own, which fails with its sentence.
    """
    root = ET.Element("testsuites", name="harness")
    for item in checked:
        cases = [_case(item.run.suite, check) for check in item.checks]
        if not cases:
            cases = [ET.Element("testcase", classname=_xml(item.run.suite), name="gates")]
            ET.SubElement(cases[0], "skipped", message="the run has no gates")
        elif item.status == "ungated":
            cases.append(ET.Element("testcase", classname=_xml(item.run.suite), name="gates"))
            _fail(cases[-1], "ungated", _UNGATED)
        suite = _add_suite(root, item.run.suite, cases, seconds=item.run.seconds)
        _property(suite, "run", item.run.id)
        _property(suite, "candidate", item.run.candidate.label)
    if decision is not None:
        case = ET.Element("testcase", classname="decision", name=_xml(f"policy {decision.policy}"))
        if decision.status != "passed":
            _fail(case, decision.status, decision.sentence)
        suite = _add_suite(root, "decision", [case])
        _property(suite, "decision", decision.id)
    for name in ("tests", "failures", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ET.indent(root)
    return _JUNIT + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: str, check: Check) -> ET.Element:
    case = ET.Element("testcase", classname=_xml(suite), name=_xml(describe_gate(check)))
    if check.status == "passed":
        ET.SubElement(case, "system-out").text = _xml(check.sentence)
    elif check.status == "not_applicable":
        ET.SubElement(case, "skipped", message=_xml(check.sentence))
    else:
        _fail(case, check.status, check.sentence)
    return case


def _fail(case: ET.Element, status: str, sentence: str) -> None:
    failure = ET.SubElement(case, "failure", type=status, message=_xml(sentence))
    failure.text = _xml(sentence)


def _add_suite(root: ET.Element, name: str, cases: Iterable[ET.Element], *, seconds: float = 0.0) -> ET.Element:
    suite = ET.SubElement(root, "testsuite", name=_xml(name), time=f"{seconds:.3f}", errors="0")
    ET.SubElement(suite, "properties")
    suite.extend(cases)
    found = suite.findall("testcase")
    suite.set("tests", str(len(found)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in found)))
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in found)))
    return suite


def _property(suite: ET.Element, name: str, value: str) -> None:
    properties = suite.find("properties")
    if properties is not None:
        ET.SubElement(properties, "property", name=name, value=_xml(value))


def _xml(text: str) -> str:
    """Return text that XML 1.0 can carry; the library escapes its markup."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", safe_text(text))


_MARK = {"passed": "✅ passed", "failed": "❌ failed", "inconclusive": "❔ inconclusive",
         "not_applicable": "➖ not applicable", "ungated": "➖ ungated"}  # fmt: skip


def markdown_summary(checked: Sequence[Checked], decision: Decision | None = None) -> str:
    """Return headings, a table of gates with their reasons, and the metrics with intervals behind a fold."""
    lines: list[str] = []
    if decision is not None:
        arms = f"Candidate {_text(decision.candidate.label)}, baseline {_text(decision.baseline.label)}"
        lines += [f"## {_MARK[decision.status]}: policy {_text(decision.policy)}", "", _text(decision.sentence), ""]
        lines += [f"{arms}, decision `{decision.id}`.", ""]
        lines += [f"- not asked for: {_text(text)}" for text in decision.left_out]
        lines += [f"- vetoed by {_text(veto.owner)}: {_text(veto.reason)}" for veto in decision.vetoes]
    for item in checked:
        lines += [f"### {_text(item.run.suite)}: {item.run.samples} samples of {_text(item.run.candidate.label)}", ""]
        if item.checks:
            level = one_confidence(one for check in item.checks if (one := confidence_of(check)))
            lines += [
                f"| gate | verdict | {f'because, with {level} intervals' if level else 'because'} |",
                "|---|---|---|",
            ]
            lines += [
                f"| {_text(describe_gate(check))} | {_MARK[check.status]} | "
                f"{_text(reason(check, labelled=not level))} |"
                for check in item.checks
            ]
        else:
            lines.append("This run has no gates.")
        if item.checks and item.status == "ungated":
            lines += ["", f"{_MARK['ungated']}: {_UNGATED}."]
        lines += ["", *(f"- note: {_text(note)}" for note in (*item.run.notes, *item.notes)), ""]
        lines += [f"<details><summary>Metrics of run {html.escape(item.run.id)}</summary>", ""]
        shared = one_confidence(e.confidence for e in item.run.estimates if e.low is not None)
        lines += [f"| metric | value | {f'{shared} interval' if shared else 'interval'} | n | unscored |"]
        lines += ["|---|---|---|---|---|"]
        lines += [
            f"| {_text(e.metric)} | {_text(headline(e))} | {_text(interval(e, labelled=not shared))} "
            f"| {e.n} | {e.unscored} |"
            for e in item.run.estimates
        ]
        lines += ["", "</details>", ""]
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """Return text of unknown origin on one line, in which Markdown and HTML find nothing to obey."""
    plain = html.escape(safe_text(text, one_line=True), quote=False)
    return _MARKUP.sub(r"\\\1", plain).replace("@", "&#64;").replace("://", ":&#47;/").replace("www\\.", "www&#46;")
